"""Which walk the number of a page belongs to, and how long it is remembered."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from otel_usage.reports.event_page import Place
from otel_usage.reports.usage_walks import ListKey, Walk, Walks

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
KEY = ListKey("http://localhost:8123/usage", "", 10, None)
A_PLACE = Place(NOW - SECOND, "a" * 48)


@dataclass
class Clock:
    ns: int = NOW

    def __call__(self) -> int:
        return self.ns


def begin(walks: Walks, key: ListKey = KEY) -> Walk:
    """Read the first page, which ends at `A_PLACE`."""
    walk = walks.walk_to(key, 1)
    walk.note_start(2, A_PLACE)
    return walk


def is_on(walk: Walk, walks: Walks, key: ListKey = KEY, page: int = 2) -> bool:
    return walks.walk_to(key, page) is walk


def test_a_walk_is_frozen_when_its_first_page_is_read() -> None:
    clock = Clock()
    walk = begin(Walks(clock))
    clock.ns += 120 * SECOND

    assert walk.nearest_start(1) == (1, Place(NOW + 1, "0" * 48))
    assert walk.nearest_start(2) == (2, A_PLACE)
    assert walk.nearest_start(9) == (2, A_PLACE)


def test_the_first_page_begins_a_new_walk() -> None:
    walks = Walks(Clock())
    old = begin(walks)

    new = begin(walks)

    assert new is not old
    assert is_on(new, walks)


def test_another_list_is_another_walk() -> None:
    walks = Walks(Clock())
    walk = begin(walks)

    for other in ({"limit": 20}, {"service": "blog"}, {"dsn": "http://elsewhere/usage"}, {"end_ns": 5}):
        assert not is_on(walk, walks, KEY._replace(**other))
    assert is_on(walk, walks)


def test_a_walk_is_forgotten_a_quarter_of_an_hour_after_its_last_page() -> None:
    clock = Clock()
    walks = Walks(clock)
    walk = begin(walks)

    for _ in range(3):
        clock.ns += 14 * 60 * SECOND
        assert is_on(walk, walks)
    clock.ns += 15 * 60 * SECOND
    assert not is_on(walk, walks)


def test_an_end_that_is_named_anew_for_each_page_is_the_present() -> None:
    clock = Clock()
    walks = Walks(clock)
    walk = begin(walks, KEY._replace(end_ns=clock.ns - SECOND))
    clock.ns += 120 * SECOND

    assert is_on(walk, walks, KEY._replace(end_ns=clock.ns - SECOND))
    assert is_on(walk, walks)
    assert not is_on(walk, walks, KEY._replace(end_ns=clock.ns - 90 * SECOND))


def test_an_end_that_was_the_present_keeps_its_walk_when_it_has_passed() -> None:
    clock = Clock()
    walks = Walks(clock)
    key = KEY._replace(end_ns=NOW)
    walk = begin(walks, key)
    clock.ns += 120 * SECOND

    assert is_on(walk, walks, key)


def test_a_thread_in_a_loop_stays_on_its_own_walk() -> None:
    walks = Walks(Clock())
    mine = begin(walks)
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(begin, walks).result()

        for page in range(2, 6):
            assert is_on(mine, walks, page=page)
            assert other.submit(is_on, theirs, walks, page=page).result()


def test_threads_that_take_turns_go_on_with_the_walk_that_was_begun_last() -> None:
    clock = Clock()
    walks = Walks(clock)
    old = begin(walks)
    clock.ns += 30 * SECOND
    with ThreadPoolExecutor(1) as other:
        new = other.submit(begin, walks).result()
        clock.ns += 10 * SECOND

        assert is_on(new, walks)
        assert not is_on(old, walks, page=3)


def test_of_a_long_walk_the_latest_pages_and_the_first_are_remembered() -> None:
    walk = begin(Walks(Clock()))
    for page in range(2, 2001):
        walk.note_start(page, Place(NOW - page, "a" * 48))

    assert walk.nearest_start(2000).page == 2000
    assert walk.nearest_start(1502).page == 1502
    assert walk.nearest_start(1000).page == 1


def test_of_many_lists_the_latest_are_remembered() -> None:
    walks = Walks(Clock())
    begun = [begin(walks, KEY._replace(limit=limit)) for limit in range(1, 1001)]

    assert is_on(begun[-1], walks, KEY._replace(limit=1000))
    assert is_on(begun[-100], walks, KEY._replace(limit=901))
    assert not is_on(begun[0], walks, KEY._replace(limit=1))


def test_a_forked_child_begins_anew_also_while_the_parent_is_busy() -> None:
    walks = Walks(Clock())
    walk = begin(walks)

    with walks._lock:
        child = os.fork()
        if child == 0:
            os._exit(1 if is_on(walk, walks) else 0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
