"""Builds events with good defaults, so that a test says only what matters to it, and stores them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import NO_SPAN, AttributeValue, Event
from otel_usage.pipeline.rows import COLUMNS, to_columns

NOON = "2026-03-10T12:00:00"

_ATTRIBUTE_BY_COLUMN = {
    "user_id": names.USER_ID,
    "client_address": names.CLIENT_ADDRESS,
    "user_agent": names.USER_AGENT,
    "browser": names.BROWSER,
    "os": names.OS,
    "device_type": names.DEVICE_TYPE,
    "country": names.COUNTRY,
    "region": names.REGION,
    "city": names.CITY,
    "method": names.METHOD,
    "scheme": names.SCHEME,
    "host": names.HOST,
    "path": names.PATH,
    "query": names.QUERY,
    "language": names.LANGUAGE,
    "bytes_sent": names.RESPONSE_SIZE,
    "route": names.ROUTE,
    "status_code": names.STATUS_CODE,
    "referrer_domain": names.REFERRER_DOMAIN,
    "campaign_source": names.CAMPAIGN_SOURCE,
    "object_type": names.OBJECT_TYPE,
    "object_id": names.OBJECT_ID,
    "funnel": names.FUNNEL,
    "stage": names.STAGE,
    "stage_index": names.STAGE_INDEX,
    "counter_name": names.COUNTER_NAME,
    "counter_value": names.COUNTER_VALUE,
}
_REQUEST: dict[str, AttributeValue] = {
    names.CLIENT_ADDRESS: "192.0.2.1",
    names.BROWSER: "Firefox",
    names.OS: "Linux",
    names.DEVICE_TYPE: "desktop",
    names.METHOD: "GET",
    names.PATH: "/",
    names.ROUTE: "/",
    names.STATUS_CODE: 200,
}
_numbers = itertools.count(1)


def nanoseconds(moment: str) -> int:
    """Return `2026-03-10T12:00:00.000000001` (UTC) as nanoseconds since the epoch."""
    whole, _, fraction = moment.partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0") or 0)


def key_of(name: str) -> str:
    """Return the visit key or visitor id that stands for a short name: 32 hex digits, '' for ''."""
    return hashlib.md5(name.encode()).hexdigest() if name else ""


def build_event(
    name: str = names.REQUEST,
    at: str = NOON,
    *,
    service: str = "shop",
    visit: str = "",
    visitor: str = "",
    is_new: bool = False,
    is_bot: bool = False,
    duration_ns: int = 1_000_000,
    **columns: AttributeValue,
) -> Event:
    """Return an event, by default a request of Firefox on Linux from 192.0.2.1 for `/` at noon.

    Args:
        name: the event's name.
        at: its time in UTC, with up to nine digits after the point.
        service: service name.
        visit: a short name for the visit; '' for none.
        visitor: a short name for the visitor; '' for none.
        is_new: the request opens the visit.
        is_bot: it is a robot's.
        duration_ns: time to the response.
        **columns: further values by the name of their column.
    """
    attributes = dict(_REQUEST)
    attributes[names.VISIT_IS_NEW] = is_new
    if visit:
        attributes[names.VISIT_KEY] = key_of(visit)
    if visitor:
        attributes[names.VISITOR_ID] = key_of(visitor)
    if is_bot:
        attributes[names.SYNTHETIC_TYPE] = "bot"
    attributes.update({_ATTRIBUTE_BY_COLUMN[column]: value for column, value in columns.items()})
    number = next(_numbers)
    return Event(
        name,
        nanoseconds(at),
        duration_ns,
        number.to_bytes(16, "big"),
        number.to_bytes(8, "big"),
        NO_SPAN,
        service,
        attributes,
    )


def build_stage(index: int, at: str, *, visit: str, funnel: str = "buy", **columns: AttributeValue) -> Event:
    """Return the event of a visit that reaches a stage, named after its place (`stage 1`) by default."""
    is_bot = bool(columns.pop("is_bot", False))
    service = str(columns.pop("service", "shop"))
    values: dict[str, Any] = {
        "funnel": funnel,
        "stage": f"stage {index}",
        "stage_index": index,
        **columns,
    }
    return build_event(names.STAGE_REACHED, at, service=service, visit=visit, is_bot=is_bot, **values)


def insert_events(client: ClickHouse, events: Sequence[Event], token: str = "") -> str:
    """Insert the events as one batch and return its token, a new one by default."""
    token = token or uuid4().hex
    client.insert(
        "events",
        [column.name for column in COLUMNS],
        [column.type for column in COLUMNS],
        to_columns(events),
        token=token,
    )
    return token
