"""Copies the days of which events are gone: their states as they are, and the events that are left beside the views."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date

from otel_usage.copying.census import Inventory, Unit
from otel_usage.copying.memory import Memory
from otel_usage.copying.pages import Page, SourceEvents
from otel_usage.copying.plan import Plan, by_month, stretches
from otel_usage.copying.sides import Sides, ask, patiently
from otel_usage.copying.states import Lacking, StateCopier
from otel_usage.importers.store import EventStore
from otel_usage.schema.form import cluster_in_force
from otel_usage.schema.states import StateTable

_BESIDE = "copied_events"


class Past:
    """Copies what `Plan.by_states` names."""

    def __init__(
        self,
        sides: Sides,
        tables: Collection[StateTable],
        source_events: SourceEvents,
        store: EventStore,
        memory: Memory,
        *,
        is_dry_run: bool,
    ) -> None:
        self._sides, self._tables, self._memory = sides, tables, memory
        self._source_events, self._store = source_events, store
        self._states = StateCopier(sides)
        self._is_dry_run = is_dry_run
        self.without_events: set[Unit] = set()
        """The events of these stay in the source."""
        self.events = 0
        """Newly stored."""
        self.keys: Counter[str] = Counter()
        """The same of each state table."""
        self.refused: dict[Unit, list[str]] = {}
        """Of these the target has other states, in which tables."""
        self.remembered: set[Unit] = set()
        """Of these too, and an earlier copy saw that they count all that the source's count."""
        self._left_behind: list[date] = []

    def copy(self, plan: Plan, source: Inventory, on_progress: Callable[[str], None]) -> None:
        """Copy all of it; a unit that is refused keeps what the target has."""
        if not self._is_dry_run:
            self._drop_beside()
        for number, unit in enumerate(sorted(plan.by_states)):
            on_progress(f"{number:,} of {len(plan.by_states):,} days of summaries")
            self._copy_states(unit, plan, source)
        units = {unit for unit in plan.by_states if plan.takes_events(unit)} - self.refused.keys()
        if cluster_in_force(self._sides.target):
            # A table beside `events` would be one more way into the shards, and their views count what comes.
            left = {unit for unit in units if self._lacks_events(unit, source)}
            self._left_behind = sorted(day for day, _ in left)
            units -= left
        self.without_events = plan.by_states - units
        for of_month in by_month(units):
            self._copy_events(of_month, source)

    def _copy_states(self, unit: Unit, plan: Plan, source: Inventory) -> None:
        """Copy the states of a unit in all tables, or in none."""
        lacking: list[Lacking] = []
        others = []
        is_counted = True
        for table in self._tables:
            count = source.states[table.name].get(unit)
            if count is None or not plan.takes_states(table.name, unit):
                continue
            found = self._states.lacking(table, unit, count)
            if found is None:
                others.append(table.name)
                is_counted = is_counted and self._memory.holds(table.name, unit, count)
            else:
                lacking += found
        if others and not is_counted:
            self.refused[unit] = others
            return
        if others:
            self.remembered.add(unit)
        for some in lacking:
            self.keys[some.table.name] += some.keys
            if not self._is_dry_run:
                self._states.send(some)

    def _lacks_events(self, unit: Unit, source: Inventory) -> bool:
        days = stretches([unit], source)
        pages = (page for stretch in days for page in self._source_events.pages(stretch, with_rows=False))
        return any(self._store.count_missing(page) for page in pages)

    def _copy_events(self, units: Collection[Unit], source: Inventory) -> None:
        """Store the events that are left of some units of one month in one step, past the views that count them."""
        target = self._sides.target
        missing = 0
        for stretch in stretches(units, source):
            for page in self._source_events.pages(stretch, with_rows=False):
                places = self._store.missing(page)
                if places and not self._is_dry_run:
                    if not missing:
                        target.command(f"CREATE TABLE {_BESIDE} AS events")
                    self._put_beside(page, places)
                missing += len(places)
        self.events += missing
        if missing and not self._is_dry_run:
            self._attach()
            self._drop_beside()

    def _drop_beside(self) -> None:
        # Also what a copy that was killed has left. Asked first, because few accounts may drop tables.
        named = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
        if ask(self._sides.target, named, {"name": _BESIDE}):
            self._sides.target.command(f"DROP TABLE {_BESIDE} SYNC")

    def _attach(self) -> None:
        target = self._sides.target
        partitions = target.query(
            "SELECT DISTINCT partition_id FROM system.parts "
            f"WHERE database = currentDatabase() AND table = '{_BESIDE}' AND active"
        ).rows
        for (partition,) in partitions:
            target.command(f"ALTER TABLE events ATTACH PARTITION ID '{partition}' FROM {_BESIDE}")

    def _put_beside(self, page: Page, places: Iterable[int]) -> None:
        places = list(places)
        names, block = page.encoded(places)
        token = f"copy-{page.ids[places[0]].hex()}"
        patiently(
            self._sides.target, lambda: self._sides.target.insert_native(_BESIDE, names, block, token=token)
        )

    def remembered_lines(self) -> list[str]:
        """Return what to tell of the units that an earlier copy saw counted."""
        return [
            f"{_span(days, service)} cannot be compared any more: events are gone, and the target has others of these days "
            "too. An earlier copy found all of the source in the target, and the source has counted nothing since"
            for service, days in _days_by_service(self.remembered)
        ]

    def refused_lines(self) -> list[str]:
        """Return what to tell of the units that were refused."""
        tables = ", ".join(sorted({table for names in self.refused.values() for table in names}))
        lines = []
        if left := self._left_behind:
            lines.append(
                f"what is left of the events of {len(set(left))} days, {left[0]} to {left[-1]}, whose other events are gone, "
                "was not copied: over a cluster nothing can be stored past the views, which would count it again"
            )
        return lines + [
            f"the states of {_span(days, service)} were not copied: the target has others of these days (in {tables}), "
            "and of events that are gone nobody can tell whether both count the same. A copy into a new database takes them"
            for service, days in _days_by_service(self.refused)
        ]


def _days_by_service(units: Iterable[Unit]) -> list[tuple[str, list[date]]]:
    days: defaultdict[str, list[date]] = defaultdict(list)
    for day, service in sorted(units):
        days[service].append(day)
    return sorted(days.items())


def _span(days: Sequence[date], service: str) -> str:
    """Return days, in order, in words."""
    if len(days) == 1:
        return f"{days[0]} of {service!r}"
    return f"{len(days)} days of {service!r}, {days[0]} to {days[-1]},"
