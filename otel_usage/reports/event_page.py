"""Lists of single events, a page at a time, newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import load_sql
from otel_usage.reports.paging import read_page

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PLACE = re.compile(r"([0-9]{1,19})-([0-9a-f]{48})", re.ASCII)
_MAX_NS = 2**63 - 1


class Place(NamedTuple):
    """Where an event stands in the order of all events."""

    time_ns: int
    event_id: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place that was written as text.

        Raises:
            ValueError: it is none.
        """
        match = _PLACE.fullmatch(text)
        if match is None or int(match[1]) > _MAX_NS:
            raise ValueError(f"{text[:50]!r} is no place of an event, expected one from a link of this list")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.time_ns}-{self.event_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events a list has. An empty text stands for all."""

    event_names: tuple[str, ...]
    since: datetime
    until: datetime
    """Both aware; half open."""
    service: str = ""
    object_type: str = ""
    object_id: str = ""
    user_id: str = ""
    visit_key: str = ""
    """32 hex digits."""
    session: str = ""
    """Name of a login session, which some events have as a property."""
    client_address: str = ""
    """IPv4 or IPv6."""
    is_bot: bool | None = None
    """Robots alone, people alone, or all."""


class ListedEvent(NamedTuple):
    """One event of a list; fields as in `sql/event_page.sql`."""

    time_ns: int
    event_id: str
    event_name: str
    service_name: str
    user_id: str
    visit_key: str
    client_address: str
    country: str
    browser: str
    os: str
    user_agent: str
    is_bot: int
    bot_name: str
    path: str
    query: str
    referrer: str
    object_type: str
    object_id: str
    properties: Mapping[str, str]

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.time_ns, self.event_id)


class EventPage(NamedTuple):
    """Some events, newest first, and where the pages beside them begin."""

    events: list[ListedEvent]
    newer: Place | None
    """Ask for the page after this place; None: there are no newer events."""
    older: Place | None
    """Ask for the page before this place; None: there are no older events."""


def read_event_page(
    client: ClickHouse,
    wanted: EventFilter,
    *,
    size: int,
    before: Place | None = None,
    after: Place | None = None,
    settings: Mapping[str, Any] | None = None,
) -> EventPage:
    """Return the newest events, those right before a place, or those right after one.

    Args:
        client: of the database that is asked.
        wanted: which events.
        size: most events of a page.
        before: the place of the oldest event of the page that was seen.
        after: the place of the newest event of the page that was seen; not together with `before`.
        settings: further ClickHouse settings, such as a limit of time.

    Raises:
        ClickHouseError: ClickHouse could not answer.
    """
    page = read_page(
        lambda limit, older_than, newer_than: _ask(client, wanted, limit, older_than, newer_than, settings),
        lambda event: event.place,
        size,
        behind=before,
        before=after,
    )
    return EventPage(page.rows, page.previous, page.next)


def _ask(
    client: ClickHouse,
    wanted: EventFilter,
    limit: int,
    before: Place | None,
    after: Place | None,
    settings: Mapping[str, Any] | None,
) -> list[ListedEvent]:
    since_ns, until_ns = _nanoseconds(wanted.since), _nanoseconds(wanted.until)
    place = after or before or Place(_MAX_NS, "f" * 48)
    # The conditions on the time alone are what parts are left out by.
    if after is not None:
        since_ns = max(since_ns, after.time_ns)
    elif before is not None:
        until_ns = min(until_ns, before.time_ns + 1)
    parameters = {
        "event_names": list(wanted.event_names),
        "since_ns": since_ns,
        "until_ns": until_ns,
        "service": wanted.service,
        "object_type": wanted.object_type,
        "object_id": wanted.object_id,
        "user_id": wanted.user_id,
        "visit_key": wanted.visit_key,
        "session": wanted.session,
        "client_address": wanted.client_address or "::",
        "bots": -1 if wanted.is_bot is None else int(wanted.is_bot),
        "is_upwards": int(after is not None),
        "place_ns": place.time_ns,
        "place_trace_id": place.event_id[:32],
        "place_span_id": place.event_id[32:],
        "limit": limit,
    }
    result = client.query(
        load_sql("event_page"), parameters, {"log_comment": "otel_usage event page", **(settings or {})}
    )
    return [ListedEvent(*row) for row in result.rows]


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
