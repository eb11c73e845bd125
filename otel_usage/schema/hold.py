"""Keeps inserts into `events` waiting for some seconds, so that states can be compared with events exactly.

A view's states are stored after the rows of their insert, so while inserts run, events and states never quite
agree. The hold is a constraint that no row fulfils before a certain moment: an insert is refused before any of
it is stored, by an error that our writers take for passing, and they send the same batch again. It ends by
itself, so that a process that is killed cannot stop the inserts for longer than its lease.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from otel_usage.clickhouse import INSERTS_HELD, ClickHouse
from otel_usage.errors import ClickHouseError, OtelUsageError

DEFAULT_LEASE_SECONDS = 60

_CONSTRAINT_EXISTS, _NO_CONSTRAINT = 44, 36
_POLL_SECONDS = 0.02
_RENEW_AFTER = 1 / 2
_SPARE = 1 / 6
"""Part of a lease that must be left for the next statement to be sent."""
_PRESENT = re.compile(
    rf"CONSTRAINT {INSERTS_HELD} CHECK \(?now\(\) >= toDateTime\((\d+), 'UTC'\)\)? AND \(?'(\w+)'"
)


class HoldLapsed(OtelUsageError):
    """A statement took longer than the lease, so inserts may have gone on; nothing of the step can be trusted."""

    def __init__(self) -> None:
        super().__init__(
            "Inserts could not be held for as long as a statement took. Run it again when less is going on"
        )


class Hold:
    """Inserts wait while this is in force. Made by `hold_inserts`."""

    def __init__(self, client: ClickHouse, lease_seconds: float) -> None:
        self._client = client
        self._lease_seconds = lease_seconds
        self._owner = secrets.token_hex(8)
        self._began = 0.0
        """By the clock of this process, before the lease began by the server's."""

    def extend(self) -> None:
        """Make sure that the hold goes on. Call it before each statement that relies on it, and after the last.

        Raises:
            HoldLapsed: the lease has ended, or nearly.
        """
        used = (time.monotonic() - self._began) / self._lease_seconds
        if used < _RENEW_AFTER:
            return
        if used > 1 - _SPARE or _present(self._client)[1] != self._owner:
            raise HoldLapsed
        self._set(f"DROP CONSTRAINT {INSERTS_HELD}, ")

    def take(self) -> None:
        """Begin the hold, after another one has ended."""
        while True:
            try:
                return self._set("")
            except ClickHouseError as error:
                if error.code != _CONSTRAINT_EXISTS:
                    raise
            self._drop_if_lapsed()
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Let inserts go on, unless the hold is another's by now."""
        if _present(self._client)[1] == self._owner:
            _drop(self._client)

    def _set(self, change: str) -> None:
        began = time.monotonic()
        # Whole seconds, so one more: the lease must not be shorter than it says.
        deadline = int(self._now() + self._lease_seconds) + 1
        self._client.command(
            f"ALTER TABLE events {change}ADD CONSTRAINT {INSERTS_HELD} "
            f"CHECK now() >= toDateTime({deadline}, 'UTC') AND '{self._owner}' != ''"
        )
        self._began = began
        # Those that began before know of no constraint, or of the old one alone, and might just pass it.
        self._wait_for_running_inserts()

    def _drop_if_lapsed(self) -> None:
        deadline, owner = _present(self._client)
        if owner and deadline <= self._now():
            _drop(self._client)

    def _wait_for_running_inserts(self) -> None:
        give_up = time.monotonic() + self._lease_seconds / 2
        began_before = self._running_inserts()
        while began_before & self._running_inserts():
            if time.monotonic() > give_up:
                raise OtelUsageError(
                    f"An insert has been running for {self._lease_seconds / 2:.0f} seconds, and must end first. "
                    "Run it again when it has"
                )
            time.sleep(_POLL_SECONDS)

    def _running_inserts(self) -> set[str]:
        rows = self._client.query(
            "SELECT query_id FROM system.processes WHERE query_kind IN ('Insert', 'AsyncInsertFlush')"
        ).rows
        return {row[0] for row in rows}

    def _now(self) -> float:
        # The server's clock, because it is the server that compares.
        return float(self._client.query("SELECT toUnixTimestamp64Milli(now64(3)) / 1000").rows[0][0])


@contextmanager
def hold_inserts(client: ClickHouse, lease_seconds: float = DEFAULT_LEASE_SECONDS) -> Iterator[Hold]:
    """Keep inserts into `events` waiting, from when all that had begun have ended; one at a time.

    Args:
        client: whose account may alter `events` and read `system.processes`.
        lease_seconds: after which inserts go on if nobody calls `extend`.

    Raises:
        OtelUsageError: a running insert does not end.
    """
    hold = Hold(client, lease_seconds)
    try:
        hold.take()
        yield hold
    finally:
        hold.release()


def _present(client: ClickHouse) -> tuple[int, str]:
    """Return the end of the present hold in seconds since 1970, and its owner; (0, '') without one."""
    definition = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
    ).rows
    found = _PRESENT.search(definition[0][0]) if definition else None
    return (int(found[1]), found[2]) if found else (0, "")


def _drop(client: ClickHouse) -> None:
    try:
        client.command(f"ALTER TABLE events DROP CONSTRAINT {INSERTS_HELD}")
    except ClickHouseError as error:
        if error.code != _NO_CONSTRAINT:
            raise
