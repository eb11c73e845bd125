"""Removes a person from every table and state, and counts afterwards what is left.

For each month in which the person came, in this order, while inserts wait: the states that count the person with
others are made anew without them, then the rows of their visits and events are deleted. Events go last, and what
was known of the person is noted in a table (`stage.py`): a forget that was killed at any moment is finished by
running it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import OtelUsageError
from otel_usage.privacy.person import ADDRESSES, EVENTS, VISIT_TABLES, VISITS, Person, named_person
from otel_usage.privacy.selector import Selector
from otel_usage.privacy.shared_states import SharedState, count_shared_keys, month_of_events
from otel_usage.privacy.stage import find_stage, open_stage
from otel_usage.schema.hold import DEFAULT_LEASE_SECONDS, Hold, HoldLapsed, hold_inserts
from otel_usage.schema.rebuild import swap_month
from otel_usage.schema.retention import expired_since
from otel_usage.schema.states import StateTable, load_states

_PASSES = 3
"""How often rows are looked for that came meanwhile."""
_LEASE_FACTORS = (1, 4, 16)
_LONGEST_POLL_SECONDS = 0.2


@dataclass(slots=True)
class TableCount:
    """What one table held of the person."""

    table: str
    before: int = 0
    """Rows of the person; of a shared state table the keys that counted them."""
    after: int = 0
    is_shared: bool = False


@dataclass(slots=True)
class ForgetReport:
    """What was found, and what is left."""

    tables: list[TableCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_unfinished: bool = False
    """An earlier forget of the same person was killed."""

    @property
    def is_empty(self) -> bool:
        """Nothing was held of the person."""
        return not self.is_unfinished and not any(count.before for count in self.tables)

    def lines(self, *, is_preview: bool = False) -> list[str]:
        """Return a table for people, and what else there is to say.

        Args:
            is_preview: nothing was removed yet.
        """
        if self.is_empty:
            return ["Nothing is held of this person.", *self.notes]
        width = max(len(count.table) for count in self.tables)
        head = (
            f"{'table':{width}}  {'held':>8}"
            if is_preview
            else f"{'table':{width}}  {'before':>8}  {'after':>8}"
        )
        rows = [
            f"{count.table:{width}}  {count.before:8}"
            + ("" if is_preview else f"  {count.after:8}")
            + (
                "  keys that count others too; made anew without the person"
                if count.is_shared and count.before
                else ""
            )
            for count in self.tables
        ]
        return [head, *rows, *self.notes]

    @property
    def is_clean(self) -> bool:
        """Nothing of the person is left."""
        return not any(count.after for count in self.tables)


def preview(client: ClickHouse, selector: Selector) -> ForgetReport:
    """Return what `forget` would remove; reads only. `after` is what is there now.

    Raises:
        SchemaError: migrations are missing, or the tables are not as they make them.
    """
    stage = find_stage(client, selector)
    person = stage.person if stage else named_person(selector)
    held = count_held(client, person)
    shared = count_shared_keys(client, _shared(load_states(client)), person)
    return ForgetReport(
        [
            *(TableCount(table, rows, rows) for table, rows in held.items()),
            *(TableCount(table, keys, keys, is_shared=True) for table, keys in shared.items()),
        ],
        is_unfinished=stage is not None,
    )


def forget(
    client: ClickHouse, selector: Selector, *, lease_seconds: float = DEFAULT_LEASE_SECONDS
) -> ForgetReport:
    """Remove a person; repeatable, also after it was killed.

    Args:
        client: whose account may create, drop and alter tables.
        selector: the person.
        lease_seconds: for how long inserts wait at most if this process is killed.

    Raises:
        OtelUsageError: something stands in the way, and running it again after that finishes the work.
    """
    return _Forgetting(client, selector, lease_seconds).run()


def count_held(client: ClickHouse, person: Person) -> dict[str, int]:
    """Return the number of the person's rows by table."""
    return {
        table: int(
            client.query(f"SELECT count() FROM {table} WHERE {condition}", person.parameters).rows[0][0]
        )
        for table, condition in person.conditions.items()
    }


