"""Chooses ports for programs that tests start, which nobody else takes before the program listens."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_KERNEL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()
_play = random.SystemRandom()  # a test's seed does not bring the same port again


def free_port() -> int:
    """Return a port of loopback that nobody listens on, each at most once in this process.

    The kernel gives ports of its own range to whoever connects or asks for port 0, at any moment, so one that it
    gave and that was closed may be another's before a program listens there. These lie outside of its range.
    """
    while True:
        port = _play.choice(_candidates())
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _candidates() -> range:
    try:
        low, high = (int(word) for word in _KERNEL_RANGE.read_text().split())
    except OSError:
        low, high = 49152, 65535  # what IANA keeps for it
    below, above = range(20_000, low), range(high + 1, 65_536)
    outside = below if len(below) > len(above) else above
    return outside if len(outside) >= 1000 else range(20_000, 65_536)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
