"""Runs a copy: events through the import of events, states of days whose events are gone, rejected events, comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext

from otel_usage.clickhouse import UNKNOWN_TABLE, ClickHouse
from otel_usage.copying.census import Inventory, count_distinct_events, take_inventory
from otel_usage.copying.lease import Lease, take_lease
from otel_usage.copying.memory import Memory
from otel_usage.copying.pages import SourceEvents, Stretch
from otel_usage.copying.past import Past
from otel_usage.copying.plan import Plan, make_plan, stretches
from otel_usage.copying.rejected import RejectedCount, copy_rejected
from otel_usage.copying.report import CopyReport, TableLine
from otel_usage.copying.sides import PATIENCE_SECONDS, Sides, ask, open_sides, wait_for_replicas
from otel_usage.copying.verify import verify
from otel_usage.errors import ClickHouseError, SchemaError
from otel_usage.importers.chunk import Chunk, Tally
from otel_usage.importers.event_rows import rows_of
from otel_usage.importers.lookup import name_digits
from otel_usage.importers.run import Import
from otel_usage.importers.store import EventStore
from otel_usage.schema.states import StateTable, load_states

_KIND = "copy-"


def copy_database(
    source_dsn: str, target_dsn: str, *, is_dry_run: bool = False, say: Callable[[str], None]
) -> CopyReport:
    """Copy what the target has not, and compare both sides.

    Args:
        source_dsn: see `parse_dsn`; SELECT is enough for its account.
        target_dsn: a database that `otel-usage migrate` has made.
        is_dry_run: only count what would be copied.
        say: told how far it is.

    Raises:
        OtelUsageError: see `open_sides`; or one side did not answer for a minute.
    """
    with open_sides(source_dsn, target_dsn) as sides, _alone(sides.target, say, is_dry_run) as lease:
        return _Copy(sides, lease, say, is_dry_run).run()


def _alone(
    target: ClickHouse, say: Callable[[str], None], is_dry_run: bool
) -> AbstractContextManager[Lease | None]:
    if is_dry_run:
        return nullcontext()
    return take_lease(target, lambda: say("Another copy into this database is running; waiting for its end"))


class _Copy:
    """One run."""

    def __init__(
        self, sides: Sides, lease: Lease | None, say: Callable[[str], None], is_dry_run: bool
    ) -> None:
        self._sides, self._lease, self._say = sides, lease, say
        self._tables = _state_tables(sides)
        self._events = SourceEvents(sides.source)
        self._store = EventStore(sides.target, kind=_KIND, patience_seconds=PATIENCE_SECONDS)
        self._report = CopyReport(is_dry_run)
        self._is_dry_run = is_dry_run

    def run(self) -> CopyReport:
        """Do it."""
        self._say("Looking at what both sides have")
        self._wait_for_replicas()
        source, target = (take_inventory(client, self._tables) for client in self._sides)
        plan = make_plan(self._sides, self._tables, source, target)
        tally = self._copy_events(plan, source)
        memory = Memory(self._sides)
        past = Past(self._sides, self._tables, self._events, self._store, memory, is_dry_run=self._is_dry_run)
        past.copy(plan, source, self._go_on)
        self._report.faults += past.refused_lines()
        self._report.notes += past.remembered_lines()
        rejected = copy_rejected(self._sides, is_dry_run=self._is_dry_run)
        self._report.notes += [] if self._is_dry_run else self._store.settle()
        after = (source, target)
        if plan.by_events or plan.by_states:
            self._say("Comparing both sides")
            self._wait_for_replicas()
            after = (
                take_inventory(self._sides.source, self._tables),
                take_inventory(self._sides.target, self._tables),
            )
        self._report.tables = self._lines(plan, past, tally, rejected, source, target, after[1])
        self._note_traces()
        if not self._is_dry_run:
            counted = verify(
                self._sides,
                self._tables,
                self._store,
                self._events,
                plan,
                past,
                source,
                after,
                self._report,
            )
            memory.note(counted, after[0])
        return self._report

    def _wait_for_replicas(self) -> None:
        if not self._is_dry_run:
            states = (table.name for table in self._tables)
            wait_for_replicas(self._sides.target, ["events", "rejected_events", *states])

    def _copy_events(self, plan: Plan, source: Inventory) -> Tally:
        tally = Tally("events", "events")
        running = Import(self._store, is_dry_run=self._is_dry_run, on_progress=self._tell)
        self._expected = sum(source.events[unit].events for unit in plan.by_events)
        for stretch in stretches(plan.by_events, source):
            running.run(self._chunks(stretch), tally)
        return tally

    def _chunks(self, stretch: Stretch) -> Iterator[Chunk]:
        nothing = rows_of([], stretch.service)
        # Where there is something already, few events may be missing: those are then asked for by their ids.
        is_new = not self._is_dry_run and not self._has_events(stretch)
        for page in self._events.pages(stretch, with_rows=is_new):
            yield Chunk(page, nothing, [])

    def _has_events(self, stretch: Stretch) -> bool:
        return bool(
            ask(
                self._sides.target,
                "SELECT 1 FROM events WHERE service_name = unhex({service:String}) "
                f"AND toDate(timestamp) BETWEEN toDate('{stretch.first}') AND toDate('{stretch.last}') LIMIT 1",
                {"service": name_digits(stretch.service)},
            )
        )

    def _tell(self, tally: Tally) -> None:
        self._go_on(f"{tally.read:,} of {self._expected:,} events")

    def _go_on(self, what: str) -> None:
        if self._lease is not None:
            self._lease.check()
        self._say(what)

    def _left(self, past: Past, source: Inventory) -> int:
        """Return how many events stay in the source only."""
        left = sum(source.events[unit].events for unit in past.without_events if unit in source.events)
        if left:
            self._report.notes.append(
                f"{left:,} events of days of which some are gone already stay in the source: the target would delete them "
                "by their age, or has other states of these days, or is a cluster, which takes no events past its views"
            )
        return left

    def _twice(self, plan: Plan, source: Inventory, read: int) -> int:
        """Return how many rows of the source stand for an event that another row is."""
        # Where as many events were read as there are rows, none is there twice.
        units = plan.by_states if read == self._expected else plan.by_events | plan.by_states
        twice = sum(
            count.events - count_distinct_events(self._sides.source, *unit)
            for unit, count in source.events.items()
            if unit in units
        )
        if twice > 0:
            self._report.notes.append(
                f"The source has {twice:,} rows of events that it has already, as foreign clients can store them; "
                "the target counts each event once"
            )
        return max(twice, 0)

    def _lines(
        self,
        plan: Plan,
        past: Past,
        tally: Tally,
        rejected: RejectedCount,
        source: Inventory,
        before: Inventory,
        after: Inventory,
    ) -> list[TableLine]:
        in_source = sum(count.events for count in source.events.values())
        in_source -= self._twice(plan, source, tally.read)
        copied = tally.stored + past.events
        there = max(in_source - copied - self._left(past, source), 0)
        return [
            TableLine("events", in_source, copied, there, _count(self._sides.target, "events")),
            *(self._line(table, plan, past, source, before, after) for table in self._tables),
            TableLine(
                "rejected_events",
                rejected.in_source,
                rejected.copied,
                rejected.in_source - rejected.copied,
                _count(self._sides.target, "rejected_events"),
            ),
        ]

    def _line(
        self,
        table: StateTable,
        plan: Plan,
        past: Past,
        source: Inventory,
        before: Inventory,
        after: Inventory,
    ) -> TableLine:
        name = table.name
        in_source = source.keys(name)
        if self._is_dry_run:
            # What the views of the target will make of the events is known to the unit.
            of_events = (
                max(count.keys - before.keys_of(name, unit), 0)
                for unit, count in source.states[name].items()
                if unit in plan.by_events
            )
            copied = past.keys[name] + sum(of_events)
        else:
            copied = max(after.keys(name) - before.keys(name), 0)
        return TableLine(name, in_source, copied, max(in_source - copied, 0), after.keys(name))

    def _note_traces(self) -> None:
        try:
            rows = _count(self._sides.source, "otel_traces")
        except ClickHouseError as error:
            if error.code != UNKNOWN_TABLE:
                raise
            return
        if rows:
            self._report.notes.append(
                f"The {rows:,} spans of otel_traces stay where they are: what they gave is in events"
            )


def _state_tables(sides: Sides) -> Collection[StateTable]:
    """Return the state tables, which are the same on both sides, as one of them describes them."""
    try:
        return load_states(sides.source)
    except SchemaError:
        # Those of a cluster lie behind others; the views are the same.
        return load_states(sides.target)


def _count(client: ClickHouse, table: str) -> int:
    return int(ask(client, f"SELECT count() FROM {table}")[0][0])
