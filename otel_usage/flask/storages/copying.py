"""Copies of the data, so that no storage sees what another one has made of it."""

from __future__ import annotations

import copy
from typing import Any

_DEEPEST = 8


def own_copy(data: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the data. A value that cannot be copied, such as a lock, becomes the name of its type."""
    copied: dict[str, Any] = _copied(data, _DEEPEST)
    return copied


def _copied(value: Any, levels_left: int) -> Any:
    try:
        return copy.deepcopy(value)
    except (Exception, SystemExit):  # of an object of the app
        kind = type(value)
        if levels_left and kind is dict:
            return {key: _copied(part, levels_left - 1) for key, part in list(value.items())}
        if levels_left and kind in (list, tuple, set):
            return kind(_copied(part, levels_left - 1) for part in list(value))
        return kind.__name__
