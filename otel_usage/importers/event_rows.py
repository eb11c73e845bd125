"""Events on their way into the table: their ids and times now, their columns when it is known which are missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from otel_usage.attributes import MAX_TEXT
from otel_usage.clickhouse import encode_native
from otel_usage.importers.identity import id_of
from otel_usage.model import Event
from otel_usage.pipeline.rows import COLUMNS, to_columns

_NAMES = [column.name for column in COLUMNS]


class Encoded(NamedTuple):
    """Some events as an insert takes them."""

    names: Sequence[str]
    """Columns that they have; what the others would have is their default."""
    block: bytes


class Rows(Protocol):
    """Events of one service."""

    @property
    def service(self) -> str:
        """The service of all of them."""

    @property
    def names(self) -> frozenset[str]:
        """Names that the events have; empty when any are possible."""

    @property
    def ids(self) -> Sequence[bytes]:
        """One id for each event."""

    @property
    def times(self) -> Sequence[int]:
        """One time for each: nanoseconds since the epoch, UTC."""

    def encoded(self, places: Sequence[int]) -> Encoded:
        """Return the events at these places for an insert.

        Raises:
            ClickHouseError: they cannot be encoded.
        """

    def bodies(self, places: Sequence[int]) -> list[str]:
        """Return what `rejected_events` keeps of each of them if ClickHouse does not take them.

        Nothing at all where the events stay in the source: then the refusal is an error.
        """


class EventRows(NamedTuple):
    """Events that were built one by one."""

    service: str
    names: frozenset[str]
    ids: list[bytes]
    times: list[int]
    events: Sequence[Event]

    def columns(self, places: Sequence[int]) -> list[list[Any]]:
        """Return the columns of the events at these places."""
        return to_columns([self.events[place] for place in places])

    def encoded(self, places: Sequence[int]) -> Encoded:
        """Return the events at these places for an insert."""
        return encode_columns(self.columns(places))

    def bodies(self, places: Sequence[int]) -> list[str]:
        """Return what `rejected_events` would keep of them."""
        return column_bodies(self.columns(places))


def rows_of(events: Sequence[Event], service: str) -> EventRows:
    """Return the rows of some events of a service."""
    return EventRows(
        service,
        frozenset(event.name for event in events),
        [id_of(event) for event in events],
        [event.timestamp_ns for event in events],
        events,
    )


class SomeRows:
    """Some of other rows."""

    def __init__(self, rows: Rows, places: Sequence[int]) -> None:
        self.service, self.names = rows.service, rows.names
        self.ids: Sequence[bytes] = [rows.ids[place] for place in places]
        self.times: Sequence[int] = [rows.times[place] for place in places]
        self._rows, self._places = rows, places

    def encoded(self, places: Sequence[int]) -> Encoded:
        """Return the events at these places for an insert."""
        return self._rows.encoded([self._places[place] for place in places])

    def bodies(self, places: Sequence[int]) -> list[str]:
        """Return what `rejected_events` would keep of them."""
        return self._rows.bodies([self._places[place] for place in places])


def encode_columns(columns: list[list[Any]]) -> Encoded:
    """Return columns in the order of `COLUMNS` for an insert."""
    # Old data say little. What a column would have without a value need not be sent.
    said = [
        (column, values)
        for column, values in zip(COLUMNS, columns, strict=True)
        if column.type.startswith("Nullable") or any(values)
    ]
    names = [column.name for column, _ in said]
    return Encoded(
        names, encode_native(names, [column.type for column, _ in said], [values for _, values in said])
    )


def column_bodies(columns: list[list[Any]]) -> list[str]:
    """Return what `rejected_events` keeps of each row of such columns."""
    return [
        kept_body({name: value for name, value in zip(_NAMES, row, strict=True) if value})
        for row in zip(*columns, strict=True)
    ]


def kept_body(row: Mapping[str, object]) -> str:
    """Return a row as `rejected_events` keeps it."""
    return json.dumps({name: str(value)[:MAX_TEXT] for name, value in row.items()})
