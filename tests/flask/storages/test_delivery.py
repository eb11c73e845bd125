"""Storages that block, raise, end the process or change what they get: none of them costs another one anything."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage.flask.storages import (
    Delivery,
    PrintWriter,
    RequestExtras,
    StorageAccounting,
    storage_accounting,
)
from tests.builders import build_event

SECONDS = 20.0
"""How long a test waits for what must happen."""

Deliver = Callable[..., Delivery]


class Blocking:
    """Holds each request until it is released."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()
        self.paths: list[str] = []

    def __call__(self, data: dict[str, Any]) -> None:
        self.entered.set()
        assert self.released.wait(SECONDS)
        self.paths.append(data["path"])


def raises(error: BaseException) -> Callable[[dict[str, Any]], None]:
    def storage(data: dict[str, Any]) -> None:
        raise error

    return storage


def offer(delivery: Delivery, *paths: str, **extras: Any) -> None:
    for path in paths or ("/",):
        delivery.offer(build_event(path=path), RequestExtras(**extras))


def test_one_callable_or_a_list_of_them_each_gets_every_request_in_order() -> None:
    one: list[dict[str, Any]] = []
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []

    for delivery in (Delivery(one.append), Delivery([first.append, second.append])):
        offer(delivery, "/a", "/b")
        assert delivery.flush(SECONDS)
        delivery.close(SECONDS)

    assert [[data["path"] for data in found] for found in (one, first, second)] == [["/a", "/b"]] * 3


