"""Rows of old tables as events: times, texts and numbers whatever the driver gives them as."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from otel_usage import attributes as names
from otel_usage.errors import SettingError
from otel_usage.importers.chunk import Chunk, Refusal
from otel_usage.importers.event_rows import kept_body, rows_of
from otel_usage.importers.logged_request import EARLIEST_NS, LATEST_NS
from otel_usage.importers.old_database import key_of
from otel_usage.instrumentation.redaction import bounded
from otel_usage.model import Event
from otel_usage.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NO_TIME = "no time that can be read"
OUT_OF_RANGE = "a time outside the years 1970 to 2261"


class ImportOptions(NamedTuple):
    """What all imports from databases are told."""

    settings: Settings
    service: str
    """The service of the events."""
    zone: tzinfo = timezone.utc
    """Of times that name none."""


class RowRefused(Exception):
    """A row is no event; the text says why."""


@dataclass(slots=True)
class MadeRows:
    """What the rows of a page have become so far."""

    events: list[Event] = field(default_factory=list)
    further: list[Event] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def refuse(self, reason: str, row: dict[str, Any], event_id: bytes) -> None:
        """Set a row aside."""
        body = kept_body(
            {name: value for name, value in row.items() if not name.startswith(("key_", "secret_"))}
        )
        key = key_of(row)
        self.refused.append(Refusal(reason, f"row {key}" if key else "", event_id.hex(), body))


def chunks_of(
    pages: Iterable[list[dict[str, Any]]], make: Callable[[dict[str, Any], MadeRows], None], service: str
) -> Iterator[Chunk]:
    """Yield a chunk for each page of rows.

    Args:
        pages: see `OldDatabase.pages`.
        make: adds to the made rows what one row is.
        service: the service of the events.
    """
    for page in pages:
        made = MadeRows()
        for row in page:
            make(row, made)
        yield Chunk(rows_of(made.events, service), rows_of(made.further, service), made.refused)


def find_zone(name: str) -> tzinfo:
    """Return a time zone by its name.

    Raises:
        SettingError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise SettingError(
            f"--timezone is {name[:50]!r}, expected a name such as Europe/Berlin or UTC"
        ) from None


def to_nanoseconds(value: object, zone: tzinfo) -> int:
    """Return a time of a row as nanoseconds since the epoch.

    Args:
        value: a datetime or date, or their text.
        zone: of a time that names none.

    Raises:
        RowRefused: it is none, or ClickHouse cannot hold it.
    """
    if isinstance(value, str):
        try:
            # Python 3.10 reads no Z.
            value = datetime.fromisoformat(value.strip()[:40].replace("Z", "+00:00"))
        except ValueError:
            raise RowRefused(NO_TIME) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise RowRefused(NO_TIME)
    try:
        moment = value if value.tzinfo is not None else value.replace(tzinfo=zone)
        nanoseconds = (moment.astimezone(timezone.utc) - _EPOCH) // timedelta(microseconds=1) * 1000
    except (OverflowError, ValueError):
        raise RowRefused(OUT_OF_RANGE) from None
    if not EARLIEST_NS <= nanoseconds < LATEST_NS:
        raise RowRefused(OUT_OF_RANGE)
    return nanoseconds


def to_integer(value: object) -> int:
    """Return a counter of a row.

    Raises:
        RowRefused: it is no whole number, or one of more than 64 bits.
    """
    if isinstance(value, (float, Decimal)) and -(2**64) < value < 2**64 and value == int(value):
        return to_integer(int(value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise RowRefused("a counter that is no whole number")
    number: int = value
    if not -(2**63) <= number < 2**63:
        raise RowRefused("a counter of more than 64 bits")
    return number


def to_text(value: object, limit: int = names.MAX_NAME) -> str:
    """Return a value of a row as text, empty for none."""
    return "" if value is None else bounded(str(value), limit)


def hashed_key(system: str, key: str) -> str:
    """Return the visit key that stands for the key of an old session, which may still open it: 32 hex digits."""
    return hashlib.sha256(f"{system}\0{key}".encode("utf-8", "replace")).hexdigest()[:32]
