"""Copies of the data, so that no storage sees what another one has made of it."""

from __future__ import annotations

import copy
from typing import Any

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
_DEEPEST = 8


def own_copy(data: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy of the data. A value that cannot be copied, such as a lock, becomes the name of its type."""
    copied: dict[str, Any] = _copied(data, _DEEPEST)
    return copied


def _copied(value: Any, levels_left: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    # By hand, because `deepcopy` takes five times as long, and gives up all for one part that it cannot copy.
    if levels_left and kind is dict:
        return {key: _copied(part, levels_left - 1) for key, part in list(value.items())}
    if levels_left and kind in (list, tuple, set):
        return kind([_copied(part, levels_left - 1) for part in list(value)])
    try:
        return copy.deepcopy(value)
    except (Exception, SystemExit):  # of an object of the app
        return kind.__name__
