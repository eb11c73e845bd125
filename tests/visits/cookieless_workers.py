"""A worker process, or a parent that forks some, sending the first requests of many visitors. Run by the tests.

Prints one line per request: visitor's number, visit key, and whether the request opened the visit.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from otel_usage.visits.cookieless import CookielessVisitManager
from tests.visits.cookieless_managers import cookieless_manager, have_patience, visit, wait_for_each_other
from tests.visits.cookies import Clock

VISITORS, THREADS = 200, 2


def send(manager: CookielessVisitManager, numbers: range) -> None:
    def one(number: int) -> str:
        found = visit(manager, f"192.0.2.{number}")
        return f"{number} {found.key} {found.is_new:d}\n"

    with ThreadPoolExecutor(THREADS) as threads:
        lines = [*threads.map(one, [*numbers] * THREADS)]
    # In one piece, because forked children share the pipe; shorter pieces of it would mix.
    os.write(1, "".join(lines).encode())


def wait_for_start() -> None:
    os.write(1, b"ready\n")
    sys.stdin.readline()


def fork(manager: CookielessVisitManager, children: int) -> None:
    """Let children that began to share with their parent send, one chunk of visitors after the other."""
    visit(manager, "198.51.100.1")
    wait_for_start()
    for start in range(0, VISITORS, 20):
        pids = []
        for _ in range(children):
            pid = os.fork()
            if pid == 0:
                send(manager, range(start, start + 20))
                os._exit(0)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * children


def main(clock: Clock, children: int) -> None:
    have_patience(pytest.MonkeyPatch())
    wait_for_each_other(pytest.MonkeyPatch())
    with cookieless_manager(clock) as manager:
        if children:
            fork(manager, children)
            return
        wait_for_start()
        for start in range(0, VISITORS, 20):
            send(manager, range(start, start + 20))


if __name__ == "__main__":
    main(Clock(float(sys.argv[1])), int(sys.argv[2]))
