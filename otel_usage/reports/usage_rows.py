"""One request as the dictionary that Flask-Track-Usage's `get_usage` gives for it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from otel_usage.reports.access_log import request_target
from otel_usage.reports.event_page import Place
from otel_usage.reports.old_agent import old_browser, old_platform

_EPOCH = datetime(1970, 1, 1)  # naive, as Flask-Track-Usage's times are
_NS_PER_SECOND = 1_000_000_000
_REGION_CODE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)
_UNREADABLE = "_unreadable"
"""Key under which `track_var` has what somebody stored who did not write JSON."""


class UsageRow(NamedTuple):
    """One row of `sql/usage_page.sql`."""

    time_ns: int
    event_id: str
    scheme: str
    host: str
    path: str
    query: str
    user_agent: str
    browser: str
    browser_version: str
    os: str
    language: str
    blueprint: str
    view_args: Mapping[str, str]
    status_code: int
    client_address: str
    client_address_hash: str
    forwarded_for: str
    has_authorization: int
    country: str
    region: str
    city: str
    duration_ns: int
    user_id: str
    track_var: str

    @property
    def place(self) -> Place:
        """Where it stands in the order of all requests."""
        return Place(self.time_ns, self.event_id)


def to_usage(row: UsageRow) -> dict[str, Any]:
    """Return the dictionary of a request, with exactly the old keys."""
    return {
        "url": _url(row),
        "user_agent": {
            "browser": old_browser(row.browser),
            "language": row.language or None,
            "platform": old_platform(row.os, row.user_agent),
            "version": row.browser_version or None,
        },
        "blueprint": row.blueprint or None,
        "view_args": dict(row.view_args) or None,
        "status": row.status_code,
        "remote_addr": row.client_address or row.client_address_hash or None,
        "xforwardedfor": row.forwarded_for or None,
        "authorization": bool(row.has_authorization),
        "ip_info": _ip_info(row),
        "path": row.path,
        "speed": row.duration_ns / _NS_PER_SECOND,
        "date": _EPOCH + timedelta(microseconds=row.time_ns // 1000),
        "username": row.user_id or None,
        "track_var": _track_var(row.track_var),
    }


def _url(row: UsageRow) -> str:
    target = request_target(row.path, row.query)
    return f"{row.scheme or 'http'}://{row.host}{target}" if row.host else target


def _ip_info(row: UsageRow) -> dict[str, str] | None:
    region = "region_code" if _REGION_CODE.fullmatch(row.region) else "region_name"
    known = {"country_code": row.country, region: row.region, "city": row.city}
    return {key: value for key, value in known.items() if value} or None


def _track_var(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return (found or None) if isinstance(found, dict) else {_UNREADABLE: text}
