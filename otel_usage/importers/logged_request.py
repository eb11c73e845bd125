"""A request as a log line tells it, whatever the format of the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

EARLIEST_NS = 0
LATEST_NS = 9_214_646_400 * 10**9
"""The beginning of 2262: what ClickHouse's DateTime64(9) can hold."""

NO_REQUEST = "no HTTP request on the line"
NO_TIME = "no time that can be read"
OUT_OF_RANGE = "a time outside the years 1970 to 2261"
NO_STATUS = "no status that HTTP knows"

_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
_PROTOCOL = re.compile(r"HTTP/\d(?:\.\d)?", re.ASCII)
_LOG_TIME = re.compile(
    r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})", re.ASCII
)
_ISO_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9})\d*)?(?:([Zz])|([+-]\d{2}):?(\d{2}))?", re.ASCII
)


class LoggedRequest(NamedTuple):
    """What a line says. Texts are untrusted, `-` or empty where there is nothing, and as the log writes them."""

    timestamp_ns: int
    """When the request came, as far as the log tells: nanoseconds since the epoch, UTC."""
    address: str
    """Who connected: an address, or a host name."""
    user: str
    request: str
    """Method, target and protocol, such as `GET /a?b=c HTTP/1.1`."""
    status: str
    """Three digits."""
    size: str
    """Bytes sent in up to 18 digits."""
    referrer: str = ""
    user_agent: str = ""
    host: str = ""
    duration_ns: int = 0
    scheme: str = ""
    language: str = ""
    forwarded_for: str = ""


class ReadLines(NamedTuple):
    """What a format makes of some lines."""

    numbers: Sequence[int]
    """Which of the lines are requests, in order."""
    fields: Sequence[Sequence[Any]]
    """The fields of `LoggedRequest`, one sequence for each."""
    refused: list[tuple[int, str]]
    """Which are none, and why."""


class LogFormat(Protocol):
    """Reads lines of one format."""

    name: str

    def read(self, lines: Sequence[str]) -> ReadLines:
        """Return what some lines say.

        Args:
            lines: without their ends, their bytes read as latin-1.
        """

    def clean(self, text: str) -> str:
        """Return a text of a request as it was sent."""

    def is_complete(self, line: str) -> bool:
        """Return whether a line without an end is surely whole; the lines before it have been read."""


def not_in_format(name: str) -> str:
    """Return why a line is refused that another format may read."""
    return f"not in the format {name}"


@lru_cache(maxsize=4096)
def log_time_ns(text: str) -> int | None:
    """Return `17/May/2015:10:05:03 +0000` as nanoseconds since the epoch, None if it is no time.

    A leap second counts as the second before it.
    """
    found = _LOG_TIME.fullmatch(text)
    month = _MONTHS.get(found[2]) if found else None
    if found is None or month is None:
        return None
    zone = timedelta(hours=int(found[8]), minutes=int(found[9]))
    second = int(found[6])
    try:
        moment = datetime(
            int(found[3]), month, int(found[1]), int(found[4]), int(found[5]), 59 if second == 60 else second,
            tzinfo=timezone(zone if found[7] == "+" else -zone),
        )  # fmt: skip
        return int(moment.timestamp()) * 10**9
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def iso_time_ns(text: str) -> int | None:
    """Return `2015-05-17T10:05:03.123456789+02:00` as nanoseconds since the epoch, None if it is no time.

    A time without a zone is UTC.
    """
    found = _ISO_TIME.fullmatch(text)
    if found is None:
        return None
    zone = f"{found[4]}:{found[5]}" if found[4] else "+00:00"
    try:
        seconds = int(datetime.fromisoformat(found[1] + zone).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))


def split_request_line(line: str) -> tuple[str, str]:
    """Return method and target; a target may have spaces in it, and HTTP/0.9 has no protocol at its end."""
    method, _, rest = line.partition(" ")
    target, separator, protocol = rest.rpartition(" ")
    return (method, target) if separator and _PROTOCOL.fullmatch(protocol) else (method, rest)
