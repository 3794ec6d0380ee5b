"""bin/panpan: finds its checkout, makes and renews .venv, hands its words over. Run on a tiny checkout of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from panpan.settings import CHECKOUT

LAUNCHER = CHECKOUT / "bin" / "panpan"
TELL = "import os, sys; print('checkout', os.environ['PYTHONPATH'], 'words', sys.argv[1:], 'in', sys.prefix)"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose program tells what it was given and whose lock files name no package."""
    folder = tmp_path_factory.mktemp("clone with spaces")
    (folder / "bin").mkdir()
    shutil.copy(LAUNCHER, folder / "bin")
    (folder / "panpan").mkdir()
    (folder / "panpan" / "__init__.py").touch()
    (folder / "panpan" / "__main__.py").write_text(TELL)
    (folder / "requirements.lock").write_text("# none\n")
    (folder / "requirements-test.lock").write_text("# none for tests\n")
    return folder


def launch(launcher: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(launcher), *words],
        cwd="/",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_first_run_makes_the_environment_and_later_runs_only_use_it(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "panpan"
    link.symlink_to(checkout / "bin" / "panpan")

    first = launch(link, "value", "two words", "--json")
    second = launch(link, "status")

    assert first.stdout == f"checkout {checkout} words ['value', 'two words', '--json'] in {checkout}/.venv\n"
    assert "making the Python environment" in first.stderr
    assert "['status']" in second.stdout
    assert second.stderr == ""
    assert not (checkout / ".tools" / "venv.lock").exists()


def test_packages_of_the_working_folder_are_not_taken_for_ours(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "panpan").mkdir()
    (tmp_path / "panpan" / "__main__.py").write_text("print('of another checkout')")

    answer = subprocess.run(
        [str(checkout / "bin" / "panpan")], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert answer.stdout.startswith(f"checkout {checkout} ")


def test_changed_lock_file_renews_the_packages_once(checkout: Path) -> None:
    launch(checkout / "bin" / "panpan")
    (checkout / "requirements.lock").write_text("# none, again\n")

    renewed = launch(checkout / "bin" / "panpan")
    again = launch(checkout / "bin" / "panpan")

    assert "installing" in renewed.stderr
    assert "making" not in renewed.stderr
    assert again.stderr == ""


def test_test_command_takes_the_test_packages_which_serve_all_other_commands_too(checkout: Path) -> None:
    launch(checkout / "bin" / "panpan")

    tests = launch(checkout / "bin" / "panpan", "test", "-k", "x")
    other = launch(checkout / "bin" / "panpan", "status")

    assert "installing" in tests.stderr
    assert "['test', '-k', 'x']" in tests.stdout
    assert other.stderr == ""


def test_failed_install_is_told_and_tried_again(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("no-such-package-of-panpan==1.0\n")  # and no hash

    failed = [launch(checkout / "bin" / "panpan", PIP_NO_INDEX="1") for _ in range(2)]

    (checkout / "requirements.lock").write_text("# none\n")
    for answer in failed:
        assert answer.returncode == 1
        assert answer.stdout == ""
        assert "error: installing panpan's Python packages" in answer.stderr
        assert "cause: " in answer.stderr
        assert "no-such-package-of-panpan" in answer.stderr
        assert "next:  see" in answer.stderr
    assert launch(checkout / "bin" / "panpan").returncode == 0


def test_lock_of_a_killed_install_is_taken_over(checkout: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    lock = checkout / ".tools" / "venv.lock"
    lock.mkdir(parents=True)
    (lock / "pid").write_text(f"{gone.pid}\n")
    (checkout / "requirements.lock").write_text("# none, after a kill\n")

    answer = launch(checkout / "bin" / "panpan")

    assert answer.returncode == 0
    assert not lock.exists()


def test_two_first_runs_at_once_install_once(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("# none, for two at once\n")
    command = [str(checkout / "bin" / "panpan"), "status"]

    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        said = [process.communicate() for process in (one, other)]

    assert all("['status']" in out for out, _ in said), said
    assert sum("installing" in err for _, err in said) == 1


def test_machine_without_python_gets_a_sentence(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(checkout, bare, ignore=shutil.ignore_patterns(".venv", ".tools"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "cmp", "mkdir", "rm", "cat", "tail", "sleep", "readlink"):
        (tools / name).symlink_to(str(shutil.which(name)))

    answer = launch(bare / "bin" / "panpan", PATH=str(tools))

    assert answer.returncode == 1
    assert "error: no suitable Python found" in answer.stderr
    assert "next:" in answer.stderr
    assert not (bare / ".tools" / "venv.lock").exists()
