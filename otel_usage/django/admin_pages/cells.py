"""What stands in the cells of a table: texts that clients sent, made short and harmless, with links beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from otel_usage.reports.output import printable

_LONGEST = 48
"""Characters of a cell."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. Nothing in it is marked as safe: the template escapes all of it."""

    text: str
    full: str = ""
    """The whole text, where `text` is a part of it."""
    url: str = ""
    """Where the text leads: the same page, narrowed down to it."""
    change_url: str = ""
    """The admin page of the object itself."""
    kind: str = "text"
    """`text`, `time`, `number`, `key`, `live` for the key of a live session, `none` for what says that there is nothing."""
    can_end: bool = False
    """The session that `full` names may be ended by who reads this."""


def text_cell(value: str, *, url: str = "", change_url: str = "", missing: str = "") -> Cell:
    """Return a cell for a text, which may be of any length and hold any character.

    Args:
        value: the text; characters that cannot be seen, or that turn the direction of others, become escapes.
        url: where it leads.
        change_url: the admin page of the object that it names.
        missing: what stands in the cell when the text is empty.
    """
    if not value:
        return Cell(missing or "-", kind="none")
    shown = printable(value)
    if len(shown) <= _LONGEST:
        return Cell(shown, url=url, change_url=change_url)
    return Cell(shown[: _LONGEST - 1] + "…", shown, url, change_url)


def number_cell(value: int, *, url: str = "") -> Cell:
    """Return a cell for a whole number."""
    return Cell(f"{value:,}", url=url, kind="number")


def time_cell(time_ns: int) -> Cell:
    """Return a cell for a moment, in UTC to the second, and to the nanosecond on demand."""
    moment = _EPOCH + timedelta(microseconds=time_ns // 1000)
    whole = f"{moment:%Y-%m-%d %H:%M:%S}"
    return Cell(whole, f"{whole}.{time_ns % 10**9:09} UTC", kind="time")
