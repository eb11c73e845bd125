"""The quick way to set attributes does what the SDK's own way does."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span

from otel_usage.instrumentation.span_attributes import set_attributes
from otel_usage.model import AttributeValue

GOOD: dict[str, AttributeValue] = {
    "text": "ä",
    "number": 2**40,
    "share": 0.5,
    "flag": True,
    "list": ("a", "b"),
}


def start_span(**limits: int) -> Span:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(**limits))
    return provider.get_tracer("test").start_span("GET /", attributes={"text": "before", "kept": 1})


def attributes_of(span: Span) -> dict[str, object]:
    return dict(span.attributes)  # type: ignore[attr-defined]


def test_it_sets_what_the_sdk_sets() -> None:
    ours, theirs = start_span(), start_span()

    set_attributes(ours, dict(GOOD))
    theirs.set_attributes(GOOD)

    assert attributes_of(ours) == attributes_of(theirs) == {"kept": 1, **GOOD}


def test_it_takes_the_quick_way_with_the_sdk_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    span = start_span()
    monkeypatch.setattr(type(span), "set_attributes", None)

    set_attributes(span, dict(GOOD))

    assert attributes_of(span)["flag"] is True


@pytest.mark.parametrize(
    "limits",
    [{"max_span_attributes": 3}, {"max_span_attributes": 0}, {"max_span_attribute_length": 1}],
    ids=str,
)
def test_the_limits_of_the_span_hold(limits: dict[str, int]) -> None:
    ours, theirs = start_span(**limits), start_span(**limits)

    set_attributes(ours, dict(GOOD))
    theirs.set_attributes(GOOD)

    assert attributes_of(ours) == attributes_of(theirs)
    assert ours.dropped_attributes == theirs.dropped_attributes  # type: ignore[attr-defined]


def test_a_span_that_has_ended_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    span = start_span()
    span.end()

    with caplog.at_level(logging.WARNING):
        set_attributes(span, dict(GOOD))

    assert attributes_of(span) == {"text": "before", "kept": 1}
    assert caplog.messages == ["Setting attribute on ended span."]


@pytest.mark.parametrize("span", [INVALID_SPAN, NonRecordingSpan(INVALID_SPAN.get_span_context())], ids=repr)
def test_a_span_that_does_not_record_is_no_error(span: Span) -> None:
    set_attributes(span, dict(GOOD))


def test_later_changes_of_what_was_given_change_nothing() -> None:
    span, given = start_span(), dict(GOOD)
    set_attributes(span, given)

    given["text"] = "changed"

    assert attributes_of(span)["text"] == "ä"
