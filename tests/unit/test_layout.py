"""Folders are what they say: our packages, asset folders without Python, imports that follow the arrows."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DECLARED = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["packages"]
ASSETS = (
    "n8n_workflows",
    "transforms/core",
    "transforms/marts",
    "transforms/checks",
    "transforms/comparisons",
    "transforms/receipts",
    "transforms/metrics",
    "transforms/goals",
    "transforms/sources",
    "db/migrations",
    "metabase/questions",
    "metabase/dashboards",
    "metabase/alerts",
    "metabase/filters",
)
FRAME = ("panpan.settings", "panpan.errors")

# Who may import what of ours, beside itself; the first entry that is a prefix of the importing module counts.
ARROWS: dict[str, tuple[str, ...]] = {
    "panpan.settings": FRAME,
    "panpan.errors": (),
    "panpan.cli": ("panpan", "db", "transforms", "metabase", "backups"),
    "panpan.__main__": ("panpan", "db", "transforms", "metabase", "backups"),
    "panpan": ("panpan", "db", "transforms", "metabase", "backups"),
    "db": FRAME,
    "transforms": (*FRAME, "db"),
    "metabase": (*FRAME, "db", "transforms"),
    "backups": (*FRAME, "db"),
}


def modules() -> dict[str, Path]:
    """Every module of the declared packages by its import name."""
    return {
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in DECLARED
        for path in sorted((CHECKOUT / package).rglob("*.py"))
    }


def imports_of(module: str, path: Path) -> set[str]:
    """Full names of our modules that a module imports, anywhere in it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in DECLARED}


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def allowed(module: str) -> tuple[str, ...]:
    return next(arrows for name, arrows in ARROWS.items() if is_in(module, name))


@pytest.mark.parametrize("package", DECLARED)
def test_package_is_imported_from_this_repository(package: str) -> None:
    module = importlib.import_module(package)

    assert Path(str(module.__file__)).resolve() == CHECKOUT / package / "__init__.py"


@pytest.mark.parametrize("package", DECLARED)
def test_package_opens_with_a_docstring_and_nothing_else(package: str) -> None:
    """An import of a package does nothing; its version may stand in it."""
    body = ast.parse((CHECKOUT / package / "__init__.py").read_text(encoding="utf-8")).body

    assert isinstance(body[0], ast.Expr)
    assert all(isinstance(node, ast.Assign) for node in body[1:])


@pytest.mark.parametrize("folder", ASSETS)
def test_asset_folder_holds_no_python(folder: str) -> None:
    assert list((CHECKOUT / folder).rglob("*.py")) == []


def test_every_folder_with_python_in_a_package_is_a_package() -> None:
    folders = {path.parent for path in modules().values()}

    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_tests_are_no_package() -> None:
    """`tests/db/__init__.py` would take the place of the real db."""
    assert list((CHECKOUT / "tests").rglob("__init__.py")) == []


def test_no_package_and_module_share_a_name() -> None:
    """Python would silently pick one of them; a folder without Python (`metrics/`) is no package."""
    both = [path for path in modules().values() if list(path.with_suffix("").rglob("*.py"))]

    assert both == []


def test_imports_follow_the_arrows() -> None:
    against = [
        f"{module} imports {name}"
        for module, path in modules().items()
        for name in sorted(imports_of(module, path))
        if not any(is_in(name, each) for each in (module.split(".")[0], *allowed(module)) if each != "panpan")
        and not (module.split(".")[0] == "panpan" and module not in FRAME and is_in(name, "panpan"))
    ]

    assert against == []


def test_the_frame_imports_nothing_of_ours_but_itself() -> None:
    for module in FRAME:
        path = CHECKOUT / f"{module.replace('.', '/')}.py"
        assert [name for name in imports_of(module, path) if not any(is_in(name, each) for each in FRAME)] == []


def test_the_command_line_is_imported_by_none() -> None:
    importing = [
        module
        for module, path in modules().items()
        if not is_in(module, "panpan.cli")
        and module != "panpan.__main__"
        and any(is_in(name, "panpan.cli") for name in imports_of(module, path))
    ]

    assert importing == []


def test_transforms_do_not_know_how_documents_arrive() -> None:
    importing = [
        module
        for module, path in modules().items()
        if is_in(module, "transforms") and any(is_in(name, "panpan.ingest") for name in imports_of(module, path))
    ]

    assert importing == []


def test_every_python_file_parses_as_the_oldest_version_we_name() -> None:
    for path in modules().values():
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 11))
