"""What the app put into `flask.g.track_var`, as values that can be kept: copied, bounded, fit for JSON."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

from otel_usage.attributes import MAX_NAME, MAX_TEXT
from otel_usage.instrumentation.redaction import bounded

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

TRUNCATED = "_truncated"
"""Key that lists the keys whose values were too large to keep."""

_LARGEST = 65_536
"""What the copy of all values may hold: a character of text counts as one, each value as 16."""
_VALUE = 16
_DEEPEST = 16
_MOST_KEYS = 256
_LONGEST_INTEGER_BITS = 1024
_PLAIN_INTEGER = 2**63
_ROOM_FOR_NAMES = 512
_encode = json.JSONEncoder(ensure_ascii=False).encode
_WRITTEN_AS_TEXT = (UUID, Decimal, date, datetime, time, timedelta, PurePath)


class _TooLarge(Exception):
    pass


def read_track_var(value: object) -> dict[str, Json] | None:
    """Return a copy of `track_var` that shares nothing with it; None when it is no dictionary.

    Texts, numbers, lists and dictionaries stay what they are; dates, UUIDs, decimals and paths become text, bytes
    are read as UTF-8, of any other object the name of its type is kept. Values that are too large are left out, and
    `_truncated` lists their keys.
    """
    if value.__class__ is dict and not value:
        return {}
    items = _items(value, _MOST_KEYS + 1) if isinstance(value, (dict, Mapping)) else None
    if items is None:
        return None
    copied: dict[str, Json] = {}
    left_out: list[str] = []
    budget = _Budget()
    for key, part in items[:_MOST_KEYS]:
        name = _name(key)
        try:
            copied[name] = budget.copy(part)
        except Exception:  # too large, or of an object of the app
            left_out.append(name)
    if len(items) > _MOST_KEYS:
        left_out.append("…")
    return {**copied, TRUNCATED: _fitting(left_out)} if left_out else copied


def to_json(track_var: dict[str, Json]) -> str:
    """Return what `read_track_var` gave as a JSON object of at most `MAX_TEXT` characters.

    Keys that do not fit are left out whole, and listed under `_truncated`.
    """
    text = _encode(track_var)
    if len(text) <= MAX_TEXT:
        return text
    left_out: list[Json] = []
    parts: list[str] = []
    room = MAX_TEXT - _ROOM_FOR_NAMES
    already = track_var.get(TRUNCATED)
    for key, part in track_var.items():
        if key == TRUNCATED and isinstance(already, list):
            left_out.extend(already)
            continue
        written = f"{_encode(key)}: {_encode(part)}"
        if len(written) + 2 > room:
            left_out.append(key)
        else:
            parts.append(written)
            room -= len(written) + 2
    parts.append(f"{_encode(TRUNCATED)}: {_encode(_fitting(map(str, left_out)))}")
    return "{" + ", ".join(parts) + "}"


class _Budget:
    """Copies values until they are too many for one request."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def copy(self, value: object) -> Json:
        """Return a copy; what is too large gives back what it has used."""
        left = self._left
        try:
            return self._copy(value, _DEEPEST)
        except Exception:
            self._left = left
            raise

    def _copy(self, value: Any, levels_left: int) -> Json:
        self._left -= _VALUE
        if self._left < 0 or not levels_left:
            raise _TooLarge
        kind = value.__class__
        if kind is str:
            return self._text(value)
        if kind is dict:
            return {_name(key): self._copy(part, levels_left - 1) for key, part in self._parts_of(value)}
        if value is None or kind is bool or (kind is int and -_PLAIN_INTEGER < value < _PLAIN_INTEGER):
            return value  # type: ignore[no-any-return]
        if kind is list:
            return [self._copy(part, levels_left - 1) for part in value[: self._most_parts()]]
        return self._copy_of_other(value, levels_left)

    def _copy_of_other(self, value: Any, levels_left: int) -> Json:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, str):
            return self._text(str(value))
        if isinstance(value, int):
            if value.bit_length() > _LONGEST_INTEGER_BITS:
                raise _TooLarge
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, Mapping):
            return {_name(key): self._copy(part, levels_left - 1) for key, part in self._parts_of(value)}
        if isinstance(value, (list, tuple, Set, deque)):
            return [self._copy(part, levels_left - 1) for part in list(islice(value, self._most_parts()))]
        if isinstance(value, (bytes, bytearray)):
            return self._text(bytes(value[: self._left + 1]).decode("utf-8", "replace"))
        return self._text(str(value) if isinstance(value, _WRITTEN_AS_TEXT) else type(value).__name__)

    def _parts_of(self, value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
        parts = _items(value, self._most_parts())
        if parts is None:
            raise _TooLarge
        return parts

    def _most_parts(self) -> int:
        # One more than there is room for, so that the last one says that it is too many.
        return self._left // _VALUE + 1

    def _text(self, text: str) -> str:
        self._left -= len(text)
        if self._left < 0:
            raise _TooLarge
        return bounded(text, _LARGEST)


def _items(mapping: Mapping[Any, Any], most: int) -> list[tuple[Any, Any]] | None:
    """Return the first items of a dictionary that other threads may change meanwhile; None if they never stop."""
    for _ in range(8):
        try:
            return list(islice(mapping.items(), most))
        except RuntimeError:  # it changed its size
            continue
    return None


def _name(key: object) -> str:
    if key.__class__ is str:
        return bounded(key, MAX_NAME)
    is_plain = key is None or isinstance(key, (str, bool, int, float, UUID, Decimal, date))
    return bounded(str(key) if is_plain else type(key).__name__, MAX_NAME)


def _fitting(names: Iterable[str]) -> list[Json]:
    """Return as many names as there is room for, and a sign where there are more."""
    kept: list[Json] = []
    room = _ROOM_FOR_NAMES - 64
    for name in names:
        room -= len(_encode(name)) + 2
        if room < 0:
            return [*(part for part in kept if part != "…"), "…"]
        kept.append(name)
    return kept
