"""The notes of a forget that is under way: whom it is about, and what has begun, in a table of the database.

Statements refer to this table instead of naming the person, because ClickHouse keeps the text of deletions for a
long time. And a forget that was killed finds here what it had known: which visits were the person's may no
longer be said by the rows that are left. The table goes when all is done.
"""

from __future__ import annotations

import re
import secrets

from otel_usage.clickhouse import ClickHouse
from otel_usage.privacy.person import EVENTS, SPAN, SPANS, Person, staged_person, visits_query
from otel_usage.privacy.selector import VISIT, Selector

_NAME = re.compile(r"forgetting_[0-9a-f]{16}")
_SWAPPING, _SWAPPED = "swapping", "swapped"


class Stage:
    """The table of one forget. Made by `open_stage`."""

    def __init__(self, client: ClickHouse, name: str, kind: str) -> None:
        self._client = client
        self.name = name
        self._kind = kind
        self.person: Person = staged_person(kind, name)

    def collect_visits(self, *, with_spans: bool) -> None:
        """Note the visits in which the person now stands; those that were noted stay.

        Args:
            with_spans: look into the spans too, which may be far more to read than all else.
        """
        if self._kind == VISIT:
            return
        direct = {
            table: condition
            for table, condition in self.person.direct.items()
            if with_spans or table != SPANS
        }
        self._note(VISIT, visits_query(self._kind, direct, self._values_of))

    def collect_spans(self) -> None:
        """Note the spans that are the person's now, by themselves or by their events."""
        self._note(SPAN, self.person.spans)

    def collect_spans_of_events(self, month: int) -> None:
        """Note the spans of the person's events of a month, which are about to go."""
        condition = self.person.conditions[EVENTS]
        self._note(
            SPAN,
            f"SELECT event_id AS value FROM {EVENTS} WHERE toYYYYMM(timestamp) = {month} AND {condition}",
        )

    def begin_swap(self, month: int) -> None:
        """Note that states of a month will hold less than its events, until `end_swap`."""
        self._add([(_SWAPPING, str(month))])

    def end_swap(self, month: int) -> None:
        """Note that the events of the month go as well."""
        self._add([(_SWAPPED, str(month))])

    def is_swapping(self, month: int) -> bool:
        """Return whether an earlier forget was killed between the two."""
        rows = self._client.query(
            f"SELECT countIf(selector = '{_SWAPPING}') > countIf(selector = '{_SWAPPED}') FROM {self.name} "
            "WHERE value = {month:String}",
            {"month": str(month)},
        ).rows
        return bool(rows[0][0])

    def drop(self) -> None:
        """Forget the notes as well."""
        self._client.command(f"DROP TABLE IF EXISTS {self.name} SYNC")

    def create(self) -> None:
        """Make the table."""
        self._client.command(
            f"CREATE TABLE {self.name} (selector LowCardinality(String), value String) "
            "ENGINE = MergeTree ORDER BY (selector, value)"
        )

    def begin(self, selector: Selector) -> None:
        """Note whom it is about."""
        self._add(selector.values)

    def is_empty(self) -> bool:
        """Return whether nobody has been noted: the forget was killed at once."""
        return not self._client.query(f"SELECT count() FROM {self.name}").rows[0][0]

    def is_about(self, selector: Selector) -> bool:
        """Return whether the table is of a forget of the same person."""
        rows = self._client.query(
            f"SELECT count() FROM {self.name} WHERE selector = {{kind:String}} AND value = {{value:String}}",
            {"kind": selector.kind, "value": selector.value},
        ).rows
        # A forget of a user notes visits as well, so that one of a visit must not take it for its own. All note spans.
        kinds = {row[0] for row in self._client.query(f"SELECT DISTINCT selector FROM {self.name}").rows}
        return bool(rows[0][0]) and not (
            selector.kind == VISIT and kinds - {VISIT, SPAN, _SWAPPING, _SWAPPED}
        )

    def _note(self, selected: str, query: str) -> None:
        self._client.command(
            f"INSERT INTO {self.name} (selector, value) SELECT '{selected}', value FROM ({query}) "
            f"WHERE value NOT IN {self._values_of(selected)}",
            settings={"insert_deduplicate": 0},
        )

    def _add(self, rows: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
        self._client.insert(
            self.name,
            ["selector", "value"],
            ["String", "String"],
            [[row[0] for row in rows], [row[1] for row in rows]],
            token=secrets.token_hex(8),
        )

    def _values_of(self, selected: str) -> str:
        return f"(SELECT value FROM {self.name} WHERE selector = '{selected}')"


def find_stage(client: ClickHouse, selector: Selector) -> Stage | None:
    """Return the notes of an unfinished forget of this person, if there are any."""
    return next((stage for stage in _stages(client, selector) if stage.is_about(selector)), None)


def open_stage(client: ClickHouse, selector: Selector) -> tuple[Stage, int]:
    """Return the same, else new notes; and how many forgets of others are unfinished."""
    stages = _stages(client, selector)
    empty = [stage for stage in stages if stage.is_empty()]
    own = [stage for stage in stages if stage.is_about(selector)]
    others = len(stages) - len(empty) - len(own)
    if own:
        return own[0], others
    stage = empty[0] if empty else Stage(client, f"forgetting_{secrets.token_hex(8)}", selector.kind)
    if not empty:
        stage.create()
    stage.begin(selector)
    return stage, others


def _stages(client: ClickHouse, selector: Selector) -> list[Stage]:
    names = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'forgetting_')"
    ).rows
    return [Stage(client, name, selector.kind) for (name,) in names if _NAME.fullmatch(name)]
