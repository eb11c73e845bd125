"""JSON objects out of columns that may be too short for them: what is whole in a text that was cut is kept."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

# Python would write NaN back in a way that no other reader takes.
_DECODER = json.JSONDecoder(parse_constant=str)
_SPACE = re.compile(r"[ \t\r\n]*")


class ReadObject(NamedTuple):
    """What a text says of an object."""

    pairs: dict[str, Any]
    cut: tuple[str, ...] = ()
    """The name whose value is not whole; nothing is known of those after it."""
    is_whole: bool = True


def read_object(text: str) -> ReadObject:
    """Return the object that a text holds, an empty one for another value, such as null."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _read_cut(text)
    return ReadObject(value if isinstance(value, dict) else {})


def _read_cut(text: str) -> ReadObject:
    pairs: dict[str, Any] = {}
    name = ""
    place = _after_space(text, 0)
    try:
        while text[place] in "{,":
            name = ""
            name, place = _read_name(text, place + 1)
            value, place = _DECODER.raw_decode(text, _after_space(text, place))
            place = _after_space(text, place)
            # A number that ends where the text does may have had more digits.
            if text[place] in ",}":
                pairs[name] = value
    except (ValueError, IndexError, RecursionError):
        return ReadObject(pairs, (name,) if name else (), is_whole=False)
    return ReadObject(pairs, is_whole=False)


def _read_name(text: str, place: int) -> tuple[str, int]:
    name, place = _DECODER.raw_decode(text, _after_space(text, place))
    place = _after_space(text, place)
    if not isinstance(name, str) or text[place] != ":":
        raise ValueError("no name of a pair")
    return name, place + 1


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
