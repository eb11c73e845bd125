"""Where the requests of a test wait for each other; both shops have views that go there."""

from __future__ import annotations

import asyncio
import threading


class LoopMeeting:
    """A barrier for the tasks of one event loop."""

    def __init__(self, guests: int) -> None:
        self._missing = guests
        self._all_are_here = asyncio.Event()

    async def wait(self) -> None:
        """Return when all are here."""
        self._missing -= 1
        if self._missing == 0:
            self._all_are_here.set()
        await asyncio.wait_for(self._all_are_here.wait(), 60)


class Meeting:
    """The meeting of the test that runs; each test sets what it needs."""

    of_threads = threading.Barrier(1)
    in_a_loop: LoopMeeting
    begun: asyncio.Event
