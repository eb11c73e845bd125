"""Which days of which services are copied how: as events, of which the target makes the states, or with their states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.copying.census import Inventory, Unit, count_given, day_groups
from otel_usage.copying.pages import Stretch
from otel_usage.copying.sides import Sides
from otel_usage.schema.retention import SUMMARIES, expired_since
from otel_usage.schema.states import StateTable


class Plan(NamedTuple):
    """What is to be done. What is in none of the sets is there already."""

    by_events: set[Unit]
    """All the events are there: the views of the target make the states of them."""
    by_states: set[Unit]
    """Events are gone on one side: the states are copied as they are, and the events that are left pass by the views."""
    expired: date | None
    """The last day of which the target deletes the events by age."""
    expired_summaries: date | None

    def takes_events(self, unit: Unit) -> bool:
        """Return whether the target keeps events of that day."""
        return self.expired is None or unit[0] > self.expired

    def takes_states(self, table: str, unit: Unit) -> bool:
        """Return whether the target keeps states of that day."""
        is_too_old = self.expired_summaries is not None and unit[0] <= self.expired_summaries
        return not (table == SUMMARIES.table and is_too_old)


def make_plan(sides: Sides, tables: Collection[StateTable], source: Inventory, target: Inventory) -> Plan:
    """Compare what both sides hold, and find the days of which events are gone on one side."""
    expired_in_source = expired_since(sides.source)
    expired = expired_since(sides.target)
    units = set(source.events).union(*source.states.values())
    with_other_states = {
        unit
        for unit in units
        if any(counts.get(unit) != target.states[table].get(unit) for table, counts in source.states.items())
    }
    with_other_events = {unit for unit in units if source.events.get(unit) != target.events.get(unit)}
    differing = with_other_states | with_other_events
    by_age = {
        unit
        for unit in differing
        if any(last is not None and unit[0] <= last for last in (expired_in_source, expired))
        or unit not in source.events
    }
    by_states = (
        by_age
        # Where both count the same, either all events that the source has left are in the target, or the target lacks
        # some.
        | _partly_gone(sides.source, tables, source, with_other_states - by_age)
        # An event that the target has deleted would count there a second time if it came by way of the views.
        | _partly_gone(sides.target, tables, target, with_other_events - by_age)
    )
    return Plan(differing - by_states, by_states, expired, expired_since(sides.target, SUMMARIES.table))


def _partly_gone(
    client: ClickHouse, tables: Collection[StateTable], inventory: Inventory, units: set[Unit]
) -> set[Unit]:
    """Return the units that have more in a state table than all their events give."""
    asked = {unit for unit in units if any(unit in counts for counts in inventory.states.values())}
    gone: set[Unit] = set()
    for days in day_groups({day for day, _ in asked}, inventory.events):
        # Later than the states were counted: each event that they count is among these.
        for table, given in count_given(client, tables, days).items():
            counts = inventory.states[table]
            gone |= {
                unit
                for unit in asked
                if unit[0] in days and unit in counts and counts[unit].exceeds(given.get(unit))
            }
    return gone


def by_month(units: Iterable[Unit]) -> list[list[Unit]]:
    """Return the units of each month."""
    months: defaultdict[tuple[int, int], list[Unit]] = defaultdict(list)
    for unit in sorted(units):
        months[unit[0].year, unit[0].month].append(unit)
    return list(months.values())


def stretches(units: Collection[Unit], inventory: Inventory) -> Iterator[Stretch]:
    """Yield the days of units that have events: those of a service and month in one, where no other day is between."""
    by_service: defaultdict[str, set[date]] = defaultdict(set)
    for day, service in inventory.events:
        by_service[service].add(day)
    for service, days in sorted(by_service.items()):
        wanted: list[date] = []
        for day in sorted(days):
            is_wanted = (day, service) in units
            if wanted and (not is_wanted or (day.year, day.month) != (wanted[0].year, wanted[0].month)):
                yield _stretch(service, wanted, inventory)
                wanted = []
            if is_wanted:
                wanted.append(day)
        if wanted:
            yield _stretch(service, wanted, inventory)


def _stretch(service: str, days: list[date], inventory: Inventory) -> Stretch:
    events = sum(inventory.events[day, service].events for day in days)
    return Stretch(service, days[0], days[-1], events)
