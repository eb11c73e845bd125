"""Remembers where the pages of a list begin, so that the number of a page stands for a place in the list.

A walk is one reading of a list from its first page on. The number of a page alone does not say whose walk it belongs
to. It goes to the last walk that anybody began, as a web server wants it, whose threads take turns; but a thread that
asked for the page before just now is in a loop, and stays on its own walk.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from otel_usage.reports.event_page import Place

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_MOST_LISTS = 128
_MOST_PAGES = 500
"""Of one walk; those that were asked for last are kept."""
_IDLE_NS = 15 * 60 * 10**9
_STILL_NOW_NS = 60 * 10**9
"""An end this close to the present is taken for the present, which many callers name anew for each page."""
_LOOP_NS = 5 * 10**9
"""A thread that asks for the next page within this time is in a loop; nobody clicks so fast on the same thread again
and again."""


class ListKey(NamedTuple):
    """Which list it is. Where it begins does not matter: pages are counted from its newest row on."""

    dsn: str
    service: str
    limit: int
    end_ns: int | None
    """The last nanosecond that counts; None for the present."""


class Start(NamedTuple):
    """Where a page begins: right behind a place."""

    page: int
    place: Place


def place_after(end_ns: int) -> Place:
    """Return the place behind which stands all that happened up to a nanosecond, this one included."""
    return Place(end_ns + 1, "0" * 48)


class Walk:
    """One reading of a list: where those of its pages begin that are known. Threads may share it."""

    def __init__(self, top: Place, now_ns: int) -> None:
        self.used_ns = now_ns
        self._starts = OrderedDict({1: top})
        self._lock = threading.Lock()

    def knows(self, page: int) -> bool:
        """Return whether the page before was read."""
        return page in self._starts

    def nearest_start(self, page: int) -> Start:
        """Return the start of a page, or of the nearest one before it that is known."""
        with self._lock:
            known = max(known for known in self._starts if known <= page)
            return Start(known, self._starts[known])

    def note_start(self, page: int, place: Place) -> None:
        """Remember where a page begins, after the one before it was read."""
        with self._lock:
            self._starts[page] = place
            self._starts.move_to_end(page)
            if len(self._starts) > _MOST_PAGES:
                del self._starts[next(known for known in self._starts if known > 1)]


class _Step(NamedTuple):
    """The last page that a thread asked for."""

    walk: Walk
    page: int
    asked_ns: int


class Walks:
    """The walks of a process, by list. Threads may share it."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Begin with none.

        Args:
            now_ns: the present, in nanoseconds since the epoch.
        """
        self._now_ns = now_ns
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # After a fork too: another thread of the parent may have held the lock.
        self._lock = threading.Lock()
        self._walks: OrderedDict[ListKey, Walk] = OrderedDict()
        self._steps: OrderedDict[tuple[ListKey, int], _Step] = OrderedDict()

    def walk_to(self, key: ListKey, page: int) -> Walk:
        """Return the walk that a page belongs to.

        The first page begins a new one, with the newest row that there is. So does any page of a list that nobody
        has walked through lately.
        """
        with self._lock:
            now_ns = self._now_ns()
            names = _names(key, now_ns)
            walk = self._find(names, page, now_ns) if page > 1 else None
            if walk is None:
                walk = Walk(place_after(now_ns if key.end_ns is None else key.end_ns), now_ns)
                for name in names:
                    _keep(self._walks, name, walk)
            walk.used_ns = now_ns
            for name in names:
                _keep(self._steps, (name, threading.get_ident()), _Step(walk, page, now_ns))
            return walk

    def _find(self, names: list[ListKey], page: int, now_ns: int) -> Walk | None:
        for name in names:
            step = self._steps.get((name, threading.get_ident()))
            if step is not None and step.page == page - 1 and now_ns - step.asked_ns < _LOOP_NS:
                return step.walk
        found = [self._walks[name] for name in names if name in self._walks]
        lately = [walk for walk in found if now_ns - walk.used_ns < _IDLE_NS]
        return next((walk for walk in lately if walk.knows(page)), lately[0] if lately else None)


def _names(key: ListKey, now_ns: int) -> list[ListKey]:
    """Return the lists that a list may be, the most exact one first."""
    if key.end_ns is not None and key.end_ns > now_ns - _STILL_NOW_NS:
        return [key, key._replace(end_ns=None)]
    return [key]


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _MOST_LISTS:
        kept.popitem(last=False)
