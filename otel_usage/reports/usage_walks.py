"""Remembers where the pages of a list begin, so that the number of a page stands for a place in the list.

A walk is one reading of a list from its first page on. The number of a page alone does not say whose walk it belongs
to, so it goes to the walk that the same thread began, or else to the last one that anybody began.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from otel_usage.reports.event_page import Place

_MOST_NAMES = 256
_MOST_PAGES = 500
"""Of one walk; those that were asked for last are kept."""
_IDLE_NS = 15 * 60 * 10**9
_STILL_NOW_NS = 60 * 10**9
"""An end this close to the present is taken for the present, which many callers name anew for each page."""


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


class Walks:
    """The walks of a process, by list. Threads may share it."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Begin with none.

        Args:
            now_ns: the present, in nanoseconds since the epoch.
        """
        self._now_ns = now_ns
        self._walks: OrderedDict[tuple[ListKey, int | None], Walk] = OrderedDict()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        # Another thread of the parent may have held the lock.
        self._lock = threading.Lock()
        self._walks = OrderedDict()

    def walk_to(self, key: ListKey, page: int) -> Walk:
        """Return the walk that a page belongs to.

        The first page begins a new one, with the newest row that there is. So does any page of a list that nobody
        has walked through lately.
        """
        with self._lock:
            now_ns = self._now_ns()
            walk = self._find(key, page, now_ns) if page > 1 else None
            if walk is None:
                end_ns = now_ns if key.end_ns is None else key.end_ns
                walk = Walk(place_after(end_ns), now_ns)
                self._keep(walk, key, now_ns)
            walk.used_ns = now_ns
            return walk

    def _find(self, key: ListKey, page: int, now_ns: int) -> Walk | None:
        found = []
        for name in _names(key, now_ns):
            walk = self._walks.get(name)
            if walk is not None and now_ns - walk.used_ns < _IDLE_NS:
                self._walks.move_to_end(name)
                found.append(walk)
        return next((walk for walk in found if walk.knows(page)), found[0] if found else None)

    def _keep(self, walk: Walk, key: ListKey, now_ns: int) -> None:
        for name in _names(key, now_ns):
            self._walks[name] = walk
            self._walks.move_to_end(name)
        while len(self._walks) > _MOST_NAMES:
            self._walks.popitem(last=False)


def _names(key: ListKey, now_ns: int) -> Iterator[tuple[ListKey, int | None]]:
    """Yield the names that a walk goes by, the most exact one first."""
    keys = [key]
    if key.end_ns is not None and key.end_ns > now_ns - _STILL_NOW_NS:
        keys.append(key._replace(end_ns=None))
    for whose in (threading.get_ident(), None):
        for each in keys:
            yield each, whose
