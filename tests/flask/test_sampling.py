"""Sampling never loses usage, and usage never changes what is sampled."""

from __future__ import annotations

import flask
import pytest
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

import otel_usage
from otel_usage import attributes as names
from otel_usage.flask import FlaskUsageInstrumentor
from tests.tracking import Tracking


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        otel_usage.object_viewed("item", number)
        with trace.get_tracer("app").start_as_current_span("work"):
            return format(trace.get_current_span().get_span_context().trace_id, "032x")

    return app


@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_500_requests_at_1_percent_are_500_events_in_their_traces(
    tracking: Tracking, with_contrib: bool
) -> None:
    tracking.start(ParentBased(TraceIdRatioBased(0.01)))
    if with_contrib:
        FlaskInstrumentor().instrument()
    client = build_app().test_client()

    trace_ids = [client.get(f"/item/{number}").text for number in range(500)]

    requests = tracking.events("request")
    assert len(requests) == len({event.id for event in requests}) == 500
    assert len(tracking.events("object_viewed")) == 500
    if with_contrib:
        assert [event.trace_id.hex() for event in requests] == trace_ids


def test_what_is_only_recorded_never_reaches_an_exporter_of_traces(tracking: Tracking) -> None:
    tracking.start(ALWAYS_OFF)
    FlaskInstrumentor().instrument()
    client = build_app().test_client()

    for number in range(50):
        client.get(f"/item/{number}")

    assert tracking.spans() == []
    assert len(tracking.events()) == 100


def test_the_ratio_of_exported_traces_stays(tracking: Tracking) -> None:
    sampler = ParentBased(TraceIdRatioBased(0.3))
    tracking.start(sampler)
    FlaskInstrumentor().instrument()
    client = build_app().test_client()

    trace_ids = {int(client.get("/item/1").text, 16) for _ in range(200)}

    expected = {
        trace_id
        for trace_id in trace_ids
        if trace_id & (2**64 - 1) < TraceIdRatioBased.get_bound_for_rate(0.3)
    }
    exported = {span.context.trace_id for span in tracking.spans() if span.context is not None}
    assert exported == expected


def test_a_caller_who_did_not_sample_is_an_event_and_no_exported_trace(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "Cookie": "a=b"}

    build_app().test_client().get("/item/1", headers=headers)

    event = tracking.request()
    assert event.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert event.parent_span_id.hex() == "b7ad6b7169203331"
    assert tracking.spans() == []


def test_a_call_to_another_service_keeps_the_sampled_flag_off(tracking: Tracking) -> None:
    tracking.start(ALWAYS_OFF)
    FlaskInstrumentor().instrument()
    app = build_app()
    app.add_url_rule(
        "/flags", "flags", lambda: str(trace.get_current_span().get_span_context().trace_flags.sampled)
    )

    assert app.test_client().get("/flags").text == "False"


def test_without_the_sdk_every_request_is_an_event(tracking: Tracking) -> None:
    tracking.configure()
    FlaskUsageInstrumentor().instrument()

    build_app().test_client().get("/item/1")

    assert [event.name for event in tracking.events()] == ["request", "object_viewed"]


def test_without_a_call_of_configure_the_environment_counts(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_EXPORTER", "none")
    monkeypatch.setenv("OTEL_USAGE_COOKIE_NAME", "mine")
    FlaskUsageInstrumentor().instrument()

    response = build_app().test_client().get("/item/1")

    assert response.headers["Set-Cookie"].startswith("mine=")


def test_an_sdk_that_comes_after_configure_is_used(tracking: Tracking) -> None:
    tracking.configure()
    FlaskUsageInstrumentor().instrument()
    tracking.set_up_sdk(ALWAYS_OFF)

    build_app().test_client().get("/item/1")

    event = tracking.request()
    assert event.service_name == "shop"
    assert names.VISIT_KEY in event.attributes


def test_an_app_made_before_everything_else_is_followed_when_unsampled(tracking: Tracking) -> None:
    # contrib's tracer of this app was made with the sampler before it was wrapped.
    tracking.set_up_sdk(ALWAYS_OFF)
    FlaskInstrumentor().instrument()
    app = build_app_of(flask.Flask)
    tracking.configure()
    FlaskUsageInstrumentor().instrument()

    app.test_client().get("/item/1")

    assert len(tracking.events("request")) == 1


def build_app_of(flask_class: type[Flask]) -> Flask:
    app = flask_class("early")
    app.add_url_rule("/item/<int:number>", "item", lambda number: str(number))
    return app


def test_an_exporter_of_none_annotates_spans_and_stores_nothing(tracking: Tracking) -> None:
    provider: TracerProvider = tracking.set_up_sdk()
    sampler = provider.sampler
    otel_usage.configure(exporter="none", secret="s")
    FlaskUsageInstrumentor().instrument()
    FlaskInstrumentor().instrument()

    build_app().test_client().get("/item/1")

    (request,) = [span for span in tracking.spans() if span.name == "GET /item/<int:number>"]
    assert (request.attributes or {})[names.EVENT_NAME] == "request"
    assert provider.sampler is sampler


def test_our_processor_comes_beside_others_without_taking_their_spans(tracking: Tracking) -> None:
    provider = tracking.set_up_sdk()
    tracking.configure()
    FlaskUsageInstrumentor().instrument()
    FlaskInstrumentor().instrument()
    provider.add_span_processor(SimpleSpanProcessor(tracking.trace_exporter))

    build_app().test_client().get("/item/1")

    assert len([span for span in tracking.spans() if span.name == "work"]) == 2
    assert [event.name for event in tracking.events()] == ["object_viewed", "request"]


class SamplesChildrenToo(Sampler):
    """Samples everything, whatever the parent says."""

    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "all"


@pytest.mark.parametrize("sampler", [None, SamplesChildrenToo()], ids=["by parent", "each span"])
def test_a_url_that_is_excluded_from_tracing_is_an_event_and_no_exported_trace(
    tracking: Tracking, sampler: Sampler | None
) -> None:
    tracking.start(sampler)
    FlaskInstrumentor().instrument(excluded_urls="item/1$")
    client = build_app().test_client()

    trace_ids = [client.get(f"/item/{number}").text for number in (1, 2)]

    assert [event.attributes[names.PATH] for event in tracking.events("request")] == ["/item/1", "/item/2"]
    assert len(tracking.events("object_viewed")) == 2
    exported = {format(span.context.trace_id, "032x") for span in tracking.spans() if span.context}
    # What the app itself traces there is its own affair.
    assert [span.name for span in tracking.spans() if span.name != "work"] == [
        "object_viewed",
        "GET /item/<int:number>",
    ]
    assert trace_ids[1] in exported


def test_an_excluded_url_inside_a_trace_stays_in_it(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument(excluded_urls="item/1$")
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    build_app().test_client().get("/item/1", headers=headers)

    event = tracking.request()
    assert event.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert event.parent_span_id.hex() == "b7ad6b7169203331"
    assert [span.name for span in tracking.spans()] == ["work"]
