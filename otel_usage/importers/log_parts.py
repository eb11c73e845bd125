"""Columns of many logged requests at once, each distinct part of which is worked out only once.

A request of a log consists of parts that have nothing to do with each other: who asked, for what, with which agent,
from where. Lines share their parts: a day of a site has some thousand agents, addresses and targets. So
each distinct part becomes an event that has nothing but its attributes, is enriched as every event, and read by
`to_columns` as every event is. A column of a request is then the one of that part in which it differs from an event
without any attributes. What is inserted is said in `COLUMNS` alone, and an event per line is never built, which
would take longer than all the rest. Numbers, such as the size of the answer, go into their columns as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.importers.event_rows import Encoded, column_bodies, encode_columns
from otel_usage.importers.identity import ID_BYTES, TRACE_BYTES, build_event
from otel_usage.model import Attributes, Event
from otel_usage.pipeline.rows import COLUMNS, to_columns

MadePart: TypeAlias = Attributes | str
"""The attributes of a part, or why a request with this part is no event."""

_NAMES = [column.name for column in COLUMNS]
_NO_ID = bytes(ID_BYTES)
_MAX_REMEMBERED = 50_000
_MAX_REMEMBERED_CHARACTERS = 16_000_000


def part_event(service: str, attributes: Attributes) -> Event:
    """Return the enriched event of a request of which one part alone is known."""
    return enrich(build_event(names.REQUEST, _NO_ID, 0, service, dict(attributes)))


class _Remembered:
    """The distinct values of one part so far."""

    def __init__(self) -> None:
        self.place_by_key: dict[Hashable, int] = {}
        self.columns: dict[int, list[Any]] = {}
        """Those that some value fills, by their place in `COLUMNS`; one entry for each value."""
        self.reasons: dict[int, str] = {}
        """Why a value makes no event, by its place."""
        self.characters = 0


class Part:
    """One part of requests.

    Args:
        service: the service of the events.
        make: returns the event that has the attributes of one value of the part alone, or why there is none.
    """

    def __init__(self, service: str, make: Callable[[Any], Event | str]) -> None:
        self._empty = part_event(service, {})
        self._base = [column[0] for column in to_columns([self._empty])]
        self._make = make
        self._remembered = _Remembered()

    def find(self, keys: Sequence[Hashable]) -> FoundPart:
        """Return the values of the part that some requests have."""
        remembered = self._remembered
        if (
            len(remembered.place_by_key) > _MAX_REMEMBERED
            or remembered.characters > _MAX_REMEMBERED_CHARACTERS
        ):
            # What was found before keeps the old one.
            remembered = self._remembered = _Remembered()
        new = set(keys).difference(remembered.place_by_key)
        if new:
            self._add(remembered, new)
        return FoundPart(remembered, list(map(remembered.place_by_key.__getitem__, keys)))

    def _add(self, remembered: _Remembered, keys: Iterable[Hashable]) -> None:
        events = []
        first = len(remembered.place_by_key)
        for place, key in enumerate(keys, first):
            made = self._make(key)
            if isinstance(made, str):
                remembered.reasons[place] = made
                made = self._empty
            remembered.place_by_key[key] = place
            remembered.characters += len(str(key))
            events.append(made)
        for number, values in enumerate(to_columns(events)):
            if number in remembered.columns:
                remembered.columns[number].extend(values)
            elif any(value != self._base[number] for value in values):
                remembered.columns[number] = [self._base[number]] * first + values


class FoundPart:
    """The values of one part of some requests."""

    def __init__(self, remembered: _Remembered, places: list[int]) -> None:
        # As it is now: more values come while another thread reads these.
        self._columns = dict(remembered.columns)
        self._reasons = remembered.reasons
        self._places = places

    def reasons(self) -> dict[int, str]:
        """Return why requests are no events, by their numbers."""
        reasons = self._reasons
        if not reasons:
            return {}
        return {number: reasons[place] for number, place in enumerate(self._places) if place in reasons}

    def fill(self, columns: list[list[Any] | None], base: Sequence[Any], wanted: Sequence[int]) -> None:
        """Fill in the columns that this part says something of, for the requests of these numbers."""
        places = self._places
        if len(wanted) < len(places):
            places = [places[number] for number in wanted]
        for column, known in self._columns.items():
            values = list(map(known.__getitem__, places))
            present, empty = columns[column], base[column]
            columns[column] = (
                values
                if present is None
                else [
                    value if value != empty else other for value, other in zip(values, present, strict=True)
                ]
            )


class LogRows:
    """Requests of a log, as rows that were not built one by one."""

    names = frozenset({names.REQUEST})

    def __init__(
        self,
        service: str,
        ids: Sequence[bytes],
        times: Sequence[int],
        numbers: Sequence[int],
        parts: Sequence[FoundPart],
        measured: Mapping[str, Sequence[Any]],
    ) -> None:
        """Take the requests in.

        Args:
            service: of all of them.
            ids: one for each request.
            times: nanoseconds since the epoch.
            numbers: which of the requests that the parts are of these are.
            parts: what is known of them and may be shared.
            measured: what is not, and goes into its column as it is, by the name of the column.
        """
        self.service, self.ids, self.times = service, ids, times
        self._numbers, self._parts, self._measured = numbers, parts, measured

    def columns(self, places: Sequence[int]) -> list[list[Any]]:
        """Return the columns of the events at these places."""
        ids = [self.ids[place] for place in places]
        filled: list[list[Any] | None] = [None] * len(COLUMNS)
        filled[_NAMES.index("timestamp")] = [self.times[place] for place in places]
        filled[_NAMES.index("trace_id_bytes")] = [event_id[:TRACE_BYTES] for event_id in ids]
        filled[_NAMES.index("span_id_bytes")] = [event_id[TRACE_BYTES:] for event_id in ids]
        base = [column[0] for column in to_columns([part_event(self.service, {})])]
        numbers = [self._numbers[place] for place in places]
        for name, values in self._measured.items():
            filled[_NAMES.index(name)] = [values[number] for number in numbers]
        for part in self._parts:
            part.fill(filled, base, numbers)
        return [
            [empty] * len(ids) if column is None else column
            for column, empty in zip(filled, base, strict=True)
        ]

    def encoded(self, places: Sequence[int]) -> Encoded:
        """Return the events at these places for an insert."""
        return encode_columns(self.columns(places))

    def bodies(self, places: Sequence[int]) -> list[str]:
        """Return what `rejected_events` would keep of them."""
        return column_bodies(self.columns(places))
