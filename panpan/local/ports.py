"""
Loopback ports: choosing free ones once for a home, and asking whether one is free now.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Collection

from panpan.errors import ServerError

# Below Linux's ephemeral range (32768 up): there an outgoing connection could sit on a remembered port.
CHOICE = range(10_000, 32_768)
RELEASE_SECONDS = 3


def choose_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """
    Ports nobody listens on, drawn at random: two homes hardly ever draw the same, even while neither runs.

    Errors: ServerError when the machine has fewer free ports than asked for.
    """
    candidates = random.SystemRandom().sample(CHOICE, len(CHOICE))
    free = (port for port in candidates if port not in taken and is_free(port))
    chosen = [port for port, _ in zip(free, range(count), strict=False)]
    if len(chosen) < count:
        raise ServerError(f"found {len(chosen)} free ports on 127.0.0.1, {count} are needed")
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing (TIME_WAIT) is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def require_free(port: int, server: str, setting: str) -> None:
    """
    Make sure that a server can have its port; a process just killed gets a moment to let go of it.

    Errors: ServerError naming the server and the setting when another program keeps the port.
    """
    deadline = time.monotonic() + RELEASE_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            raise ServerError(
                f"{server} can't start",
                cause=f"port {port} on 127.0.0.1 is used by another program",
                next=f"stop that program, or set {setting} to a free port",
            )
        time.sleep(0.1)
