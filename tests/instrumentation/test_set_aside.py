"""Calls of the app from which nothing can be counted: set aside, never lost and never raised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

import otel_usage
from otel_usage import attributes as names
from otel_usage.instrumentation import counter_rules
from otel_usage.instrumentation.counter_rules import add_counter_rule
from otel_usage.log_throttle import LogThrottle
from tests.tracking import Tracking, clean_process


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    monkeypatch.setattr(counter_rules, "_rules", [])
    monkeypatch.setattr("otel_usage.instrumentation.api._misuse_log", LogThrottle())
    with clean_process(monkeypatch):
        tracking = Tracking(monkeypatch)
        tracking.start()
        yield tracking


class Unsaved:
    pk = None


class Item:
    pk = 7


def increment(obj: object, counter: object = "clicks", value: object = 1) -> Callable[[], None]:
    return lambda: otel_usage.increment(obj, counter, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "event", "reason"),
    [
        pytest.param(increment(Item(), value="many"), "counter", "not_a_whole_number", id="a word"),
        pytest.param(increment(Item(), value=1.5), "counter", "not_a_whole_number", id="a fraction"),
        pytest.param(increment(Item(), value=None), "counter", "not_a_whole_number", id="nothing"),
        pytest.param(increment(Item(), value=Item()), "counter", "not_a_whole_number", id="an object"),
        pytest.param(increment(Item(), value=2**63), "counter", "out_of_range", id="too much"),
        pytest.param(increment(Item(), value=-(10**5000)), "counter", "out_of_range", id="without a text"),
        pytest.param(increment(Item(), ""), "counter", "no_counter_name", id="an empty name"),
        pytest.param(increment(Item(), None), "counter", "no_counter_name", id="no name"),
        pytest.param(increment(Unsaved()), "counter", "no_object", id="an object without key"),
        pytest.param(increment(Item), "counter", "no_object", id="a class"),
        pytest.param(increment(None), "counter", "no_object", id="no object"),
        pytest.param(lambda: otel_usage.track(""), "", "no_event_name", id="no event"),
        pytest.param(
            lambda: otel_usage.track("login"), "login", "reserved_event_name", id="an event of ours"
        ),
    ],
)
def test_a_call_that_cannot_be_counted_is_set_aside(
    tracking: Tracking, call: Callable[[], None], event: str, reason: str
) -> None:
    call()

    (rejected,) = tracking.events()
    assert rejected.name == names.REJECTED
    assert rejected.attributes[names.REJECTED_EVENT] == event
    assert rejected.attributes[names.REJECTED_REASON] == reason
    assert tracking.accounting().rejected == {reason: 1}
    assert tracking.accounting().seen == 1


def test_what_was_given_goes_along(tracking: Tracking) -> None:
    otel_usage.increment(Item(), "clicks", "many")  # type: ignore[arg-type]

    (rejected,) = tracking.events()
    given = {key: value for key, value in rejected.attributes.items() if key.startswith("usage.")}
    assert (
        given.items()
        >= {
            names.OBJECT_TYPE: "Item",
            names.OBJECT_ID: "7",
            names.COUNTER_NAME: "clicks",
            names.REJECTED_VALUE: "many",
        }.items()
    )


@pytest.mark.parametrize(("value", "counted"), [(0, 0), (-3, -3), ("4", 4), (2.0, 2), (True, 1)])
def test_a_whole_number_counts_in_whatever_type_it_comes(
    tracking: Tracking, value: int, counted: int
) -> None:
    otel_usage.increment(Item(), "clicks", value)

    (event,) = tracking.events(names.COUNTER)
    assert event.attributes[names.COUNTER_VALUE] == counted


def test_a_counter_that_a_rule_refuses_is_set_aside_for_pairs_too(tracking: Tracking) -> None:
    add_counter_rule(lambda object_type, counter: object_type == "item" and counter != "clicks")

    otel_usage.increment(("item", 1), "clicks")
    otel_usage.increment(("item", 1), "clix")
    otel_usage.increment(("page", 1), "clix")

    assert tracking.accounting().rejected == {"unknown_counter": 1}
    assert len(tracking.events(names.COUNTER)) == 2


def test_without_an_exporter_the_span_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with clean_process(monkeypatch):
        tracking = Tracking(monkeypatch)
        tracking.set_up_sdk()
        otel_usage.configure(exporter="none")
        otel_usage.increment(Item(), "")

        (span,) = tracking.spans()

    assert span.attributes is not None
    assert span.attributes[names.REJECTED_REASON] == "no_counter_name"


def test_the_log_says_why_and_nothing_of_what_was_given(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        otel_usage.increment(("item", "203.0.113.7"), "203.0.113.7", "203.0.113.7")  # type: ignore[arg-type]

    assert caplog.messages == [
        "increment() was called in a way that cannot be counted (not_a_whole_number); "
        "the table rejected_events has the call"
    ]
