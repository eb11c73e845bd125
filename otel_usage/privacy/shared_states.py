"""States in which a person is counted with others: which ones, whether they can be corrected, and the correction.

A state is corrected by making it anew from the events that stay. That is right only if the events there now are
those that the state was made of, so the sums are compared first. Where events have been deleted by age, the state
stays as it is: made anew, it would lose the counts of other people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from otel_usage.clickhouse import ClickHouse
from otel_usage.privacy.person import EVENTS, Person
from otel_usage.schema.rebuild import ONE_ROW_AN_EVENT, build_month
from otel_usage.schema.retention import expired_since
from otel_usage.schema.states import StateTable

_PLAIN, _UNIQUE, _KEPT, _TORN, _EXPIRED = "plain", "unique", "kept", "torn", "expired"
"""What is known of a key: its events give its sums; they do when each event counts once; some of its events are
gone; it lacks events, which a batch that is stored in part will bring; its table deletes it by age itself."""


@dataclass(frozen=True, slots=True)
class MonthOfEvents:
    """The events of those days of a month on which the person came, as queries in parentheses."""

    month: int
    days: tuple[date, ...]
    has_doubled: bool
    """Some event is stored twice, by a foreign client that sent it again in another batch."""
    of_person: str
    everybodys: str
    others: str

    def sources(self) -> dict[str, tuple[str, str]]:
        """Return (with the person, without) by how events are counted."""
        plain = {_PLAIN: (self.everybodys, self.others)}
        if not self.has_doubled:
            return plain
        return {**plain, _UNIQUE: (_once(self.everybodys), _once(self.others))}


def month_of_events(client: ClickHouse, person: Person, month: int) -> MonthOfEvents:
    """Return the events of a month to look at; without days if the person is not among them."""
    is_theirs = person.conditions[EVENTS]
    of_month = f"SELECT * FROM events WHERE toYYYYMM(timestamp) = {month}"
    found = client.query(
        f"SELECT DISTINCT toDate(timestamp) AS day FROM events WHERE toYYYYMM(timestamp) = {month} "
        f"AND {is_theirs} ORDER BY day",
        person.parameters,
    ).rows
    days = tuple(row[0] for row in found)
    of_days = f"{of_month} AND toDate(timestamp) IN ({', '.join(_date(day) for day in days)})"
    doubled = bool(days) and bool(
        client.query(f"SELECT count() != uniqExact(trace_id_bytes, span_id_bytes) FROM ({of_days})").rows[0][
            0
        ]
    )
    return MonthOfEvents(
        month,
        days,
        doubled,
        f"({of_month} AND {is_theirs})",
        f"({of_days})",
        f"({of_days} AND NOT {is_theirs})",
    )


class SharedState:
    """One state table of which some keys count the person, in one month."""

    def __init__(self, client: ClickHouse, table: StateTable, events: MonthOfEvents) -> None:
        self._client = client
        self.table = table
        self._events = events
        self._keys = f"rebuilt_keys_of_{table.name}"
        self._found: list[tuple[str, date, int]] = []
        """(status, day, number of keys)."""

    def examine(self, person: Person, gone_since: date | None, *, lacks_events: bool) -> None:
        """Find the keys that count the person, and what can be done about each.

        Args:
            person: staged, because the keys go into a table.
            gone_since: days up to this one lose their events by age.
            lacks_events: the states may lack what the events give, because a forget was killed here.
        """
        table, sources = self.table, self._events.sources()
        self.drop_keys()
        queries = [self._sums("stored", table.name, f"toYYYYMM(state.day) = {self._events.month}")]
        for name, (everybodys, others) in sources.items():
            queries.append(self._sums(f"{name}_with", f"({table.of_events(everybodys)})"))
            queries.append(self._sums(f"{name}_without", f"({table.of_events(others)})"))
        parts = ("stored", *(f"{name}_{who}" for name in sources for who in ("with", "without")))
        sums = ", ".join(f"anyIf(sums, part = '{part}') AS {part}" for part in parts)
        keys = ", ".join(table.keys)
        self._client.command(
            f"CREATE TABLE {self._keys} ENGINE = Memory AS "
            f"SELECT {keys}, {self._status(person, gone_since, lacks_events)} AS status "
            f"FROM (SELECT {keys}, {sums} FROM ({' UNION ALL '.join(queries)}) WHERE {table.key} IN "
            f"(SELECT {keys} FROM ({table.of_events(self._events.of_person)})) GROUP BY {keys})"
        )
        found = self._client.query(
            f"SELECT status, day, count() FROM {self._keys} GROUP BY status, day ORDER BY status, day"
        )
        self._found = [(row[0], row[1], row[2]) for row in found.rows]

    def _sums(self, part: str, rows: str, where: str = "1") -> str:
        keys = ", ".join(self.table.keys)
        sums = ", ".join(f"toInt128({column})" for column in self.table.sums)
        return (
            f"SELECT {keys}, '{part}' AS part, tuple({sums}) AS sums FROM ({self.table.merged(rows, where)})"
        )

    def _status(self, person: Person, gone_since: date | None, lacks_events: bool) -> str:
        own = person.conditions.get(self.table.name)
        # A key that is the person's goes as a whole, whatever is left of its events.
        cases = [(own, _PLAIN)] if own else []
        if expired := expired_since(self._client, self.table.name):
            cases.append((f"day <= {_date(expired)}", _EXPIRED))
        if gone_since:
            cases.append((f"day <= {_date(gone_since)}", _KEPT))
        for name in self._events.sources():
            cases.append((f"stored = {name}_with OR stored = {name}_without", name))
        places = [self.table.sums.index(column) + 1 for column in self.table.counts]
        lacking = " OR ".join(
            f"tupleElement(stored, {place}) < tupleElement(plain_with, {place})" for place in places
        )
        if lacking:
            cases.append((lacking, _PLAIN if lacks_events else _TORN))
        listed = ", ".join(f"{condition}, '{status}'" for condition, status in cases)
        return f"multiIf({listed}, '{_KEPT}')"

    def torn_days(self) -> list[date]:
        """Return the days whose states lack events that are there."""
        return [day for status, day, _ in self._found if status == _TORN]

    def kept_days(self) -> list[date]:
        """Return the days whose states still count the person, because others' events are gone."""
        return [day for status, day, _ in self._found if status == _KEPT]

    def count(self) -> int:
        """Return how many keys count the person and are corrected."""
        return sum(keys for status, _, keys in self._found if status in (_PLAIN, _UNIQUE))

    def build(self) -> bool:
        """Build the month's new content beside the table; return False if there is nothing to correct."""
        if all(status == _KEPT for status, _, _ in self._found):
            return False
        sources = [
            (others, f"{self.table.key} IN {self._keys_with(status)}")
            for status, (_, others) in self._events.sources().items()
        ]
        build_month(
            self._client,
            self.table,
            self._events.month,
            f"{self.table.key} NOT IN {self._keys_with(_PLAIN, _UNIQUE, _EXPIRED)}",
            sources,
        )
        return True

    def count_wrong(self) -> int:
        """Return how many of the corrected keys are not what the events of others give, in any column."""
        columns = self.table.columns
        wrong = []
        for status, (_, others) in self._events.sources().items():
            of_keys = f"{self.table.key} IN {self._keys_with(status)}"
            stored = self.table.merged(self.table.name, f"toYYYYMM(state.day) = {self._events.month}")
            given = self.table.merged(f"({self.table.of_events(others)})")
            both = " UNION ALL ".join(
                f"SELECT {columns} FROM ({rows}) WHERE {of_keys}" for rows in (stored, given)
            )
            wrong.append(f"SELECT {columns} FROM ({both}) GROUP BY {columns} HAVING count() != 2")
        query = f"SELECT uniqExact{self.table.key} FROM ({' UNION ALL '.join(wrong)})"
        return int(self._client.query(query).rows[0][0])

    def drop_keys(self) -> None:
        """Drop the list of keys."""
        self._client.command(f"DROP TABLE IF EXISTS {self._keys} SYNC")

    def _keys_with(self, *statuses: str) -> str:
        listed = ", ".join(f"'{status}'" for status in statuses)
        return f"(SELECT {', '.join(self.table.keys)} FROM {self._keys} WHERE status IN ({listed}))"


def count_shared_keys(client: ClickHouse, tables: Sequence[StateTable], person: Person) -> dict[str, int]:
    """Return by table how many keys count the person, as far as the events are there."""
    theirs = f"(SELECT * FROM events WHERE {person.conditions[EVENTS]})"
    return {
        table.name: int(
            client.query(
                f"SELECT uniqExact{table.key} FROM ({table.of_events(theirs)})", person.parameters
            ).rows[0][0]
        )
        for table in tables
    }


def _once(events: str) -> str:
    return f"{events[:-1]} {ONE_ROW_AN_EVENT})"


def _date(day: date) -> str:
    return f"toDate('{day.isoformat()}')"
