"""Whatever of ours breaks, the response is the one that the app made."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.errors import DeliveryError, RejectedBatch
from otel_usage.flask import instrumentor
from otel_usage.instrumentation import api, request_attributes, scope, tracked, tracker
from otel_usage.instrumentation.address import AddressPolicy, AddressResolver
from otel_usage.log_throttle import LogThrottle
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.pipeline.worker import BatchWorker
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.ticket import TicketOffice
from tests.recording import RecordingExporter
from tests.tracking import Tracking, untracked

BREAKABLE: list[tuple[Any, str]] = [
    (instrumentor, "_tracker_of"),
    (instrumentor, "read_wsgi_request"),
    (instrumentor, "_opened_here"),
    (instrumentor, "_answer"),
    (instrumentor, "signed_in_user"),
    (instrumentor, "place_of"),
    (instrumentor, "_body_size"),
    (instrumentor, "_count_body"),
    (instrumentor, "_finish"),
    (instrumentor, "find_request_span"),
    (instrumentor, "_allows_cookie"),
    (instrumentor, "runtime"),
    (request_attributes, "bounded"),
    (request_attributes, "redact_query"),
    (tracked, "make_event_span"),
    (scope.Scope, "reason_to_filter"),
    (tracker.RequestTracker, "begin"),
    (tracker.RequestTracker, "finish"),
    (tracker.RequestTracker, "_make_request_span"),
    (tracker.RequestTracker, "leave"),
    (CookieVisitManager, "visit_for_request"),
    (TicketOffice, "write"),
    (CookieVisitManager, "_texts_of"),
    (CookieVisitManager, "_open"),
    (AddressResolver, "client_address"),
    (AddressPolicy, "apply"),
    (api, "current_request"),
    (api, "runtime"),
    (api, "record_event"),
    (UsageSpanProcessor, "on_end"),
    (BatchWorker, "offer"),
    (RecordingExporter, "freeze"),
    (RecordingExporter, "send"),
    (RecordingExporter, "close"),
]


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/speak")
    def speak() -> flask.Response:
        otel_usage.track("spoken", n=1)
        otel_usage.object_viewed("item", 1)
        otel_usage.reached("funnel", "stage")
        otel_usage.increment(("item", 1), "views")
        otel_usage.current_visit()
        return flask.Response(iter(["spoken"]), headers={"X-Shop": "open"})

    @app.get("/broken")
    def broken() -> str:
        raise KeyError("of the app")

    return app


def answers(app: Flask) -> list[tuple[str, bytes]]:
    client = app.test_client()
    found = []
    for path in ("/speak", "/broken", "/nowhere"):
        with client.get(path + "?q=1") as response:
            found.append((response.status, response.data))
    return found


def answers_without_tracking() -> list[tuple[str, bytes]]:
    # Else the calls of the views would put in force what the environment says, and keep it so.
    with untracked():
        return answers(build_app())


@pytest.mark.parametrize(
    ("owner", "name"), BREAKABLE, ids=[f"{owner.__name__}.{name}" for owner, name in BREAKABLE]
)
def test_a_stage_that_breaks_never_changes_a_response(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    expected = answers_without_tracking()
    tracking.start()
    app = build_app()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("10.1.2.3 of ours")

    if name == "on_end":  # the SDK lets what a processor raises through; ours keeps its own errors inside
        monkeypatch.setattr("otel_usage.pipeline.processor.is_usage_span", broken)
    else:
        monkeypatch.setattr(owner, name, broken)

    assert answers(app) == expected


def test_what_breaks_at_the_end_of_a_request_does_not_swallow_the_next_one(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.start()
    app = build_app()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("of ours")

    with monkeypatch.context() as patch:
        patch.setattr(instrumentor, "_answer", broken)
        app.test_client().get("/broken")
    app.test_client().get("/nowhere").close()

    assert tracking.request().attributes[names.PATH] == "/nowhere"
    assert otel_usage.current_visit() is None


class BrokenUser:
    @property
    def is_anonymous(self) -> bool:
        raise RuntimeError("a detached object of the app")


class BrokenResponse(flask.Response):
    def calculate_content_length(self) -> int | None:
        raise RuntimeError("of the app")


def test_objects_of_the_app_that_break_cost_only_what_they_would_have_told(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.login_manager = object()  # type: ignore[attr-defined]
    app.response_class = BrokenResponse

    @app.get("/broken-objects")
    def view() -> str:
        flask.g._login_user = BrokenUser()
        return "ok"

    app.test_client().get("/broken-objects")

    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == 200
    assert not {names.USER_ID, names.RESPONSE_SIZE} & event.attributes.keys()


def test_an_error_of_ours_is_logged_without_what_the_client_sent(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otel_usage.instrumentation.guard._error_log", LogThrottle())
    tracking.start()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("203.0.113.77 Mozilla /secret")

    monkeypatch.setattr(CookieVisitManager, "visit_for_request", broken)

    build_app().test_client().get("/speak")

    (record,) = [record for record in caplog.records if record.name == "otel_usage.instrumentation.guard"]
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Usage tracking failed, the app goes on: RuntimeError at ")
    assert "203.0.113.77" not in record.getMessage()
    assert record.exc_info is None


def test_a_request_that_could_not_be_annotated_is_counted(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.start()

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr(AddressPolicy, "apply", broken)

    build_app().test_client().get("/speak")

    assert dict(tracking.accounting().dropped) == {"internal_error": 1}


class BrokenSampler(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        raise RuntimeError("of the sampler")

    def get_description(self) -> str:
        return "broken"


class BrokenProcessor(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("of a processor that is not ours")

    def on_start(self, span: Span, parent_context: object = None) -> None:
        raise RuntimeError("of a processor that is not ours")


def test_a_tracer_that_breaks_never_changes_a_response(tracking: Tracking) -> None:
    expected = answers_without_tracking()

    tracking.start(BrokenSampler())

    assert answers(build_app()) == expected


def test_another_processor_that_breaks_never_changes_a_response(tracking: Tracking) -> None:
    expected = answers_without_tracking()
    provider: TracerProvider = tracking.set_up_sdk()
    provider.add_span_processor(BrokenProcessor())

    tracking.configure()
    instrumentor.FlaskUsageInstrumentor().instrument()

    assert answers(build_app()) == expected


@pytest.mark.parametrize("error", [DeliveryError("down"), RejectedBatch("never"), RuntimeError("bug")])
def test_an_exporter_that_refuses_never_changes_a_response(tracking: Tracking, error: Exception) -> None:
    refused = threading.Event()

    def fail(attempt: int) -> None:
        refused.set()
        raise error

    tracking.exporter = RecordingExporter(fail)
    expected = answers_without_tracking()
    tracking.start(flush_interval_seconds=0.01)

    assert answers(build_app()) == expected
    assert refused.wait(60)


def test_an_exporter_that_cannot_be_made_never_stops_the_app(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(settings: object) -> None:
        raise RuntimeError("of an exporter")

    tracking.set_up_sdk()
    monkeypatch.setattr(wiring, "_build_exporter", broken)
    otel_usage.configure(secret="s")
    instrumentor.FlaskUsageInstrumentor().instrument()

    response = build_app().test_client().get("/speak")

    assert response.status_code == 200
    assert "Set-Cookie" in response.headers  # spans are annotated all the same
    (message,) = [record.getMessage() for record in caplog.records if record.name == "otel_usage.wiring"]
    assert message.startswith(
        "Could not make the exporter 'otlp': RuntimeError at tests.flask.test_failures:"
    )
    assert message.endswith(". Going on without storing usage events.")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: otel_usage.track(""), id="no name"),
        pytest.param(lambda: otel_usage.track(None), id="None"),  # type: ignore[arg-type]
        pytest.param(lambda: otel_usage.track("request"), id="a name that we count"),
        pytest.param(lambda: otel_usage.track("x", **{str(n): n for n in range(1000)}), id="1000 properties"),
        pytest.param(lambda: otel_usage.track("x" * 10_000_000, y="z" * 10_000_000), id="megabytes"),
        pytest.param(lambda: otel_usage.track("\udcff\0", **{"\udcff": "\udcff\0"}), id="no valid text"),
        pytest.param(lambda: otel_usage.track("x", y=10**5000), id="a number without text"),
        pytest.param(lambda: otel_usage.track("x", y=Unprintable()), id="an object without text"),
        pytest.param(lambda: otel_usage.object_viewed(Unprintable()), id="an object without id"),
        pytest.param(lambda: otel_usage.object_viewed(None), id="None viewed"),
        pytest.param(lambda: otel_usage.reached(None, 3), id="no stage"),  # type: ignore[arg-type]
        pytest.param(lambda: otel_usage.increment(("item", 1), "n", 10**30), id="a huge count"),
        pytest.param(lambda: otel_usage.increment(("item", 1), "n", "x"), id="no count"),  # type: ignore[arg-type]
        pytest.param(lambda: otel_usage.increment(("a", "b", "c"), "n", -1), id="a triple"),
    ],
)
def test_a_call_with_anything_at_all_never_raises(tracking: Tracking, call: Callable[[], None]) -> None:
    tracking.start()
    app = build_app()

    @app.get("/call")
    def view() -> str:
        call()
        return "called"

    response = app.test_client().get("/call")
    call()  # outside of a request too

    assert response.data == b"called"
    for event in tracking.events():
        assert len(event.attributes) < 64
        for value in event.attributes.values():
            assert len(str(value).encode()) <= 4 * 2048


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def pk(self) -> object:
        raise RuntimeError("no key")


def test_a_view_that_records_without_end_is_bounded_and_counted(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    @app.get("/endless")
    def endless() -> str:
        for number in range(1_005):
            otel_usage.track("again", number=number)
        return "ok"

    app.test_client().get("/endless")

    assert len(tracking.events("again")) == 1_000
    assert dict(tracking.accounting().dropped) == {"too_many_events_in_a_request": 5}


def test_what_is_recorded_outside_of_a_request_is_an_event_at_once(tracking: Tracking) -> None:
    tracking.start()

    otel_usage.track("nightly", rows=7)

    (event,) = tracking.events()
    assert event.name == "nightly"
    assert dict(event.attributes)[names.PROPERTY_PREFIX + "rows"] == "7"
    assert names.VISIT_KEY not in event.attributes


def test_a_property_may_have_any_name(tracking: Tracking) -> None:
    tracking.start()

    otel_usage.track("order_placed", name="book", self=1, properties="none")

    (event,) = tracking.events()
    assert event.name == "order_placed"
    kept = {key: value for key, value in event.attributes.items() if key.startswith(names.PROPERTY_PREFIX)}
    assert kept == {
        "usage.property.name": "book",
        "usage.property.self": "1",
        "usage.property.properties": "none",
    }
