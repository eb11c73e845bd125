from __future__ import annotations

import logging
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_usage import UsageSpanProcessor
from otel_usage import attributes as names
from otel_usage.pipeline import processor as processor_module
from otel_usage.pipeline.sampler import wrap_sampler
from tests.pipeline.spans import build_span
from tests.recording import RecordingExporter


def test_only_usage_spans_are_delivered() -> None:
    exporter = RecordingExporter()
    processor = UsageSpanProcessor(exporter)

    processor.on_end(build_span())
    processor.on_end(build_span(""))

    assert processor.force_flush(30_000)
    assert len(exporter.events) == 1
    assert processor.accounting().seen == 1


def test_by_hand_it_needs_a_provider_and_nothing_else() -> None:
    exporter = RecordingExporter()
    provider = TracerProvider(sampler=wrap_sampler(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(UsageSpanProcessor(exporter))

    provider.get_tracer("app").start_span("liked", attributes={names.EVENT_NAME: "liked"}).end()
    provider.shutdown()

    assert [event.name for event in exporter.events] == ["liked"]
    assert exporter.is_prepared
    assert exporter.is_closed


def test_what_goes_wrong_at_the_end_of_a_span_is_logged_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(span: object) -> bool:
        raise RuntimeError("203.0.113.7")

    monkeypatch.setattr(processor_module, "is_usage_span", broken)

    UsageSpanProcessor(RecordingExporter()).on_end(build_span())

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Lost a usage event: RuntimeError at ")
    assert "203.0.113.7" not in record.getMessage()


def test_no_thread_runs_before_the_first_event() -> None:
    before = set(threading.enumerate())

    processor = UsageSpanProcessor(RecordingExporter())
    processor.on_end(build_span(""))

    assert set(threading.enumerate()) <= before


def test_a_flush_that_cannot_end_in_time_returns_false() -> None:
    go_on = threading.Event()
    processor = UsageSpanProcessor(RecordingExporter(lambda attempt: None if go_on.wait(30) else None))
    processor.on_end(build_span())

    assert not processor.force_flush(20)

    go_on.set()
    assert processor.force_flush(30_000)
