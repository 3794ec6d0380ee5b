"""
`python -m panpan.simulate`: serve the simulated source systems, on 127.0.0.1 unless told otherwise.

Comes in: the settings (port and tokens), and optionally a seed and a last day. Goes out: a running server.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date

import uvicorn

from panpan.errors import PanpanError
from panpan.settings import load_settings
from panpan.simulate.catalogue import DEFAULT_SEED
from panpan.simulate.server import build_app, tokens_of
from panpan.simulate.world import World


def main(words: list[str] | None = None) -> int:
    """Serve until stopped; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m panpan.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which world (default: %(default)s)")
    parser.add_argument("--until", type=date.fromisoformat, help="its last day, 2026-06-30 (default: yesterday)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    given = parser.parse_args(words)
    try:
        settings = load_settings()
    except PanpanError as error:
        sys.stderr.write(f"error: {error.message}\ncause: {error.explained_cause()}\nnext:  {error.next}\n")
        return error.exit_code
    world = World(given.seed, given.until)
    app = build_app(world, tokens_of(settings), follows_clock=given.until is None)
    sys.stderr.write(f"simulated systems up to {world.until} on http://127.0.0.1:{settings.simulate_port}\n")
    uvicorn.run(app, host=given.host, port=settings.simulate_port, log_level="warning", ws="none", lifespan="off")
    return 0


if __name__ == "__main__":
    sys.exit(main())
