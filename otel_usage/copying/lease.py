"""Lets one copy at a time into a database: two that read a source in use would cut it into different batches.

A copy says in `imports` that it runs, again and again. Whoever says so and then sees another one that does steps back,
so that of two which begin together at most one goes on. One that was killed is not waited for on the same machine,
and elsewhere until it has been silent for a while.
"""

from __future__ import annotations

import os
import platform
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseError, OtelUsageError
from otel_usage.importers.journal import Entry, Journal

_CLAIM = "copy"
"""What stands for the batch of a claim, which is the hash of nothing."""
DEFAULT_LEASE_SECONDS = 30.0
_POLL_SECONDS = 0.2
_RUNNING_INSERT_SECONDS = 120.0


class Lease:
    """While this is in force no other copy writes. Made by `take_lease`."""

    def __init__(self, client: ClickHouse, seconds: float) -> None:
        self._journal, self._seconds = Journal(client), seconds
        self._attempt = secrets.randbelow(2**32)
        self._ended = threading.Event()
        self._said = 0.0
        self._lost = False

    def take(self, on_wait: Callable[[], None]) -> None:
        """Wait until no other copy runs, and begin."""
        is_told = False
        while True:
            if not self._others():
                self._say()
                if not self._others():
                    break
                self._journal.claim(_CLAIM, self._attempt, "")
            if not is_told:
                on_wait()
                is_told = True
            # Not the same pause in two that step back from each other.
            time.sleep(_POLL_SECONDS * random.uniform(1, 5))  # noqa: S311 - no secret
        threading.Thread(target=self._go_on_saying, name="otel-usage-copy", daemon=True).start()

    def check(self) -> None:
        """Raise when another copy may have begun."""
        if self._lost:
            raise OtelUsageError(
                "The target did not answer for so long that another copy has begun. Run the same command again"
            )

    def release(self) -> None:
        """Let others begin."""
        self._ended.set()
        # Of what ClickHouse does not take the end comes by itself.
        with suppress(ClickHouseError):
            self._journal.claim(_CLAIM, self._attempt, "")

    def _say(self) -> None:
        self._journal.claim(_CLAIM, self._attempt, _this_process())
        self._said = time.monotonic()

    def _others(self) -> list[Entry]:
        return [
            entry
            for entry in self._journal.claims(_CLAIM, self._seconds)
            if entry.attempt != self._attempt and not _is_gone(entry.service)
        ]

    def _go_on_saying(self) -> None:
        while not self._ended.wait(self._seconds / 6):
            was_silent = time.monotonic() - self._said > self._seconds
            try:
                self._say()
                self._lost = self._lost or (was_silent and bool(self._others()))
            except ClickHouseError:
                continue  # It is said again in a moment.


@contextmanager
def take_lease(
    client: ClickHouse, on_wait: Callable[[], None], *, seconds: float = DEFAULT_LEASE_SECONDS
) -> Iterator[Lease]:
    """Keep other copies out of a database, from when the inserts of earlier ones have ended.

    Args:
        client: whose account may read and write `imports`.
        on_wait: called when another copy runs.
        seconds: after which one that is silent does not count any more.

    Raises:
        OtelUsageError: an insert that had begun before does not end.
    """
    lease = Lease(client, seconds)
    try:
        lease.take(on_wait)
        # A copy that was killed may have sent a batch that is still being stored.
        _wait_for_running_inserts(client)
        yield lease
    finally:
        lease.release()


def _wait_for_running_inserts(client: ClickHouse) -> None:
    give_up = time.monotonic() + _RUNNING_INSERT_SECONDS
    began_before = _running_inserts(client)
    while began_before & _running_inserts(client):
        if time.monotonic() > give_up:
            raise OtelUsageError(
                f"An insert into the target has been running for {_RUNNING_INSERT_SECONDS:.0f} seconds, and must end "
                "first. Run the same command again when it has"
            )
        time.sleep(_POLL_SECONDS)


def _running_inserts(client: ClickHouse) -> set[str]:
    rows = client.query(
        "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase()"
    ).rows
    return {row[0] for row in rows}


def _this_process() -> str:
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def _is_gone(owner: str) -> bool:
    """Return whether the process that says so ran on this machine and has ended."""
    try:
        machine, pid, started = owner.split(" ")
        if machine != _machine():
            return False
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return started != _started(int(pid))


def _machine() -> str:
    """Return what is the same for two processes if they see each other's numbers, and only then."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node().replace(" ", "-") or "unknown"


def _started(pid: int) -> str:
    """Return when a process began, where the system says so: numbers are given again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "unknown"
