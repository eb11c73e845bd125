from __future__ import annotations

import logging

import pytest

from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_line_goes_out_at_once(caplog: pytest.LogCaptureFixture) -> None:
    LogThrottle(clock=Clock()).log(logger, logging.WARNING, "No answer from %s", "there")

    assert caplog.messages == ["No answer from there"]


def test_lines_within_the_interval_are_counted_and_told_with_the_next_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    throttle = LogThrottle(interval_seconds=60, clock=clock)
    for _ in range(4):
        throttle.log(logger, logging.WARNING, "No answer")
    clock.now += 60

    throttle.log(logger, logging.WARNING, "No answer")

    assert caplog.messages == ["No answer", "No answer", "(3 more like this since the last such line)"]


def test_a_line_just_before_the_interval_ends_is_held_back(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    throttle = LogThrottle(interval_seconds=60, clock=clock)
    throttle.log(logger, logging.WARNING, "No answer")
    clock.now += 59.9

    throttle.log(logger, logging.WARNING, "No answer")

    assert caplog.messages == ["No answer"]


def test_an_error_is_described_by_kind_and_place_without_its_text() -> None:
    try:
        raise ValueError("10.1.2.3 sent /secret")
    except ValueError as error:
        description = describe_error(error)

    assert description.startswith(f"ValueError at {__name__}:")
    assert "10.1.2.3" not in description


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert describe_error(KeyError("x")) == "KeyError"
