from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from otel_usage import attributes as names
from otel_usage.model import NO_SPAN, AttributeValue
from otel_usage.pipeline.events import EventMaker, is_usage_span, to_event, to_span
from otel_usage.pipeline.rejection import NO_COUNTER_NAME, NOT_A_WHOLE_NUMBER, OTHER, OUT_OF_RANGE
from otel_usage.reports.funnels import Funnel, Stage
from tests.builders import build_event
from tests.pipeline.spans import build_span


def test_a_span_is_a_usage_event_by_its_name_alone() -> None:
    assert is_usage_span(build_span())
    assert not is_usage_span(build_span(""))
    assert not is_usage_span(ReadableSpan("bare"))


def test_a_span_becomes_an_event_with_attributes_of_its_own() -> None:
    span = build_span("liked", {names.PROPERTY_PREFIX + "color": "red"}, start_ns=10, duration_ns=5)

    event = to_event(span)

    assert (event.name, event.timestamp_ns, event.duration_ns) == ("liked", 10, 5)
    assert event.service_name == "shop"
    assert event.id == f"{span.context.trace_id:032x}{span.context.span_id:016x}"
    assert event.parent_span_id == NO_SPAN
    event.attributes["changed"] = True
    assert "changed" not in (span.attributes or {})


def test_a_clock_that_went_back_gives_no_negative_duration() -> None:
    assert to_event(build_span(start_ns=10, duration_ns=-5)).duration_ns == 0


def test_a_span_without_ids_or_times_is_an_event_all_the_same() -> None:
    event = to_event(ReadableSpan("bare", attributes={names.EVENT_NAME: "liked"}))

    assert (event.name, event.timestamp_ns, event.id) == ("liked", 0, "0" * 48)


def test_an_event_as_a_span_carries_its_id_and_all_that_it_had() -> None:
    span = build_span("request", {names.PATH: "/x"})
    (event,) = EventMaker()(span)

    sent = to_span(event)

    assert dict(sent.attributes or {}) == {**event.attributes, names.EVENT_ID: event.id}
    assert sent.context == span.context
    assert sent.parent is None
    assert sent.kind is SpanKind.SERVER
    assert (sent.start_time, sent.end_time) == (span.start_time, span.end_time)
    assert sent.resource.attributes["service.name"] == "shop"
    assert to_event(sent)._replace(attributes={}) == event._replace(attributes={})


@pytest.mark.parametrize(
    ("name", "attributes", "status"),
    [
        (names.REQUEST, {names.STATUS_CODE: 500}, StatusCode.ERROR),
        (names.REQUEST, {names.STATUS_CODE: "503"}, StatusCode.ERROR),
        (names.REQUEST, {names.STATUS_CODE: 499}, StatusCode.UNSET),
        (names.REQUEST, {names.STATUS_CODE: [500]}, StatusCode.UNSET),
        (names.REQUEST, {}, StatusCode.UNSET),
        ("stage", {names.STATUS_CODE: 500}, StatusCode.UNSET),
    ],
)
def test_only_a_request_that_the_app_failed_to_answer_is_a_span_with_an_error(
    name: str, attributes: dict[str, AttributeValue], status: StatusCode
) -> None:
    sent = to_span(build_event(name=name)._replace(attributes=attributes))

    assert (sent.status.status_code, sent.status.description) == (status, None)


def test_an_event_as_a_span_holds_the_texts_of_its_columns() -> None:
    given: dict[str, AttributeValue] = {
        "a": 1.0,
        "b": ["x", "y"],
        "c": 10**30,
        "d": 7,
        "e": True,
        "f": [1.5, float("nan")],
    }

    sent = to_span(build_event()._replace(attributes=dict(given))).attributes or {}

    expected = {"a": "1.0", "b": "x,y", "c": str(10**30), "d": 7, "e": True, "f": "1.5,nan"}
    assert {key: sent[key] for key in given} == expected


def test_an_event_as_a_span_holds_numbers_and_flags_as_its_columns_read_them() -> None:
    given: dict[str, AttributeValue] = {
        names.STATUS_CODE: "200",
        names.RESPONSE_SIZE: 12.9,
        names.COUNTER_VALUE: 10**30,
        names.STAGE_INDEX: ["3"],
        names.VISIT_IS_NEW: "true",
        names.HAS_AUTHORIZATION: True,
    }

    sent = to_span(build_event()._replace(attributes=dict(given))).attributes or {}

    assert [sent[key] for key in given] == [200, 12, 2**63 - 1, 0, False, True]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({names.COUNTER_NAME: "likes", names.COUNTER_VALUE: "5"}, NOT_A_WHOLE_NUMBER),
        ({names.COUNTER_NAME: ["likes"], names.COUNTER_VALUE: 5}, NO_COUNTER_NAME),
        ({names.COUNTER_NAME: "likes", names.COUNTER_VALUE: 1e300}, OUT_OF_RANGE),
        ({names.REJECTED_REASON: "of my own"}, OTHER),
    ],
)
def test_a_malformed_event_as_a_span_says_why(attributes: dict[str, AttributeValue], reason: str) -> None:
    sent = to_span(build_event(names.COUNTER)._replace(attributes=attributes))

    assert (sent.attributes or {})[names.REJECTED_REASON] == reason


def test_an_event_as_a_span_has_no_more_properties_than_its_row() -> None:
    properties = {f"{names.PROPERTY_PREFIX}{number}": "x" for number in reversed(range(40))}
    arguments = {f"{names.VIEW_ARGUMENT_PREFIX}{number}": "x" for number in reversed(range(40))}

    sent = to_span(build_event()._replace(attributes={**properties, names.PATH: "/", **arguments})).attributes

    assert list(sent or {}) == [*[*properties][:32], names.PATH, *[*arguments][:32], names.EVENT_ID]


def test_an_event_of_the_app_is_an_internal_span() -> None:
    (event,) = EventMaker()(build_span("liked"))

    assert to_span(event).kind is SpanKind.INTERNAL


def test_the_same_span_gives_the_same_events_however_often() -> None:
    make = EventMaker([Funnel("buy", (Stage("home", 1, paths=("/",)), Stage("b", 2, routes=("/",))))])
    span = build_span()

    assert make(span) == make(span)
    assert len(make(span)) == 3
