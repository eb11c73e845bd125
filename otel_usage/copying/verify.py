"""Compares both sides after a copy: every event, and every state of every day."""

from __future__ import annotations

import time
from collections.abc import Collection

from otel_usage.copying.census import (
    Inventory,
    StateCount,
    Unit,
    count_given,
    count_states,
    take_inventory,
)
from otel_usage.copying.pages import SourceEvents, Stretch
from otel_usage.copying.plan import Plan, by_month
from otel_usage.copying.report import CopyReport
from otel_usage.copying.sides import Sides
from otel_usage.importers.store import EventStore
from otel_usage.schema.states import StateTable

_TRIES, _PAUSE_SECONDS = 5, 1.0
"""The states of an insert that is running come a moment after its events."""


def verify(
    sides: Sides,
    tables: Collection[StateTable],
    store: EventStore,
    events: SourceEvents,
    plan: Plan,
    refused: Collection[Unit],
    before: Inventory,
    report: CopyReport,
) -> None:
    """Add what is not equal to the faults of the report, and what explains a difference to its notes.

    Args:
        sides: both databases.
        tables: the state tables.
        store: finds what the target lacks.
        events: those of the source.
        plan: how each unit was copied.
        refused: units whose states were not copied, of which the report says so already.
        before: what the source had when the copy began.
        report: is added to.
    """
    source, target = (take_inventory(client, tables) for client in sides)
    late = 0
    for unit, count in source.events.items():
        if target.events.get(unit) == count or not plan.takes_events(unit) or unit in refused:
            continue
        day, service = unit
        pages = events.pages(Stretch(service, day, day, count.events), with_rows=False)
        missing = sum(store.count_missing(page) for page in pages)
        if missing and before.events.get(unit) != count:
            late += missing
        elif missing:
            report.faults.append(f"events: {missing:,} events of {service!r} on {day} are not in the target")
    if late:
        report.notes.append(
            f"The source has got {late:,} events since. Run the same command again to copy them"
        )
    _compare_states(sides, tables, plan, refused, (source, target), report)
    equal = sum(target.events.get(unit) == count for unit, count in source.events.items())
    report.compared = (
        f"{equal:,} of {len(source.events):,} days and services have the same events on both sides"
    )


def _compare_states(
    sides: Sides,
    tables: Collection[StateTable],
    plan: Plan,
    refused: Collection[Unit],
    inventories: tuple[Inventory, Inventory],
    report: CopyReport,
) -> None:
    source, target = inventories
    for table in tables:
        unlike = {
            unit
            for unit, count in source.states[table.name].items()
            if target.states[table.name].get(unit) != count
            and unit not in refused
            and plan.takes_states(table.name, unit)
        }
        for day, service in sorted(unlike & plan.by_states):
            report.faults.append(
                f"{table.name}: the states of {service!r} on {day} are not those of the source"
            )
        for of_month in by_month(unlike - plan.by_states):
            _compare_with_events(sides, table, of_month, inventories, report)


def _compare_with_events(
    sides: Sides,
    table: StateTable,
    units: Collection[Unit],
    inventories: tuple[Inventory, Inventory],
    report: CopyReport,
) -> None:
    """Compare the states of the target with its own events, where it has others than the source."""
    source, target = inventories
    differences = _differences(sides, table, units)
    for unit in units:
        day, service = unit
        stored, given = differences.get(unit, (None, None))
        if given is not None and given.exceeds(stored):
            report.faults.append(
                f"{table.name}: the states of {service!r} on {day} lack events that the target has. "
                f"Run: otel-usage rebuild --day {day}"
            )
        elif stored is not None:
            report.notes.append(
                f"{table.name}: the target has more of {service!r} on {day} than its events give, as when it has "
                "deleted some; that cannot be compared"
            )
        elif source.events.get(unit) == target.events.get(unit):
            report.notes.append(
                f"{table.name}: the states of {service!r} on {day} are not what the events give, in the source; in the "
                "target they are"
            )


def _differences(
    sides: Sides, table: StateTable, units: Collection[Unit]
) -> dict[Unit, tuple[StateCount | None, StateCount | None]]:
    """Return what the target has of units, and what its events give, where that is not the same."""
    days = {unit[0] for unit in units}
    month = min(days).year * 100 + min(days).month
    different: dict[Unit, tuple[StateCount | None, StateCount | None]] = {}
    for _ in range(_TRIES):
        # In this order: what comes between the two questions can only make the states the larger ones.
        given = count_given(sides.target, table, days)
        stored = count_states(sides.target, table, month)
        different = {
            unit: (stored.get(unit), given.get(unit)) for unit in units if stored.get(unit) != given.get(unit)
        }
        if not different:
            break
        time.sleep(_PAUSE_SECONDS)
    return different
