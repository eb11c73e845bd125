"""The time that a client says it is: read as ISO 8601, and compared with our own."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from otel_usage import attributes as names

CLIENT_TIME = names.PROPERTY_PREFIX + "client_time"
CLIENT_SKEW = names.PROPERTY_PREFIX + "client_skew_seconds"
CLIENT_CLOCK = names.PROPERTY_PREFIX + "client_clock"

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LARGEST_USUAL_SKEW = timedelta(minutes=5)
_LARGEST_SKEW = timedelta(days=366)
_LONGEST_TIME = 64

# The form that Django REST framework reads, with the digits of ASCII alone.
_ISO_8601 = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
    r"[Tt ](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2})"
    r"(?::(?P<second>[0-9]{1,2})(?:[.,](?P<fraction>[0-9]{1,6})[0-9]*)?)?"
    r" ?(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hours>[0-9]{2})(?::?(?P<zone_minutes>[0-9]{2}))?)?"
)


def parse_client_time(text: str) -> datetime | None:
    """Return the time, in UTC where it names no zone; None when it is none."""
    found = _ISO_8601.fullmatch(text.strip()) if len(text) <= _LONGEST_TIME else None
    if found is None:
        return None
    try:
        return datetime(
            int(found["year"]),
            int(found["month"]),
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"] or 0),
            int((found["fraction"] or "").ljust(6, "0")),
            _zone(found),
        )
    except ValueError:  # a 13th month, a zone of 99 hours
        return None


def _zone(found: re.Match[str]) -> timezone:
    if not found["sign"]:
        return timezone.utc
    offset = timedelta(hours=int(found["zone_hours"]), minutes=int(found["zone_minutes"] or 0))
    return timezone(-offset if found["sign"] == "-" else offset)


class ClientClock(NamedTuple):
    """What the client's clock showed when we received its call."""

    time: datetime
    """In UTC, never further from our own than 366 days."""
    skew: timedelta
    """How far it is ahead of ours, the way through the network included; bounded like the time."""
    state: str
    """Empty when it agrees with ours by five minutes, else `skewed`, or `absurd` beyond the bound."""

    def properties(self) -> dict[str, str]:
        """Return the clock as properties of an event."""
        properties = {
            CLIENT_TIME: self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            CLIENT_SKEW: f"{self.skew.total_seconds():.3f}",
        }
        if self.state:
            properties[CLIENT_CLOCK] = self.state
        return properties


def compare_clocks(client_time: datetime, received_ns: int) -> ClientClock:
    """Return the client's time beside ours.

    Args:
        client_time: an aware datetime.
        received_ns: our own time, in nanoseconds since the epoch.
    """
    received = timedelta(microseconds=received_ns // 1000)
    # Not by `astimezone`, which fails at both ends of the calendar.
    skew = client_time - _EPOCH - received
    if abs(skew) > _LARGEST_SKEW:
        bounded = _LARGEST_SKEW if skew > timedelta() else -_LARGEST_SKEW
        return ClientClock(_EPOCH + received + bounded, bounded, "absurd")
    state = "skewed" if abs(skew) > _LARGEST_USUAL_SKEW else ""
    return ClientClock(_EPOCH + received + skew, skew, state)
