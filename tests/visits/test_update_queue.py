from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_usage.visits import update_queue
from otel_usage.visits.update_queue import UpdateQueue
from tests.serving import wait_for

NOON = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
LATER = NOON + timedelta(seconds=30)


class Store:
    """Keeps what it is given; fails or hangs on demand."""

    def __init__(self) -> None:
        self.writes: list[dict[str, datetime]] = []
        self.failures_left = 0
        self.failed = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_entered = threading.Event()

    def write(self, queue: Mapping[str, datetime]) -> None:
        self.is_entered.set()
        self.may_go_on.wait(30)
        if self.failures_left:
            self.failures_left -= 1
            self.failed += 1
            raise ConnectionError("refused by 192.0.2.1")
        self.writes.append(dict(queue))

    @property
    def stored(self) -> dict[str, datetime]:
        return {key: expiry for write in self.writes for key, expiry in write.items()}


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.may_go_on.set()


@pytest.fixture
def queue(store: Store) -> Iterator[UpdateQueue]:
    """A queue whose thread writes nothing by itself within a test."""
    queue = UpdateQueue(store.write, 3600.0)
    yield queue
    store.may_go_on.set()
    queue.close()


def test_the_last_expiry_of_each_visit_is_written_in_one_write(queue: UpdateQueue, store: Store) -> None:
    queue.put("a", NOON)
    queue.put("b", NOON)
    queue.put("a", LATER)

    assert queue.flush()
    assert store.writes == [{"a": LATER, "b": NOON}]


def test_an_empty_queue_writes_nothing(queue: UpdateQueue, store: Store) -> None:
    assert queue.flush()
    assert store.writes == []


def test_an_expiry_is_known_until_it_is_stored(queue: UpdateQueue, store: Store) -> None:
    store.may_go_on.clear()
    queue.put("a", NOON)
    flusher = threading.Thread(target=queue.flush)
    flusher.start()
    assert store.is_entered.wait(30)

    assert queue.expiry_of("a") == NOON
    queue.put("a", LATER)
    assert queue.expiry_of("a") == LATER

    store.may_go_on.set()
    flusher.join(30)
    assert queue.expiry_of("a") == LATER
    queue.flush()
    assert queue.expiry_of("a") is None


def test_a_write_that_fails_loses_nothing_and_newer_times_win(queue: UpdateQueue, store: Store) -> None:
    store.failures_left = 1
    queue.put("a", NOON)
    queue.put("b", NOON)

    assert not queue.flush()
    queue.put("a", LATER)

    assert queue.flush()
    assert store.stored == {"a": LATER, "b": NOON}


def test_what_came_during_a_write_that_failed_is_newer(queue: UpdateQueue, store: Store) -> None:
    store.failures_left = 1
    store.may_go_on.clear()
    queue.put("a", NOON)
    flusher = threading.Thread(target=queue.flush)
    flusher.start()
    assert store.is_entered.wait(30)
    queue.put("a", LATER)
    store.may_go_on.set()
    flusher.join(30)

    assert queue.flush()
    assert store.stored == {"a": LATER}


def test_the_thread_writes_after_the_interval(store: Store) -> None:
    queue = UpdateQueue(store.write, 0.01)
    queue.put("a", NOON)

    wait_for(lambda: bool(store.writes), "a write")
    queue.close()


def test_a_store_that_keeps_failing_never_ends_the_thread(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.failures_left = 20
    queue = UpdateQueue(store.write, 0.001)
    for number in range(50):
        queue.put(str(number), NOON)

    wait_for(lambda: len(store.stored) == 50, "the write of all")

    assert store.failed == 20
    queue.close()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "expiry times, they are tried again: ConnectionError at " in record.getMessage()
    assert "192.0.2.1" not in record.getMessage()


def test_many_expiry_times_do_not_wait_for_the_interval(
    queue: UpdateQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_queue, "_WRITE_AT", 3)
    for key in "abc":
        queue.put(key, NOON)

    wait_for(lambda: len(store.stored) == 3, "the write")


def test_a_full_queue_takes_no_further_visit_but_newer_times_of_those_it_has(
    queue: UpdateQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_queue, "_MAX_WAITING", 2)
    for key in "abc":
        queue.put(key, NOON)
    queue.put("a", LATER)

    queue.flush()

    assert store.stored == {"a": LATER, "b": NOON}


def test_the_store_is_tidied_up_only_when_it_takes_what_waits(store: Store) -> None:
    tidied = threading.Event()

    def tidy() -> None:
        tidied.set()
        raise ConnectionError

    store.failures_left = 3
    queue = UpdateQueue(store.write, 0.001, tidy)
    queue.put("a", NOON)

    assert tidied.wait(30)
    assert store.stored == {"a": NOON}
    tidied.clear()
    assert tidied.wait(30), "what tidying up raises does not end the thread"
    queue.close()


def test_closing_writes_what_waits_and_ends_the_thread(queue: UpdateQueue, store: Store) -> None:
    queue.put("a", NOON)
    thread = queue._thread
    assert thread is not None

    queue.close()

    assert store.stored == {"a": NOON}
    assert not thread.is_alive()


def test_closing_without_a_thread_and_closing_twice_is_nothing(queue: UpdateQueue, store: Store) -> None:
    queue.close()
    queue.close()

    assert store.writes == []
    assert queue._thread is None


def test_what_comes_after_the_end_is_written_by_closing_again(queue: UpdateQueue, store: Store) -> None:
    queue.put("a", NOON)
    queue.close()
    queue.put("b", NOON)
    assert store.stored == {"a": NOON}

    queue.close()

    assert store.stored == {"a": NOON, "b": NOON}


def test_closing_does_not_wait_longer_than_it_may_for_a_store_that_hangs(
    queue: UpdateQueue, store: Store
) -> None:
    store.may_go_on.clear()
    queue.put("a", NOON)

    queue.close(0.05)
    queue.close(0.05)

    thread = queue._thread
    assert thread is not None
    assert thread.is_alive(), "it still hangs, and closing came back all the same"


def test_closing_does_not_wait_for_a_flush_that_hangs(queue: UpdateQueue, store: Store) -> None:
    store.may_go_on.clear()
    queue.put("a", NOON)
    flusher = threading.Thread(target=queue.flush)
    flusher.start()
    assert store.is_entered.wait(30)

    queue.close(0.05)

    store.may_go_on.set()
    flusher.join(30)


def test_a_system_without_a_thread_left_loses_nothing(
    queue: UpdateQueue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        queue.put("a", NOON)
        assert queue._thread is None

    queue.put("b", NOON)
    queue.close()
    assert store.stored == {"a": NOON, "b": NOON}


def test_writes_make_no_spans() -> None:
    seen: list[bool] = []
    queue = UpdateQueue(lambda _: seen.append(is_instrumentation_enabled()), 3600.0)
    queue.put("a", NOON)

    queue.close()

    assert seen == [False]


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_writes_what_is_its_own_and_nothing_twice(queue: UpdateQueue, store: Store) -> None:
    store.may_go_on.clear()
    queue.put("a", NOON)
    flusher = threading.Thread(target=queue.flush)
    flusher.start()
    assert store.is_entered.wait(30)

    child = os.fork()
    if not child:
        code = 1
        try:
            store.may_go_on = threading.Event()
            store.may_go_on.set()
            queue.put("b", NOON)
            queue.close()
            code = 0 if store.writes == [{"b": NOON}] else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.may_go_on.set()
    flusher.join(30)
    assert store.stored == {"a": NOON}
