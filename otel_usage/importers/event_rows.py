"""Events on their way into the table: their ids and times now, their columns when it is known which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from otel_usage.importers.identity import id_of
from otel_usage.model import Event
from otel_usage.pipeline.rows import to_columns


class Rows(Protocol):
    """Events of one service."""

    @property
    def service(self) -> str:
        """The service of all of them."""

    @property
    def names(self) -> frozenset[str]:
        """Names that the events have."""

    @property
    def ids(self) -> Sequence[bytes]:
        """One id for each event."""

    @property
    def times(self) -> Sequence[int]:
        """One time for each: nanoseconds since the epoch, UTC."""

    def columns(self, places: Sequence[int]) -> list[list[Any]]:
        """Return the columns, in the order of `COLUMNS`, of the events at these places."""


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

    def columns(self, places: Sequence[int]) -> list[list[Any]]:
        """Return the columns of the events at these places."""
        return self._rows.columns([self._places[place] for place in places])
