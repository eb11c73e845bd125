"""The table `imports`: which batches were sent, and which of them are known to be stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from otel_usage.clickhouse import ClickHouse

_COLUMN_TYPES = {
    "batch": "String",
    "attempt": "UInt32",
    "is_stored": "UInt8",
    "service_name": "String",
    "days": "Array(Date)",
    "events": "UInt64",
    "block": "UInt64",
    "at": "DateTime64(9, 'UTC')",
}


class Entry(NamedTuple):
    """One attempt to store one batch."""

    batch: str
    attempt: int
    is_stored: bool
    service: str
    days: tuple[date, ...]
    """UTC days of its events."""
    events: int
    block: int
    """Number of the last block of `events` before it was sent."""
    at_ns: int

    @property
    def token(self) -> str:
        """The token of its insert. Another attempt has another one, because the rows of the last one are gone."""
        return f"import-{self.batch}-{self.attempt}"


class Journal:
    """Reads and writes the entries. Every method raises what `ClickHouse` raises."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client

    def unfinished(self) -> dict[str, Entry]:
        """Return the entries that are not known to be stored, by batch."""
        return {entry.batch: entry for entry in self._read("is_stored = 0")}

    def begin(self, batch: str, service: str, days: Sequence[date], events: int) -> Entry:
        """Note that a batch is about to be sent whose events are not there, and return its entry.

        An attempt that was never acknowledged goes on: its insert may still be running, and must not count twice.
        After one that was stored comes a new one: somebody has deleted its events since.
        """
        last = max(
            self._read("batch = {batch:String}", {"batch": batch}),
            key=lambda entry: entry.attempt,
            default=None,
        )
        if last is not None and not last.is_stored:
            return last
        attempt = last.attempt + 1 if last is not None else 0
        entry = Entry(batch, attempt, False, service, tuple(days), events, self.last_block(), time.time_ns())
        self.write([entry])
        return entry

    def end(self, entry: Entry) -> None:
        """Note that a batch is stored, in the views too."""
        self.write([entry._replace(is_stored=True, at_ns=time.time_ns())])

    def claim(self, name: str, attempt: int, owner: str) -> None:
        """Note that somebody is at work, by the server's clock; an empty owner says that nobody is any more."""
        at_ns = self._now_ns() if owner else 0
        self.write([Entry(name, attempt, True, owner, (), 0, 0, at_ns)])

    def claims(self, name: str, seconds: float) -> list[Entry]:
        """Return the claims of this name that are not older than this."""
        since = self._now_ns() - int(seconds * 10**9)
        return [
            entry
            for entry in self._read("batch = {batch:String}", {"batch": name})
            if entry.service and entry.at_ns >= since
        ]

    def _now_ns(self) -> int:
        return int(self._client.query("SELECT toUnixTimestamp64Nano(now64(9))").rows[0][0])

    def last_block(self) -> int:
        """Return the number of the last block that was inserted into `events`."""
        rows = self._client.query(
            "SELECT max(max_block_number) FROM system.parts "
            "WHERE database = currentDatabase() AND table = 'events' AND active"
        ).rows
        return max(int(rows[0][0]), 0)

    def _read(self, where: str, parameters: dict[str, str] | None = None) -> list[Entry]:
        rows = self._client.query(
            f"SELECT {', '.join(_COLUMN_TYPES)} FROM imports FINAL WHERE {where}",  # noqa: S608 - our own conditions
            parameters,
            formats={"DateTime64": "int"},
        ).rows
        return [
            Entry(batch, attempt, bool(is_stored), service, tuple(days), events, block, at_ns)
            for batch, attempt, is_stored, service, days, events, block, at_ns in rows
        ]

    def write(self, entries: Sequence[Entry]) -> None:
        """Store entries, at least one, as they are; of names that are no UTF-8, as ClickHouse may have some, what can be."""
        entries = [
            entry._replace(service=entry.service.encode("utf-8", "replace").decode()) for entry in entries
        ]
        self._client.insert(
            "imports",
            list(_COLUMN_TYPES),
            list(_COLUMN_TYPES.values()),
            list(zip(*entries, strict=True)),
            # Its own each time: what is noted twice is one row all the same.
            token=f"{entries[0].token}-{time.time_ns()}",
        )
