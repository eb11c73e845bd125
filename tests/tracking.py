"""Tracking put in force inside the test's own process, with an exporter that keeps the events."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy 2.4 loses the name
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.test.globals_test import reset_trace_globals

from otel_usage import wiring
from otel_usage.django import DjangoUsageInstrumentor
from otel_usage.flask import FlaskUsageInstrumentor
from otel_usage.instrumentation import tracked
from otel_usage.model import Event
from otel_usage.pipeline.accounting import AccountingSnapshot
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.settings import Settings
from tests.recording import RecordingExporter


class Tracking:
    """What a test does to a process: set up the SDK, configure us, instrument, look at what came out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.exporter = RecordingExporter()
        self.trace_exporter = InMemorySpanExporter()
        """What an ordinary exporter of traces gets."""

    def set_up_sdk(self, sampler: Sampler | None = None) -> TracerProvider:
        """Set a provider with an ordinary exporter of traces, as the launcher or an app does."""
        provider = TracerProvider(
            sampler=sampler or ParentBased(ALWAYS_ON),
            resource=Resource({"service.name": "shop"}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(SimpleSpanProcessor(self.trace_exporter))
        trace.set_tracer_provider(provider)
        return provider

    def configure(self, **settings: object) -> None:
        """Configure with our exporter in the place of the one that the settings name."""

        def build(_: Settings) -> RecordingExporter:
            return self.exporter

        self._monkeypatch.setattr(wiring, "_build_exporter", build)
        wiring.configure(**{"secret": "of the tests", **settings})

    def start(self, sampler: Sampler | None = None, /, **settings: Any) -> None:
        """Set up the SDK, configure, and instrument both frameworks."""
        self.set_up_sdk(sampler)
        self.configure(**settings)
        FlaskUsageInstrumentor().instrument()
        DjangoUsageInstrumentor().instrument()

    @property
    def processor(self) -> UsageSpanProcessor:
        processor = wiring._wiring.processor
        assert processor is not None
        return processor

    def events(self, name: str | None = None) -> list[Event]:
        """Return the events so far, or those of one name."""
        if wiring._wiring.processor is not None:
            assert self.processor.force_flush(60_000)
        return self.exporter.events if name is None else self.exporter.named(name)

    def request(self) -> Event:
        """Return the one request event that there is."""
        (event,) = self.events("request")
        return event

    def accounting(self) -> AccountingSnapshot:
        self.events()
        return wiring._wiring.accounting.snapshot()

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that an ordinary exporter of traces got."""
        return list(self.trace_exporter.get_finished_spans())


@contextmanager
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test start from nothing, and leave nothing behind in the process."""
    monkeypatch.setattr(wiring, "_wiring", wiring._Wiring())
    monkeypatch.setenv("_OTEL_USAGE_GENERATED_SECRET", "")
    # contrib decides once per process whether it writes old or new names.
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    monkeypatch.setattr(
        _OpenTelemetrySemanticConventionStability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {}
    )
    handler = signal.getsignal(signal.SIGTERM)
    reset_trace_globals()
    try:
        yield
    finally:
        instrumentors: tuple[BaseInstrumentor, ...] = (
            FlaskUsageInstrumentor(),
            FlaskInstrumentor(),
            DjangoUsageInstrumentor(),
            DjangoInstrumentor(),
        )
        for instrumentor in instrumentors:
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
        if wiring._wiring.processor is not None:
            wiring.shut_down()
        atexit.unregister(wiring.shut_down)
        signal.signal(signal.SIGTERM, handler)
        # A test that breaks the end of a request leaves it current.
        tracked._current_request.set(None)
        reset_trace_globals()


@contextmanager
def untracked() -> Iterator[None]:
    """Leave tracking off for the block, also for the calls of ours that an app makes."""
    with pytest.MonkeyPatch.context() as patch, clean_process(patch):
        wiring.configure(disabled=True)
        yield