class _Forgetting:
    """One run."""

    def __init__(self, client: ClickHouse, selector: Selector, lease_seconds: float) -> None:
        self._client = client
        self._states = load_states(client)
        self._lease_seconds = lease_seconds
        self._stage, self._unfinished = open_stage(client, selector)
        self._person = self._stage.person
        self._shared = {table.name: TableCount(table.name, is_shared=True) for table in _shared(self._states)}
        self._kept: set[date] = set()

    def run(self) -> ForgetReport:
        self._collect()
        held = {
            table: TableCount(table, rows) for table, rows in count_held(self._client, self._person).items()
        }
        gone = self._days_without_events()
        left: dict[str, int] = {}
        for _ in range(_PASSES):
            for month in self._months():
                self._remove_month_held(month)
            self._remove_the_rest()
            self._collect()
            left = count_held(self._client, self._person)
            if not any(left.values()):
                break
        for table, rows in left.items():
            held[table].after = rows
        self._stage.drop()
        return ForgetReport([*held.values(), *self._shared.values()], self._notes(gone, held))

    def _collect(self) -> None:
        self._stage.collect_visits(with_spans=True)
        self._stage.collect_spans()

    def _months(self) -> list[int]:
        rows = self._client.query(
            "SELECT DISTINCT toYYYYMM(timestamp) AS month FROM events "
            f"WHERE {self._person.conditions[EVENTS]} ORDER BY month"
        ).rows
        return [row[0] for row in rows]

    def _remove_month_held(self, month: int) -> None:
        for factor in _LEASE_FACTORS:
            try:
                with hold_inserts(self._client, self._lease_seconds * factor) as hold:
                    return self._remove_month(month, hold)
            except HoldLapsed:
                if factor == _LEASE_FACTORS[-1]:
                    raise

    def _remove_month(self, month: int, hold: Hold) -> None:
        # Not from the spans: inserts wait meanwhile.
        self._stage.collect_visits(with_spans=False)
        self._stage.collect_spans_of_events(month)
        events = month_of_events(self._client, self._person, month)
        if not events.days:
            return
        shared = [SharedState(self._client, table, events) for table in _shared(self._states)]
        try:
            self._examine(shared, month, hold)
            built = []
            for state in shared:
                hold.extend()
                if state.build():
                    built.append(state)
            self._stage.begin_swap(month)
            for state in built:
                hold.extend()
                swap_month(self._client, state.table, month)
            self._count(shared, hold)
            for table in (*VISIT_TABLES, EVENTS):
                self._delete(table, f"IN PARTITION ID '{month}'")
            self._stage.end_swap(month)
        finally:
            for state in shared:
                state.drop_keys()

    def _examine(self, shared: Sequence[SharedState], month: int, hold: Hold) -> None:
        lacks_events = self._stage.is_swapping(month)
        for state in shared:
            hold.extend()
            state.examine(self._person, expired_since(self._client), lacks_events=lacks_events)
        torn = sorted({day for state in shared for day in state.torn_days()})
        if torn:
            raise OtelUsageError(
                f"The states of {', '.join(map(str, torn))} lack events that are there: a batch was stored in part, "
                "and its writer has yet to send it again. Nothing of that month was changed. Run it again later; "
                f"if no writer has anything waiting, run first: otel-usage rebuild --day {torn[0]}"
            )

    def _count(self, shared: Sequence[SharedState], hold: Hold) -> None:
        """Compare once more, before the events go that could mend a state."""
        wrong = [state.table.name for state in shared if state.count_wrong()]
        # Only now is it known that nothing else was stored in between.
        hold.extend()
        if wrong:
            raise OtelUsageError(
                f"{', '.join(wrong)} still differ from what the events of others give. No event was removed: "
                "run it again"
            )
        for state in shared:
            self._shared[state.table.name].before += state.count()
            self._kept.update(state.kept_days())

    def _remove_the_rest(self) -> None:
        """Delete what no event leads to: rejected events, spans, and visits and addresses whose events are gone."""
        self._wait_for_deletions()
        for table, rows in count_held(self._client, self._person).items():
            if rows and table != EVENTS:
                self._delete(table)
        self._wait_for_deletions()

    def _delete(self, table: str, partition: str = "") -> None:
        # A mutation rewrites the parts without the rows; DELETE FROM would only hide them. It takes what is
        # there when it is given, so that it need not be waited for while inserts are held.
        self._client.command(
            f"ALTER TABLE {table} DELETE {partition} WHERE {self._person.conditions[table]}",
            settings={"mutations_sync": 0},
        )

    def _wait_for_deletions(self) -> None:
        delay = 0.01
        while True:
            rows = self._client.query(
                "SELECT table, latest_fail_reason FROM system.mutations WHERE database = currentDatabase() "
                "AND NOT is_done AND position(command, {stage:String}) > 0",
                {"stage": self._stage.name},
            ).rows
            if not rows:
                return
            failed = [row for row in rows if row[1]]
            if failed:
                raise OtelUsageError(
                    f"ClickHouse cannot delete from {failed[0][0]} yet: {failed[0][1][:500]}"
                )
            time.sleep(delay)
            delay = min(delay * 2, _LONGEST_POLL_SECONDS)

    def _days_without_events(self) -> list[date]:
        """Return the days on which visits of the person had requests of which not all are there."""
        conditions = self._person.conditions
        rows = self._client.query(
            "SELECT DISTINCT day FROM (SELECT service_name, day, visit_key_bytes, sum(stored) AS stored, "
            "sum(counted) AS counted FROM (SELECT service_name, day, visit_key_bytes, requests AS stored, "
            f"toUInt64(0) AS counted FROM {VISITS} WHERE {conditions[VISITS]} UNION ALL "
            "SELECT service_name, toDate(timestamp), visit_key_bytes, toUInt64(0), toUInt64(1) FROM events "
            f"WHERE event_name = 'request' AND {conditions[EVENTS]}) "
            "GROUP BY service_name, day, visit_key_bytes) WHERE stored > counted ORDER BY day"
        ).rows
        return [row[0] for row in rows]

    def _notes(self, gone: Sequence[date], held: dict[str, TableCount]) -> list[str]:
        notes = []
        kept = sorted(self._kept | set(gone))
        if kept:
            span = f"{kept[0]}" if len(kept) == 1 else f"{len(kept)} days from {kept[0]} to {kept[-1]}"
            notes.append(
                f"Events of {span} were deleted by age before. The counts of those days in "
                f"{', '.join(self._shared)} still include this person, without saying whose they were: "
                "they cannot be made anew without losing the counts of others, so they were left alone."
            )
            if ADDRESSES not in held:
                notes.append(
                    f"{ADDRESSES} has rows for the addresses of those days, which others may share; "
                    "forget --address removes them."
                )
        if self._unfinished:
            notes.append(
                f"{self._unfinished} earlier forget of somebody else did not end, or has not yet: run it again."
            )
        return notes


def _shared(states: Sequence[StateTable]) -> tuple[StateTable, ...]:
    return tuple(table for table in states if table.name not in VISIT_TABLES)
