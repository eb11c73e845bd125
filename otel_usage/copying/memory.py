"""Remembers what was found to be counted in the target, because nobody can tell any more once the events are gone.

Where the target has other events of a day too, its states are not those of the source. As long as the events are
there they say what is counted; afterwards only this does. A note holds as long as the source has the same states:
then it has counted nothing since.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

from otel_usage.copying.census import Inventory, StateCount, Unit
from otel_usage.copying.sides import Sides, ask, patiently
from otel_usage.importers.journal import Entry, Journal
from otel_usage.importers.lookup import name_digits

_KIND = "counted-"
_ENTRIES_AN_INSERT = 50_000


class Memory:
    """The notes of all copies from this source, in `imports` of the target."""

    def __init__(self, sides: Sides) -> None:
        self._target = sides.target
        of_source = (
            "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
        )
        # Another source with the same states would have other events.
        self._source = str(ask(sides.source, of_source)[0][0])
        notes = ask(sides.target, f"SELECT DISTINCT batch FROM imports WHERE startsWith(batch, '{_KIND}')")
        self._known = {row[0] for row in notes}

    def holds(self, table: str, unit: Unit, states: StateCount) -> bool:
        """Return whether all that these states of the source count was found in the target."""
        return self._name(table, unit, states) in self._known

    def note(self, counted: Iterable[tuple[str, Unit]], source: Inventory) -> None:
        """Write down what was found.

        Args:
            counted: table and unit of states of the source.
            source: has them as they were before the target was looked at.

        Raises:
            OtelUsageError: ClickHouse did not take it.
        """
        at_ns = time.time_ns()
        entries = []
        for table, unit in sorted(counted):
            name = self._name(table, unit, source.states[table][unit])
            if name not in self._known:
                day, service = unit
                entries.append(Entry(name, 0, True, service, (day,), 0, 0, at_ns))
        for start in range(0, len(entries), _ENTRIES_AN_INSERT):
            some = entries[start : start + _ENTRIES_AN_INSERT]
            patiently(self._target, lambda: Journal(self._target).write(some))  # noqa: B023 - called at once

    def _name(self, table: str, unit: Unit, states: StateCount) -> str:
        day, service = unit
        text = repr((self._source, table, day.isoformat(), name_digits(service), tuple(states)))
        return _KIND + hashlib.sha256(text.encode()).hexdigest()
