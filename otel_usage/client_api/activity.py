"""What a call says, checked: the fields of one activity, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from otel_usage.attributes import MAX_TEXT
from otel_usage.client_api.client_time import parse_client_time

MAX_PATH = 8192
"""Characters of a path; a longer one is refused."""

WRONG_DATE = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
BLANK = "This field may not be blank."
TOO_LONG = f"Ensure this field has no more than {MAX_PATH} characters."
NOT_A_TEXT = "Not a valid string."
NULL_CHARACTER = "Null characters are not allowed."

FieldErrors: TypeAlias = dict[str, list[str]]
"""Messages by field, in the words of Django REST framework, because clients of the older API read them."""


class Activity(NamedTuple):
    """One call that is in order."""

    date: datetime
    """The client's time, aware."""
    path: str
    referrer: str
    """From where the visitor came to the page; empty when the client does not say."""


def read_activity(fields: Mapping[str, Any], referrer_header: str) -> Activity | FieldErrors:
    """Return the activity, or the messages of every field that is not in order.

    Args:
        fields: `date`, and if given `path` and `referer`; others are passed over.
        referrer_header: `Referer` of the call, which stands in for a path that is missing.
    """
    errors: FieldErrors = {}
    date = _date(fields.get("date"), errors)
    path = _text("path", fields.get("path"), errors) or referrer_header.strip()
    if "path" not in errors:
        if not path:
            errors["path"] = [BLANK]
        elif len(path) > MAX_PATH:
            errors["path"] = [TOO_LONG]
        elif "\0" in path:
            errors["path"] = [NULL_CHARACTER]
    # Cut and not refused: what is wrong with it is no reason to lose the view.
    referrer = _text("referer", fields.get("referer"), errors)[: 4 * MAX_TEXT].replace("\0", "")
    return errors if errors or date is None else Activity(date, path, referrer)


def _date(value: object, errors: FieldErrors) -> datetime | None:
    date = parse_client_time(value) if isinstance(value, str) else None
    if date is None:
        errors["date"] = [WRONG_DATE]
    return date


def _text(name: str, value: object, errors: FieldErrors) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    errors[name] = [NOT_A_TEXT]
    return ""
