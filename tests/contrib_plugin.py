"""pytest plug-in for contrib's own tests: tracking is active in them, and nobody who reads a span sees it.

Loaded with `-p tests.contrib_plugin` into a process of its own, for the framework of `CONTRIB_FRAMEWORK`. Contrib's tests compare whole dictionaries
of attributes, so the keys that we added, and nobody else has set, are taken out when a span is read. At the end
the numbers of requests served and of requests annotated stand in the file of `CONTRIB_COUNTS`.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span

import otel_usage
from otel_usage import wiring
from otel_usage.instrumentation import span_attributes, tracker
from otel_usage.instrumentation.tracker import RequestTracker
from tests.recording import RecordingExporter

exporter = RecordingExporter()
served = 0
annotated = 0
_annotating: ContextVar[bool] = ContextVar("annotating", default=False)


def count_calls(owner: Any, name: str) -> None:
    """Count every request that an app is asked, at the door."""
    original = getattr(owner, name)

    def count() -> None:
        global served
        served += 1

    @functools.wraps(original)
    def counted(*args: Any, **kwargs: Any) -> Any:
        count()
        return original(*args, **kwargs)

    setattr(owner, name, counted)


def activate_in_flask() -> None:
    import flask

    from otel_usage.flask import FlaskUsageInstrumentor

    count_calls(flask.Flask, "full_dispatch_request")
    FlaskUsageInstrumentor().instrument()


def activate_in_django() -> None:
    from django.core.handlers.base import BaseHandler

    from otel_usage.django import DjangoUsageInstrumentor

    count_calls(BaseHandler, "get_response")
    count_calls(BaseHandler, "get_response_async")
    DjangoUsageInstrumentor().instrument()


def count_annotations() -> None:
    original = RequestTracker._annotate

    def annotate(self: RequestTracker, tracked: Any, answer: Any, span: Any) -> None:
        global annotated
        token = _annotating.set(True)
        try:
            original(self, tracked, answer, span)
        finally:
            _annotating.reset(token)
        annotated += 1

    RequestTracker._annotate = annotate  # type: ignore[method-assign]


def hide_our_keys() -> None:
    set_attribute, set_attributes, readable_span = (
        Span.set_attribute,
        Span.set_attributes,
        Span._readable_span,
    )
    attributes = vars(ReadableSpan)["attributes"].fget

    def remember(span: Any, given: Mapping[str, Any]) -> None:
        ours: set[str] = span.__dict__.setdefault("usage_keys", set())
        if _annotating.get():
            ours.update(given.keys() - (span._attributes or {}).keys())
        else:
            ours.difference_update(given)  # the framework's instrumentation sets it too, later

    set_ours = span_attributes.set_attributes

    def remembering_ours(span: Any, attributes: dict[str, Any]) -> None:
        remember(span, attributes)
        set_ours(span, attributes)

    def remembering_all(self: Any, given: Mapping[str, Any]) -> None:
        remember(self, given)
        set_attributes(self, given)

    def remembering(self: Any, key: str, value: Any) -> None:
        remember(self, {key: value})
        set_attribute(self, key, value)

    def copied(self: Any) -> ReadableSpan:
        copy = readable_span(self)
        copy.__dict__["usage_keys"] = self.__dict__.get("usage_keys", set())
        return copy

    def seen(self: Any) -> Any:
        found = attributes(self)
        ours = self.__dict__.get("usage_keys")
        return {key: value for key, value in found.items() if key not in ours} if ours and found else found

    vars(tracker)["set_attributes"] = remembering_ours
    Span.set_attribute = remembering  # type: ignore[method-assign]
    Span.set_attributes = remembering_all  # type: ignore[method-assign, assignment]
    Span._readable_span = copied  # type: ignore[method-assign]
    ReadableSpan.attributes = property(seen)  # type: ignore[assignment]


def build_exporter(settings: object) -> RecordingExporter:
    return exporter


wiring._build_exporter = build_exporter
otel_usage.configure(secret="of the tests", excluded_urls="^$")
# At once, with a provider of our own: what we make ourselves is not in the way of contrib's expectations.
assert wiring.runtime() is not None
count_annotations()
hide_our_keys()
activate_in_django() if os.environ["CONTRIB_FRAMEWORK"] == "django" else activate_in_flask()


def pytest_sessionfinish() -> None:
    Path(os.environ["CONTRIB_COUNTS"]).write_text(json.dumps({"served": served, "annotated": annotated}))
