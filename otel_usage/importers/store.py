"""Stores events that may be stored already, each exactly once in `events` and in every view.

Four things make that sure, whatever was killed when:

1. What is there is looked up by its id, and not sent again.
2. A batch holds events of one month, so it becomes one part of the table: it is there as a whole, or not at all.
3. Its token is made of the ids of its events. An insert of a killed import that is still running, and its copy
   from the next one, count once.
4. A batch is written down before it is sent, and again when it is stored (`journal.py`). ClickHouse stores rows
   before it stores what views make of them, so after a crash of the server the events of a batch without the second
   note may be there and the views behind. Met again, such a batch is sent once more with its token while
   ClickHouse is sure to remember it; else the states of its days are made anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

from otel_usage.clickhouse import ClickHouse
from otel_usage.clickhouse_errors import errors_sorted
from otel_usage.errors import ClickHouseError, ClickHouseUnavailable, OtelUsageError, SchemaError
from otel_usage.importers.chunk import Refusal
from otel_usage.importers.event_rows import Rows
from otel_usage.importers.journal import Entry, Journal
from otel_usage.importers.lookup import ids_present
from otel_usage.importers.patience import PATIENCE_SECONDS, until_taken
from otel_usage.schema import pending
from otel_usage.schema.rebuild import rebuild_day

_Result = TypeVar("_Result")

_DAY_NS = 86_400 * 10**9
_EPOCH = date(1970, 1, 1)
_DAYS = 65_536
"""ClickHouse's Date has so many, and begins again with the first one after the last one."""
_SURELY_REMEMBERED = 5000
"""Blocks after which a token need not be known any more: half the window."""
_DEAD_AFTER_SECONDS = 600.0
"""Age of an entry without an end after which its import is not waiting for ClickHouse any more."""


class Outcome(NamedTuple):
    """What became of some events; the others were there already."""

    stored: int
    rejected: int = 0
    """ClickHouse will never take them; they are in `rejected_events`."""
    reason: str = ""
    """Why it will not."""


