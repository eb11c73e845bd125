"""A check says what differs."""

from __future__ import annotations

from collections import Counter

import pytest

from otel_usage.demo.checks import check_sending, compare_counts, compare_number
from otel_usage.demo.sender import SendReport


def test_equal_numbers_hold() -> None:
    assert str(compare_number("requests", 2000, 2000)) == "ok    requests: sent 2,000, stored 2,000"


def test_different_numbers_fail() -> None:
    assert str(compare_number("requests", 2000, 1999)) == "FAIL  requests: sent 2,000, stored 1,999"


@pytest.mark.parametrize(
    ("sent", "stored", "line"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 2, "a": 1}, "ok    x: 3 in 2 groups, all as sent", id="equal"),
        pytest.param({"a": 1}, {"a": 2}, "FAIL  x: a: sent 1, stored 2", id="one differs"),
        pytest.param({"a": 1}, {}, "FAIL  x: a: sent 1, stored 0", id="one is missing"),
        pytest.param({}, {"": 4}, "FAIL  x: (empty): sent 0, stored 4", id="one is too many"),
        pytest.param({"a": 1, "b": 1}, {}, "FAIL  x: a: sent 1, stored 0, and 1 more", id="two are missing"),
        pytest.param({("a", "b"): 1}, {}, "FAIL  x: a / b: sent 1, stored 0", id="several columns"),
        pytest.param(
            Counter(a=1, b=0), {"a": 1}, "ok    x: 1 in 1 groups, all as sent", id="a zero is nothing"
        ),
    ],
)
def test_counts_are_compared_by_key(sent: dict[str, int], stored: dict[str, int], line: str) -> None:
    assert str(compare_counts("x", sent, stored)) == line


@pytest.mark.parametrize(
    ("report", "holds"),
    [
        pytest.param(SendReport(sent=10), True, id="all answered"),
        pytest.param(SendReport(sent=9, failed=1), False, id="one without an answer"),
        pytest.param(SendReport(sent=10, failed=1), False, id="one answered otherwise"),
    ],
)
def test_every_request_must_be_answered_as_planned(report: SendReport, holds: bool) -> None:
    assert check_sending(report, 10).holds is holds
