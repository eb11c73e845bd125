"""What travels with a span in memory: it reaches the worker with its span, and nobody else."""

from __future__ import annotations

from pathlib import Path

import flask
import pytest
from flask import Flask
from opentelemetry.sdk.trace import TracerProvider

import otel_usage
from otel_usage import attributes as names
from otel_usage import wiring
from otel_usage.instrumentation.tracked import current_request
from otel_usage.model import Event
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.companion import _MOST_WAITING, NO_COMPANION, Companion, Companions
from otel_usage.pipeline.processor import UsageSpanProcessor
from tests.mmdb import write_database
from tests.recording import RecordingExporter
from tests.tracking import Tracking

PEER = "203.0.113.77"


def build_provider(processor: UsageSpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def build_shop() -> Flask:
    app = flask.Flask("shop")

    @app.get("/")
    def home() -> str:
        otel_usage.object_viewed("shop.Product", 7)
        return "home"

    return app


def test_each_span_takes_its_own_companion_and_only_once() -> None:
    companions = Companions()
    provider = build_provider(UsageSpanProcessor(RecordingExporter()))
    spans = [provider.get_tracer("t").start_span("s") for _ in range(3)]
    for number, span in enumerate(spans[:2]):
        companions.attach(span, Companion(str(number)))

    taken = [companions.take(span) for span in (*spans, spans[0])]  # type: ignore[arg-type]

    assert taken == [Companion("0"), Companion("1"), NO_COMPANION, NO_COMPANION]


def test_spans_that_never_end_do_not_fill_the_memory() -> None:
    companions = Companions()
    tracer = build_provider(UsageSpanProcessor(RecordingExporter())).get_tracer("t")

    for _ in range(_MOST_WAITING + 10):
        companions.attach(tracer.start_span("s"), Companion("192.0.2.1"))

    assert len(companions._by_span) == _MOST_WAITING


def test_whoever_takes_an_event_gets_it_enriched_and_its_failure_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter, accounting, taken = RecordingExporter(), Accounting(), []
    processor = UsageSpanProcessor(exporter, accounting=accounting)
    tracer = build_provider(processor).get_tracer("t")

    def take(event: Event) -> None:
        taken.append(event.attributes[names.BROWSER])
        raise RuntimeError("full")

    for _ in range(2):
        span = tracer.start_span("r", attributes={names.EVENT_NAME: "request", names.USER_AGENT: "curl/8.5"})
        processor.attach(span, Companion(on_event=take))
        span.end()
    processor.shutdown()

    assert taken == ["curl", "curl"]
    assert len(exporter.events) == accounting.snapshot().stored == 2
    assert "A storage could not take a usage event: RuntimeError" in caplog.text


@pytest.mark.parametrize("policy", ["full", "masked", "hashed", "off"])
def test_an_address_is_located_in_full_and_kept_as_the_policy_says(
    tracking: Tracking, tmp_path: Path, policy: str
) -> None:
    database = write_database(tmp_path / "geo.mmdb", {f"{PEER}/32": {"country_code": "CH"}})
    tracking.start(ip=policy, geo_database=str(database))

    build_shop().test_client().get("/", environ_overrides={"REMOTE_ADDR": PEER})

    events = tracking.events()
    assert [(event.name, event.attributes.get(names.COUNTRY)) for event in events] == [
        ("request", "CH"),
        ("object_viewed", "CH"),
    ]
    shown = [str(event.attributes) for event in events] + [str(span.attributes) for span in tracking.spans()]
    assert [PEER in text for text in shown] == [policy == "full"] * len(shown)
    assert tracking.processor._companions._by_span == {}


def test_a_request_that_is_no_event_leaves_nothing_behind(tracking: Tracking) -> None:
    tracking.start()
    app = build_shop()

    @app.get("/log")
    def log() -> str:
        tracked = current_request()
        assert tracked is not None
        tracked.companion = Companion(on_event=lambda event: None)
        tracked.record_events_only("client_api")
        return ""

    app.test_client().get("/log")

    assert tracking.events() == []
    assert tracking.processor._companions._by_span == {}


@pytest.mark.parametrize("is_configured_first", [True, False])
def test_events_reach_the_process_itself_where_no_exporter_is_set(
    tracking: Tracking, is_configured_first: bool
) -> None:
    taken: list[str] = []
    closed: list[float] = []
    tracking.set_up_sdk()
    if is_configured_first:
        wiring.configure(exporter="none")
        assert wiring.runtime() is not None
    wiring.take_events_in_process(closed.append)
    if not is_configured_first:
        wiring.configure(exporter="none")
    active = wiring.runtime()
    assert active is not None
    assert active.processor is not None

    span = active.tracer.start_span("liked", attributes={names.EVENT_NAME: "liked"})
    active.processor.attach(span, Companion(on_event=lambda event: taken.append(event.name)))
    span.end()
    wiring.shut_down()

    assert taken == ["liked"]
    assert active.accounting.snapshot().stored == 1
    assert len(closed) == 1
    assert closed[0] > 0