class EventStore:
    """Stores the events of imports into one database.

    Args:
        client: a connection to a migrated database.
        apart_ns: how far from its time an event may be stored already, where the time is no part of what it is.
        kind: begins the names of batches of which no other process can be sending any; settling mends what earlier
            ones have left behind. Empty where others may be under way.
        patience_seconds: how long a statement is tried again when ClickHouse does not take it.

    Raises:
        SchemaError: migrations are missing.
    """

    def __init__(
        self,
        client: ClickHouse,
        *,
        apart_ns: int = 0,
        kind: str = "",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        if pending(client):
            raise SchemaError(f"The schema of '{client.dsn.database}' is old. Run: otel-usage migrate")
        self._client = client
        self._apart_ns = apart_ns
        self._kind = kind
        self._patience_seconds = patience_seconds
        self._journal = Journal(client)
        self._unfinished = self._journal.unfinished()
        self._behind: list[Entry] = []
        """Entries whose events are there, and of whose states nothing is known."""

    def count_missing(self, rows: Rows) -> int:
        """Return how many of the events are not stored; changes nothing."""
        return len(self.missing(rows))

    def missing(self, rows: Rows) -> Sequence[int]:
        """Return the places of the events that are not stored."""
        if not rows.ids:
            return ()
        present = self._until_taken(lambda: ids_present(self._client, rows, apart_ns=self._apart_ns))
        if not present and len(set(rows.ids)) == len(rows.ids):
            return range(len(rows.ids))
        # The first of each: a table without a unique key may have a row twice.
        place_by_id = {event_id: place for place, event_id in reversed(list(enumerate(rows.ids)))}
        return sorted(place for event_id, place in place_by_id.items() if event_id not in present)

    def store(self, rows: Rows) -> Outcome:
        """Store the events that are not there yet.

        Raises:
            OtelUsageError: ClickHouse did not take them for a minute; running the import again goes on.
        """
        missing = set(self.missing(rows))
        outcome = Outcome(0)
        for places in _by_month(rows.times):
            wanted = (
                [place for place in places if place in missing] if len(missing) < len(rows.ids) else places
            )
            if wanted:
                of_batch = self._send(rows, wanted)
                outcome = Outcome(
                    outcome.stored + of_batch.stored,
                    outcome.rejected + of_batch.rejected,
                    outcome.reason or of_batch.reason,
                )
            elif entry := self._unfinished.pop(self._batch_name(rows, places), None):
                self._repair(entry, rows, places)
        return outcome

    def _send(self, rows: Rows, places: Sequence[int]) -> Outcome:
        name, days = self._batch_name(rows, places), _days(rows, places)
        self._unfinished.pop(name, None)
        entry = self._until_taken(lambda: self._journal.begin(name, rows.service, days, len(places)))
        try:
            self._insert(rows, places, entry.token)
        except ClickHouseError as error:
            bodies = [] if isinstance(error, ClickHouseUnavailable) else rows.bodies(places)
            if not bodies:
                raise
            # Its text may quote what a client of the app has sent.
            reason = f"ClickHouse error {error.code}"
            ids = [rows.ids[place].hex() for place in places]
            self.set_aside(
                [Refusal(reason, "", event_id, body) for event_id, body in zip(ids, bodies, strict=True)]
            )
            self._until_taken(lambda: self._journal.end(entry))
            return Outcome(0, len(places), reason)
        self._until_taken(lambda: self._journal.end(entry))
        return Outcome(len(places))

    def _insert(self, rows: Rows, places: Sequence[int], token: str) -> None:
        with errors_sorted(self._client.dsn, encoding=True):
            names, block = rows.encoded(places)
        self._until_taken(lambda: self._client.insert_native("events", names, block, token=token))

    def _repair(self, entry: Entry, rows: Rows, places: Sequence[int]) -> None:
        """Bring the views to where the events of a batch are that was never acknowledged."""
        blocks = self._until_taken(self._journal.last_block) - entry.block
        if not 0 <= blocks < _SURELY_REMEMBERED:
            self._behind.append(entry)
            return
        self._insert(rows, places, entry.token)
        self._until_taken(lambda: self._journal.end(entry))

    def set_aside(self, refused: Sequence[Refusal]) -> None:
        """Keep the rows that are no events in `rejected_events`, each once."""
        kept = {refusal.event_id: refusal for refusal in refused if refusal.event_id}
        if not kept:
            return
        ids = list(kept)
        known = self._until_taken(
            lambda: (
                self._client.query(
                    # In the statement, because parameters travel in the URL.
                    "SELECT DISTINCT event_id FROM rejected_events WHERE event_id IN "  # noqa: S608 - hex digits
                    f"({', '.join(repr(event_id) for event_id in ids)})"
                ).rows
            )
        )
        new = [kept[event_id] for event_id in sorted(kept.keys() - {row[0] for row in known})]
        if not new:
            return
        token = hashlib.sha256("".join(refusal.event_id for refusal in new).encode()).hexdigest()
        columns: list[list[object]] = [
            [time.time_ns()] * len(new),
            [f"import: {refusal.reason}" for refusal in new],
            [refusal.event_id for refusal in new],
            [refusal.body for refusal in new],
        ]
        self._until_taken(
            lambda: self._client.insert(
                "rejected_events",
                ["timestamp", "reason", "event_id", "body"],
                ["DateTime64(9, 'UTC')", "String", "String", "String"],
                columns,
                token=f"import-{token}-{time.time_ns()}",
            )
        )

    def settle(self) -> list[str]:
        """Make the states anew that a killed import may have left behind; return what there is to say."""
        now_ns = time.time_ns()
        notes = []
        for entry in self._unfinished.values():
            is_dead = bool(self._kind) and entry.batch.startswith(self._kind)
            if is_dead or now_ns - entry.at_ns > _DEAD_AFTER_SECONDS * 10**9:
                self._behind.append(entry)
            else:
                notes.append(
                    f"A batch of {entry.events} events of another import was sent and is not known to be stored. "
                    "If that import was killed, run it again"
                )
        for day in sorted({day for entry in self._behind for day in entry.days}):
            try:
                rebuild_day(self._client, day)
            except OtelUsageError as error:
                notes.append(f"The states of {day} may lack events of an import that was killed: {error}")
                self._behind = [entry for entry in self._behind if day not in entry.days]
            else:
                notes.append(f"The states of {day} were made anew, because an import was killed there")
        for entry in self._behind:
            self._journal.end(entry)
        return notes

    def _batch_name(self, rows: Rows, places: Sequence[int]) -> str:
        return self._kind + hashlib.sha256(b"".join(rows.ids[place] for place in places)).hexdigest()

    def _until_taken(self, ask: Callable[[], _Result]) -> _Result:
        """Return the answer of a statement that may be repeated, tried again for a while when it is not taken."""
        return until_taken(ask, seconds=self._patience_seconds)


def _by_month(times: Sequence[int]) -> list[Sequence[int]]:
    """Return the places of the events of each month."""
    days = [time_ns // _DAY_NS for time_ns in times]
    months = {day: (_date_of(day).year, _date_of(day).month) for day in set(days)}
    if len(set(months.values())) <= 1:
        return [range(len(times))] if times else []
    by_month: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, day in enumerate(days):
        by_month[months[day]].append(place)
    return list(by_month.values())


def _days(rows: Rows, places: Sequence[int]) -> list[date]:
    # As `toDate` says it.
    return [_date_of(day) for day in sorted({rows.times[place] // _DAY_NS % _DAYS for place in places})]


def _date_of(day: int) -> date:
    return _EPOCH + timedelta(days=day)
