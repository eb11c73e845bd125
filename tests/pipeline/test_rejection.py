from __future__ import annotations

from decimal import Decimal

import pytest

from otel_usage import attributes as names
from otel_usage.model import AttributeValue
from otel_usage.pipeline.rejection import (
    NO_COUNTER_NAME,
    NOT_A_WHOLE_NUMBER,
    OTHER,
    OUT_OF_RANGE,
    UNKNOWN_COUNTER,
    reason_to_reject,
    rejections,
    whole_number,
)
from tests.builders import build_event


def counter(counter_name: AttributeValue = "clicks", counter_value: AttributeValue = 1) -> str:
    return reason_to_reject(
        build_event(names.COUNTER, counter_name=counter_name, counter_value=counter_value)
    )


@pytest.mark.parametrize("value", [0, 1, -5, 2**63 - 1, -(2**63), True, 3.0, -0.0])
def test_a_counter_takes_whole_numbers_of_64_bits(value: AttributeValue) -> None:
    assert counter(counter_value=value) == ""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("3", NOT_A_WHOLE_NUMBER),
        ("many", NOT_A_WHOLE_NUMBER),
        (1.5, NOT_A_WHOLE_NUMBER),
        (float("nan"), NOT_A_WHOLE_NUMBER),
        (float("inf"), OUT_OF_RANGE),
        (1e18, OUT_OF_RANGE),
        ([1, 2], NOT_A_WHOLE_NUMBER),
        (2**63, OUT_OF_RANGE),
        (-(2**63) - 1, OUT_OF_RANGE),
    ],
)
def test_any_other_value_is_set_aside_whoever_sent_it(value: AttributeValue, reason: str) -> None:
    assert counter(counter_value=value) == reason


@pytest.mark.parametrize("name", ["", 5, ["clicks"]])
def test_a_counter_without_a_name_is_set_aside(name: AttributeValue) -> None:
    assert counter(counter_name=name) == NO_COUNTER_NAME


def test_a_counter_without_a_value_is_set_aside() -> None:
    assert reason_to_reject(build_event(names.COUNTER, counter_name="clicks")) == NOT_A_WHOLE_NUMBER


@pytest.mark.parametrize(
    ("given", "reason"), [(UNKNOWN_COUNTER, UNKNOWN_COUNTER), ("my own", OTHER), (5, OTHER)]
)
def test_whoever_makes_an_event_may_reject_it_for_one_of_a_few_reasons(
    given: AttributeValue, reason: str
) -> None:
    event = build_event("rejected")
    event.attributes[names.REJECTED_REASON] = given

    assert reason_to_reject(event) == reason


def test_other_events_are_not_looked_at() -> None:
    assert rejections([build_event(), build_event("liked", counter_value="x")]) == {}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("-5", -5),
        (2.0, 2),
        (Decimal(7), 7),
        (10**30, 10**30),
        (1.5, None),
        (Decimal("0.5"), None),
        ("1.5", None),
        ("many", None),
        ("", None),
        ("9" * 5000, None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (b"5", None),
        ([5], None),
    ],
)
def test_what_is_a_whole_number(value: object, number: int | None) -> None:
    assert whole_number(value) == number
