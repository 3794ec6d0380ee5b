"""
Our transforms as a process of their own: `python -m benchmarks.ours HOME DATABASE` prints what they took as JSON.

A process of its own, so that its peak memory is the transforms' and nobody else's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_mib
from panpan.settings import CHECKOUT, Settings, load_settings
from transforms.run import run


def run_ours(settings: Settings) -> dict[str, Any]:
    """
    Take every received load, in a process of its own; gives rows, rejects, seconds and peak_mib.

    Errors: CalledProcessError when it fails; what it wrote is on stderr.
    """
    words = [sys.executable, "-m", "benchmarks.ours", str(settings.home), settings.database_name]
    answer = subprocess.run(words, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def main() -> None:
    """The process itself."""
    home, database = sys.argv[1:]
    settings = load_settings(home=Path(home)).model_copy(update={"database_name": database})
    report = run(settings)
    facts = {"loads": report.loads, "refused": report.refused, "rows": report.rows, "rejects": report.rejects}
    sys.stdout.write(json.dumps({**facts, "seconds": report.seconds, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