@pytest.mark.parametrize("error", [RuntimeError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_storage_that_raises_costs_neither_the_next_one_nor_its_own_next_request(
    deliver: Deliver, error: BaseException
) -> None:
    stored: list[dict[str, Any]] = []
    delivery = deliver(raises(error), stored.append)

    offer(delivery, "/a", "/b")

    assert delivery.flush(SECONDS)
    assert [data["path"] for data in stored] == ["/a", "/b"]
    assert [(each.stored, each.failed) for each in delivery.accounting()] == [(0, 2), (2, 0)]


def test_a_storage_that_hangs_holds_up_neither_the_offer_nor_another_storage(deliver: Deliver) -> None:
    stored: list[dict[str, Any]] = []
    hanging, done = Blocking(), threading.Event()

    def last(data: dict[str, Any]) -> None:
        if data["path"] == "/c":
            done.set()

    delivery = deliver(hanging, stored.append, last)

    offer(delivery, "/a", "/b", "/c")

    assert done.wait(SECONDS)
    assert not delivery.flush(0)
    hanging.released.set()
    assert delivery.flush(SECONDS)
    assert hanging.paths == [data["path"] for data in stored] == ["/a", "/b", "/c"]


def test_each_storage_may_change_its_own_copy_all_through(deliver: Deliver) -> None:
    stored: list[dict[str, Any]] = []

    def rewrite(data: dict[str, Any]) -> None:
        data["track_var"]["basket"].append("theirs")
        data["url_args"].clear()
        data["date"] = data.pop("user_agent")

    delivery = deliver(rewrite, stored.append)
    track_var = {"basket": ["ours"]}

    offer(delivery, track_var=track_var, url_args={"q": "1"})

    assert delivery.flush(SECONDS)
    assert stored[0]["track_var"] == track_var == {"basket": ["ours"]}
    assert stored[0]["url_args"] == {"q": "1"}
    assert stored[0]["user_agent"].browser == "firefox"
    assert [each.failed for each in delivery.accounting()] == [0, 0]


class Uncopyable:
    def __deepcopy__(self, memo: object) -> object:
        raise SystemExit("no copies of me")


@pytest.mark.parametrize("value", [threading.Lock(), (letter for letter in "ab"), Uncopyable()])
def test_what_cannot_be_copied_becomes_the_name_of_its_type_and_the_rest_stays(
    deliver: Deliver, value: object
) -> None:
    stored: list[dict[str, Any]] = []
    delivery = deliver(stored.append)

    offer(delivery, track_var={"odd": [1, {"deep": value}], "good": "text"})

    assert delivery.flush(SECONDS)
    assert stored[0]["track_var"] == {"odd": [1, {"deep": type(value).__name__}], "good": "text"}
    assert stored[0]["path"] == "/"


def test_a_value_that_holds_itself_and_cannot_be_copied_is_cut_off(deliver: Deliver) -> None:
    stored: list[dict[str, Any]] = []
    endless: dict[str, Any] = {"lock": threading.Lock()}
    endless["again"] = endless
    delivery = deliver(stored.append)

    offer(delivery, track_var=endless)

    assert delivery.flush(SECONDS)
    assert stored[0]["track_var"]["lock"] == "lock"


def test_a_full_queue_drops_what_comes_and_counts_it(
    deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    stored: list[dict[str, Any]] = []
    hanging = Blocking()
    delivery = deliver(hanging, stored.append, queue_size=2)

    offer(delivery, "/in-hand")
    assert hanging.entered.wait(SECONDS)
    for path in ("/1", "/2", "/3", "/4"):
        offer(delivery, path)
        assert wait_for_last(delivery)

    full, quick = delivery.accounting()
    assert full == StorageAccounting("Blocking", offered=5, stored=0, failed=0, dropped=2, waiting=3)
    assert (quick.stored, quick.dropped) == (5, 0)
    hanging.released.set()
    assert delivery.flush(SECONDS)
    assert hanging.paths == ["/in-hand", "/1", "/2"]
    assert caplog.text.count("The queue of the usage storage Blocking is full (2 requests)") == 1


def wait_for_last(delivery: Delivery) -> bool:
    """Return whether the last storage is done with all that it was offered."""
    return delivery.sinks[-1].flush(time.monotonic() + SECONDS)


def test_whatever_happens_every_request_is_counted_once(deliver: Deliver) -> None:
    hanging = Blocking()

    def every_other(data: dict[str, Any]) -> None:
        if int(data["path"][1:]) % 2:
            raise ValueError

    delivery = deliver(hanging, every_other, queue_size=500)
    start = threading.Barrier(5)

    def send() -> None:
        start.wait(SECONDS)
        offer(delivery, *(f"/{number}" for number in range(100)))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    start.wait(SECONDS)
    while any(sender.is_alive() for sender in senders):
        for each in delivery.accounting():
            assert each.offered == each.stored + each.failed + each.dropped + each.waiting
    hanging.released.set()

    assert delivery.flush(SECONDS)
    assert [(each.offered, each.stored, each.failed) for each in delivery.accounting()] == [
        (400, 400, 0),
        (400, 200, 200),
    ]


def test_a_failure_is_logged_once_in_a_while_without_what_the_client_sent(
    deliver: Deliver, caplog: pytest.LogCaptureFixture
) -> None:
    def storage(data: dict[str, Any]) -> None:
        raise ValueError(f"cannot store {data}")

    delivery = deliver(storage)
    with caplog.at_level(logging.DEBUG):
        for _ in range(50):
            delivery.offer(
                build_event(path="/secret-path", user_agent="secret-agent", client_address="203.0.113.9"),
                RequestExtras(),
            )
        assert delivery.flush(SECONDS)

    (record,) = caplog.records
    assert record.getMessage().startswith("The usage storage ")
    assert "ValueError at tests.flask.storages.test_delivery:" in record.getMessage().replace(
        "test_delivery.", ""
    )
    assert not any(text in caplog.text for text in ("secret", "203.0.113.9", "cannot store"))


def test_a_storage_that_flushes_its_own_delivery_does_not_wait_for_itself(deliver: Deliver) -> None:
    answers: list[bool] = []
    deliveries: list[Delivery] = []
    deliveries.append(deliver(lambda data: answers.append(deliveries[0].flush(threading.TIMEOUT_MAX))))

    offer(deliveries[0])

    assert deliveries[0].flush(SECONDS)
    assert answers == [False]


def test_a_close_stores_what_waits_and_refuses_what_comes_later() -> None:
    stored: list[dict[str, Any]] = []
    delivery = Delivery(stored.append)
    offer(delivery, "/1", "/2", "/3")

    delivery.close(SECONDS)
    offer(delivery, "/late")

    assert [data["path"] for data in stored] == ["/1", "/2", "/3"]
    (counts,) = delivery.accounting()
    assert (counts.stored, counts.dropped, counts.waiting) == (3, 1, 0)


def test_a_close_gives_a_hanging_storage_up_in_time_and_says_what_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stored: list[dict[str, Any]] = []
    hanging = Blocking()
    delivery = Delivery([hanging, stored.append])
    offer(delivery, "/1", "/2", "/3")
    assert hanging.entered.wait(SECONDS)
    assert delivery.sinks[1].flush(time.monotonic() + SECONDS)

    delivery.close(0.05)

    assert len(stored) == 3
    given_up, _ = delivery.accounting()
    assert (given_up.dropped, given_up.waiting) == (2, 1)
    assert "The usage storage Blocking was given up with 3 requests left" in caplog.text
    hanging.released.set()
    hanging_thread = delivery.sinks[0]._thread
    assert hanging_thread is not None
    hanging_thread.join(SECONDS)
    assert hanging.paths == ["/1"]


def test_a_storage_that_was_given_up_is_not_waited_for_again(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Blocking()
    delivery = Delivery(hanging)
    offer(delivery)
    delivery.close(0)

    delivery.close(threading.TIMEOUT_MAX)

    assert caplog.text.count("was given up") == 1
    hanging.released.set()


def test_the_threads_of_an_app_that_is_gone_store_what_waits_and_end() -> None:
    stored: list[dict[str, Any]] = []
    hanging = Blocking()
    delivery = Delivery([hanging, stored.append])
    offer(delivery, "/1", "/2")
    threads = [sink._thread for sink in delivery.sinks]

    del delivery
    gc.collect()
    hanging.released.set()

    for thread in threads:
        assert thread is not None
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert hanging.paths == [data["path"] for data in stored] == ["/1", "/2"]


def test_no_thread_runs_before_the_first_request_and_then_one_for_each_storage(deliver: Deliver) -> None:
    before = set(threading.enumerate())

    delivery = deliver(PrintWriter(), PrintWriter())
    made = set(threading.enumerate())
    for _ in range(3):
        delivery.start()

    assert made <= before
    assert len(set(threading.enumerate()) - before) == 2


def test_a_storage_is_given_the_further_keys_that_it_asks_for_and_the_others_are_not(
    deliver: Deliver,
) -> None:
    class Sessions:
        more_keys = ("visit_key", "referrer")

        def __init__(self) -> None:
            self.stored: list[dict[str, Any]] = []

        def __call__(self, data: dict[str, Any]) -> None:
            self.stored.append(data)

    sessions, plain = Sessions(), list[dict[str, Any]]()
    delivery = deliver(sessions, plain.append)
    event = build_event(visit="ann")
    event.attributes[names.REFERRER_URL] = "https://example.org/"

    delivery.offer(event, RequestExtras())

    assert delivery.flush(SECONDS)
    assert sessions.stored[0]["referrer"] == "https://example.org/"
    assert sessions.stored[0]["visit_key"] == event.attributes[names.VISIT_KEY]
    assert sessions.stored[0].keys() - plain[0].keys() == {"visit_key", "referrer"}


def test_what_became_of_requests_can_be_asked_for_all_storages_of_the_process(deliver: Deliver) -> None:
    def first(data: dict[str, Any]) -> None: ...

    delivery, other = deliver(first, raises(ValueError())), deliver(PrintWriter())
    offer(delivery)
    assert delivery.flush(SECONDS)

    lines = storage_accounting()

    assert lines[-3:] == (*delivery.accounting(), *other.accounting())
    assert [(line.offered, line.stored, line.failed) for line in lines[-3:]] == [
        (1, 1, 0),
        (1, 0, 1),
        (0, 0, 0),
    ]


async def asynchronous(data: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        pytest.param(PrintWriter, "The storage PrintWriter is a class, expected an instance", id="class"),
        pytest.param("print", "A storage is a str, expected a callable", id="text"),
        pytest.param(asynchronous, "The storage asynchronous is async", id="async"),
    ],
)
def test_what_can_be_no_storage_is_refused_when_the_app_starts(storage: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Delivery([storage])


def test_a_storage_that_asks_for_a_key_that_there_is_not_is_refused() -> None:
    class Wants(PrintWriter):
        more_keys = ("password",)

    with pytest.raises(ValueError, match="'password' in its more_keys, expected some of: endpoint"):
        Delivery(Wants())
