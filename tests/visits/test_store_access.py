from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_usage.errors import SettingError
from otel_usage.visits.bounded_calls import BoundedCalls
from otel_usage.visits.store_access import PAUSE_SECONDS, StoreAccess, StoreDown


class Seconds:
    """A clock that never goes back, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Counts what it is asked, and fails on demand."""

    def __init__(self) -> None:
        self.asked = 0
        self.prepared = 0
        self.is_broken = False

    def prepare(self) -> None:
        self.prepared += 1
        if self.is_broken:
            raise ConnectionError("refused")

    def answer(self) -> int:
        self.asked += 1
        if self.is_broken:
            raise ConnectionError("refused")
        return self.asked

    def change(self) -> None:
        self.answer()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def access(store: Store, clock: Seconds) -> StoreAccess:
    return StoreAccess(store.prepare, clock=clock)


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What a store that hangs waits for; the end of the test lets it go."""
    event = threading.Event()
    yield event
    event.set()


def test_an_answer_of_the_store_is_returned(access: StoreAccess, store: Store) -> None:
    assert [access.ask(store.answer), access.ask(store.answer)] == [1, 2]
    assert store.prepared == 1
    assert not access.is_down


def test_after_a_failure_the_store_is_left_alone_for_a_while(
    access: StoreAccess, store: Store, clock: Seconds
) -> None:
    store.is_broken = True

    for _ in range(100):
        with pytest.raises(StoreDown):
            access.ask(store.answer)
        clock.now += PAUSE_SECONDS / 100 - 0.001

    assert store.prepared + store.asked == 1
    assert access.is_down


def test_after_the_pause_one_request_tries_and_the_others_do_not_wait(
    access: StoreAccess, store: Store, clock: Seconds
) -> None:
    access.prepare()
    store.is_broken = True
    with pytest.raises(StoreDown):
        access.ask(store.answer)
    clock.now += PAUSE_SECONDS
    outcomes = []

    def try_while_another_tries() -> int:
        with pytest.raises(StoreDown):
            access.ask(store.answer)
        outcomes.append("turned away")
        store.is_broken = False
        return store.answer()

    assert access.ask(try_while_another_tries) == 2
    assert outcomes == ["turned away"]
    assert not access.is_down


def test_what_could_not_be_prepared_is_prepared_before_the_next_question(
    access: StoreAccess, store: Store, clock: Seconds
) -> None:
    store.is_broken = True
    access.prepare()
    assert access.is_down

    store.is_broken = False
    clock.now += PAUSE_SECONDS

    assert access.ask(store.answer) == 1
    assert store.prepared == 2


def test_a_write_that_goes_well_ends_the_pause_at_once(access: StoreAccess, store: Store) -> None:
    store.is_broken = True
    access.prepare()

    store.is_broken = False
    access.write(store.change)

    assert not access.is_down
    assert access.ask(store.answer) == 2


def test_writes_that_fail_begin_a_pause_and_never_prolong_it(
    access: StoreAccess, store: Store, clock: Seconds
) -> None:
    access.prepare()
    store.is_broken = True
    for _ in range(5):
        with pytest.raises(ConnectionError):
            access.write(store.change)
        clock.now += PAUSE_SECONDS / 4

    store.is_broken = False
    assert access.ask(store.answer)


def test_what_is_set_up_wrongly_is_told_and_not_taken_for_an_outage(clock: Seconds) -> None:
    def prepare() -> None:
        raise SettingError("no database")

    access = StoreAccess(prepare, clock=clock)

    with pytest.raises(SettingError):
        access.prepare()
    assert not access.is_down


def test_the_log_says_once_what_is_the_matter_and_quotes_nothing(
    access: StoreAccess, store: Store, clock: Seconds, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_broken = True
    for _ in range(3):
        access.prepare()
        clock.now += PAUSE_SECONDS

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        "The visit store failed, visits go by their tickets alone for 10 seconds: ConnectionError at "
    )
    assert "refused" not in record.getMessage()


def test_questions_make_no_spans(clock: Seconds) -> None:
    for timeout_seconds in (None, 30.0):
        access = StoreAccess(lambda: None, timeout_seconds, clock)

        assert access.ask(is_instrumentation_enabled) is False
    assert is_instrumentation_enabled()


def test_a_store_that_hangs_is_waited_for_once_and_for_no_longer_than_the_bound(
    hang: threading.Event, clock: Seconds
) -> None:
    access = StoreAccess(lambda: None, 0.05, clock)

    with pytest.raises(StoreDown) as caught:
        access.ask(hang.wait)
    assert isinstance(caught.value.__cause__, TimeoutError)

    with pytest.raises(StoreDown) as caught:
        access.ask(hang.wait)
    assert caught.value.__cause__ is None


def test_a_call_gives_what_the_function_gives_and_raises_what_it_raises() -> None:
    calls = BoundedCalls(30.0)

    assert calls.call(lambda: "answer") == "answer"
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0)


def test_calls_share_a_few_threads() -> None:
    calls = BoundedCalls(30.0)
    barrier = threading.Barrier(4)

    def identify() -> int:
        barrier.wait(30)
        return threading.get_ident()

    callers = [threading.Thread(target=calls.call, args=(identify,)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)

    assert calls._threads == 4


def test_a_call_that_nobody_waits_for_any_more_is_not_begun(hang: threading.Event) -> None:
    calls = BoundedCalls(0.05)
    ran: list[str] = []
    for _ in range(4):
        with pytest.raises(TimeoutError):
            calls.call(hang.wait)

    with pytest.raises(TimeoutError, match="gave no answer within 0.05 seconds"):
        calls.call(lambda: ran.append("too late"))
    hang.set()
    calls._timeout_seconds = 30.0
    calls.call(lambda: ran.append("in time"))

    assert ran == ["in time"]


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(hang: threading.Event) -> None:
    calls = BoundedCalls(0.05)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            calls.call(hang.wait)

    child = os.fork()
    if not child:
        code = 1
        calls._timeout_seconds = 30.0
        try:
            code = 0 if calls._threads == 0 and calls.call(lambda: 7) == 7 else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
