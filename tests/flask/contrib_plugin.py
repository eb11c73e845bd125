"""A pytest plugin that runs somebody else's Flask tests with our tracking in force, and counts what it did.

Those tests compare all attributes of a span. What we alone have set is hidden from them when they read it;
what contrib sets too stays, with our value if we overwrote it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flask
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Span

from otel_usage import wiring
from otel_usage.flask import FlaskUsageInstrumentor
from otel_usage.instrumentation.tracker import Answer, RequestTracker, TrackedRequest
from otel_usage.model import Event
from otel_usage.pipeline.exporters import Batch
from otel_usage.settings import Settings

REPORT_VARIABLE = "CONTRIB_PLUGIN_REPORT"
"""Path of the JSON file that takes the counts."""


class MemoryExporter:
    """Keeps the ids of request events."""

    def __init__(self) -> None:
        self.request_ids: list[str] = []

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        return Batch(token, events, None)

    def send(self, batch: Batch) -> None:
        self.request_ids += [event.id for event in batch.events if event.name == "request"]

    def set_aside(self, batch: Batch, reason: str) -> None:
        raise AssertionError(f"a batch was set aside: {reason}")

    def close(self) -> None:
        pass


class Observer:
    """Counts requests and finished requests apart, and remembers who set which attribute."""

    def __init__(self) -> None:
        self.exporter = MemoryExporter()
        self.requests = 0
        self.finished = 0
        self.annotated = 0
        self._in_finish = threading.local()
        self._ours: defaultdict[int, set[str]] = defaultdict(set)
        self._theirs: defaultdict[int, set[str]] = defaultdict(set)

    def count_request(self, sender: flask.Flask, **extra: Any) -> None:
        self.requests += 1

    def watch_tracker(self) -> None:
        finish = RequestTracker.finish

        def counted(
            tracker: RequestTracker, tracked: TrackedRequest, answer: Answer, span: Span | None
        ) -> str:
            self.finished += 1
            self.annotated += span is not None
            if span is not None:
                # Those that it was started with.
                present: Mapping[str, Any] = getattr(span, "attributes", None) or {}
                self._theirs[span_id(span)].update(present)
            self._in_finish.yes = True
            try:
                return finish(tracker, tracked, answer, span)
            finally:
                self._in_finish.yes = False

        patch.setattr(RequestTracker, "finish", counted)

    def watch_spans(self) -> None:
        set_many, set_one = SdkSpan.set_attributes, SdkSpan.set_attribute
        read = ReadableSpan.attributes.fget  # type: ignore[attr-defined]

        def set_attributes(span: SdkSpan, attributes: Mapping[str, Any]) -> None:
            writers = self._ours if getattr(self._in_finish, "yes", False) else self._theirs
            writers[span_id(span)].update(attributes)
            set_many(span, attributes)

        def set_attribute(span: SdkSpan, key: str, value: Any) -> None:
            self._theirs[span_id(span)].add(key)
            set_one(span, key, value)

        def attributes(span: ReadableSpan) -> Mapping[str, Any]:
            present: Mapping[str, Any] = read(span)
            if sys._getframe(1).f_globals["__name__"].startswith("otel_usage"):
                return present
            hidden = self._ours[span_id(span)] - self._theirs[span_id(span)]
            return {key: value for key, value in present.items() if key not in hidden}

        patch.setattr(SdkSpan, "set_attributes", set_attributes)
        patch.setattr(SdkSpan, "set_attribute", set_attribute)
        patch.setattr(ReadableSpan, "attributes", property(attributes))

    def report(self) -> dict[str, int]:
        return {
            "requests": self.requests,
            "finished": self.finished,
            "annotated": self.annotated,
            "events": len(self.exporter.request_ids),
            "distinct_events": len(set(self.exporter.request_ids)),
        }


def attach_to_every_provider(processor: Any) -> None:
    """Those tests make a provider for each test, where an app has one."""
    initialize = TracerProvider.__init__

    def initialize_and_attach(provider: TracerProvider, *args: Any, **kwargs: Any) -> None:
        initialize(provider, *args, **kwargs)
        provider.add_span_processor(processor)

    patch.setattr(TracerProvider, "__init__", initialize_and_attach)


def span_id(span: ReadableSpan | Span) -> int:
    context = span.get_span_context()
    return context.span_id if context is not None else 0


patch = pytest.MonkeyPatch()
observer = Observer()


def pytest_configure() -> None:
    """Put tracking in force before the first test is collected."""

    def build_exporter(settings: Settings) -> MemoryExporter:
        return observer.exporter

    patch.setattr(wiring, "_build_exporter", build_exporter)
    wiring.configure(secret="of the tests")
    observer.watch_tracker()
    observer.watch_spans()
    FlaskUsageInstrumentor().instrument()
    flask.request_started.connect(observer.count_request, weak=False)
    active = wiring.runtime()
    assert active is not None
    assert active.processor is not None
    attach_to_every_provider(active.processor)


def pytest_sessionfinish() -> None:
    """Write the counts where the test that started us looks for them."""
    active = wiring.runtime()
    assert active is not None
    assert active.processor is not None
    active.processor.shutdown()
    Path(os.environ[REPORT_VARIABLE]).write_text(json.dumps(observer.report()), "utf-8")
