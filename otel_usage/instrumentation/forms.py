"""The fields of a small URL-encoded body, for whom its bytes are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 65_536
_MOST_FIELDS = 1000


def is_small_form(media_type: str, length: int | None) -> bool:
    """Return whether a body is a URL-encoded form of known, modest length; any other is a stream, the view's alone."""
    return media_type == _FORM and length is not None and 0 < length <= _LONGEST_FORM


def values_of_field(body: bytes, name: str) -> Sequence[str]:
    """Return the values of a field, in their order; none when the form has too many fields."""
    try:
        return parse_qs(body.decode("latin-1"), max_num_fields=_MOST_FIELDS).get(name, ())
    except ValueError:
        return ()
