"""Compares both sides after a copy: every event, and every state of every day."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date
from typing import NamedTuple

from otel_usage.copying.census import (
    Inventory,
    StateCount,
    Unit,
    count_given,
    count_states,
    day_groups,
)
from otel_usage.copying.pages import SourceEvents, Stretch
from otel_usage.copying.past import Past
from otel_usage.copying.plan import Plan
from otel_usage.copying.report import CopyReport
from otel_usage.copying.sides import Sides
from otel_usage.importers.store import EventStore
from otel_usage.schema.states import StateTable

_OTHER = "the states of {services} on {day} are not those of the source (in {tables})"
_LACKING = (
    "the states of {services} on {day} lack events that the target has (in {tables}). "
    "Run: otel-usage rebuild --day {day}"
)
_MORE = (
    "The target has more of {services} on {day} than its events give (in {tables}), as when it has deleted some; that "
    "cannot be compared"
)
_DELETED = (
    "the source has deleted events of {services} on {day} while they were copied (in {tables}); nobody can tell whether "
    "the target counts them"
)
_TORN_IN_SOURCE = "In the source, the states of {services} on {day} are not what its events give (in {tables}); in the target they are"
_TRIES, _PAUSE_SECONDS = 5, 1.0
"""The states of an insert that is running come a moment after its events."""


def verify(
    sides: Sides,
    tables: Collection[StateTable],
    store: EventStore,
    events: SourceEvents,
    plan: Plan,
    past: Past,
    before: Inventory,
    inventories: tuple[Inventory, Inventory],
    report: CopyReport,
) -> set[tuple[str, Unit]]:
    """Add what is not equal to the faults of the report, and what explains a difference to its notes.

    Returns the tables and units of which the target was seen to count all that the source's states do.

    Args:
        sides: both databases.
        tables: the state tables.
        store: finds what the target lacks.
        events: those of the source.
        plan: how each unit was copied.
        past: what was copied of days whose events are gone, and what was not.
        before: what the source had when the copy began.
        inventories: what both have now.
        report: is added to.
    """
    source, target = inventories
    lacking, complete = _compare_events(store, events, plan, past, before, inventories, report)
    counted = _compare_states(sides, tables, plan, past, inventories, complete, report)
    equal = sum(target.events.get(unit) == count for unit, count in source.events.items())
    report.compared = (
        f"Compared: {equal:,} of {len(source.events):,} days and services have the same events on both sides; "
        + (
            "not everything is as it should be"
            if report.faults
            else f"none lacks in the target, and all states {'that can be compared ' if past.remembered else ''}agree"
        )
    )
    return {(table, unit) for table, unit in counted if unit not in lacking}


def _compare_events(
    store: EventStore,
    events: SourceEvents,
    plan: Plan,
    past: Past,
    before: Inventory,
    inventories: tuple[Inventory, Inventory],
    report: CopyReport,
) -> tuple[set[Unit], set[Unit]]:
    """Return the units of which the target lacks something, and those of which it has all events."""
    source, target = inventories
    late = 0
    lacking: set[Unit] = set(past.refused)
    complete: set[Unit] = set()
    for unit, count in source.events.items():
        if target.events.get(unit) == count:
            complete.add(unit)
            continue
        if not plan.takes_events(unit) or unit in past.without_events:
            continue
        day, service = unit
        pages = events.pages(Stretch(service, day, day, count.events), with_rows=False)
        missing = sum(store.count_missing(page) for page in pages)
        (lacking if missing else complete).add(unit)
        if missing and before.events.get(unit) != count:
            late += missing
        elif missing:
            report.faults.append(f"events: {missing:,} events of {service!r} on {day} are not in the target")
    if late:
        report.notes.append(
            f"The source has got {late:,} events since. Run the same command again to copy them"
        )
    return lacking, complete


def _compare_states(
    sides: Sides,
    tables: Collection[StateTable],
    plan: Plan,
    past: Past,
    inventories: tuple[Inventory, Inventory],
    complete: Collection[Unit],
    report: CopyReport,
) -> set[tuple[str, Unit]]:
    source, target = inventories
    findings: defaultdict[str, set[tuple[str, Unit]]] = defaultdict(set)
    counted: set[tuple[str, Unit]] = set()
    unlike: set[tuple[str, Unit]] = set()
    settled = past.refused.keys() | past.remembered
    for name, counts in source.states.items():
        for unit, count in counts.items():
            if target.states[name].get(unit) == count:
                counted.add((name, unit))
            elif unit not in settled and plan.takes_states(name, unit):
                unlike.add((name, unit))
    for name, unit in unlike:
        if unit in plan.by_states:
            findings[_OTHER].add((name, unit))
    asked = {unit for _, unit in unlike} - plan.by_states
    for days in day_groups({day for day, _ in asked}, target.events):
        units = {unit for unit in asked if unit[0] in days}
        differences = _differences(sides, tables, units)
        given = count_given(sides.source, tables, days)
        for name, unit in unlike:
            if unit not in units:
                continue
            has_same_events = source.events.get(unit) == target.events.get(unit)
            findings[_judge(differences.get((name, unit)), has_same_events)].add((name, unit))
            # Later than the states were counted: each event that they count is among these, or is gone.
            if source.states[name][unit].exceeds(given[name].get(unit)):
                findings[_DELETED].add((name, unit))
            elif unit in complete and (name, unit) not in differences:
                counted.add((name, unit))
    for fault in (_OTHER, _LACKING, _DELETED):
        report.faults += _lines(fault, findings)
    report.notes += _lines(_MORE, findings) + _lines(_TORN_IN_SOURCE, findings)
    return counted


def _judge(difference: _Difference | None, has_same_events: bool) -> str:
    """Return what it means that the target has other states than the source; '' for what its other events explain."""
    if difference is None:
        return _TORN_IN_SOURCE if has_same_events else ""
    if difference.given is not None and difference.given.exceeds(difference.stored):
        return _LACKING
    return _MORE


def _lines(finding: str, findings: Mapping[str, set[tuple[str, Unit]]]) -> list[str]:
    """Return a line for each day."""
    by_day: defaultdict[date, set[tuple[str, str]]] = defaultdict(set)
    for name, (day, service) in findings[finding]:
        by_day[day].add((name, service))
    return [
        finding.format(
            day=day,
            services=", ".join(sorted({repr(service) for _, service in found})),
            tables=", ".join(sorted({name for name, _ in found})),
        )
        for day, found in sorted(by_day.items())
    ]


class _Difference(NamedTuple):
    """What the target has of a unit, and what its events give."""

    stored: StateCount | None
    given: StateCount | None


def _differences(
    sides: Sides, tables: Collection[StateTable], units: Collection[Unit]
) -> dict[tuple[str, Unit], _Difference]:
    """Return where the states of the target are not what its events give, by table and unit."""
    days = {unit[0] for unit in units}
    different: dict[tuple[str, Unit], _Difference] = {}
    for _ in range(_TRIES):
        # In this order: what comes between the two questions can only make the states the larger ones.
        given = count_given(sides.target, tables, days)
        stored = count_states(sides.target, tables, days)
        different = {
            (table.name, unit): _Difference(stored[table.name].get(unit), given[table.name].get(unit))
            for table in tables
            for unit in units
            if stored[table.name].get(unit) != given[table.name].get(unit)
        }
        if not different:
            break
        time.sleep(_PAUSE_SECONDS)
    return different
