"""One variant of the request benchmark, in a process of its own: a small app, timed requests, JSON on stdout."""

from __future__ import annotations

import atexit
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, ParentBasedTraceIdRatio
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from otel_usage.flask import FlaskUsageInstrumentor
from otel_usage.model import Event
from otel_usage.pipeline.exporters import Batch, EventExporter
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.pipeline.sampler import wrap_sampler
from otel_usage.wiring import configure
from tests.benchmarks.measure import quantile

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
HEADERS = {"User-Agent": BROWSER, "Accept-Language": "de-CH,de;q=0.9,en;q=0.8", "Accept": "text/html"}
WARM_UP = 500


@dataclass(frozen=True, slots=True)
class Variant:
    """What is switched on, and which request is sent."""

    contrib: bool = False
    ratio: float | None = None
    """Share of traces that is sampled; None is an app without the SDK."""
    usage: str = ""
    """Empty without otel_usage; `discard` throws batches away, anything else is a DSN."""
    request: str = "plain"
    """`plain`, `returning` (sends the cookies back), `proxy` (behind one), `query`."""
    framework: str = "flask"
    """`flask`, `django` (WSGI) or `django asgi`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further settings of otel_usage; `{directory}` in a value stands for an empty directory."""


class NoExporter(SpanExporter):
    """Takes spans and does nothing with them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class DiscardingExporter:
    """Throws batches away: what is left is the cost of making them."""

    def prepare(self) -> None:
        """Do nothing: all is here."""

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        return Batch(token, events, None)

    def send(self, batch: Batch) -> None:
        pass

    def set_aside(self, batch: Batch, reason: str) -> None:
        pass

    def close(self) -> None:
        pass


def build_request(variant: Variant) -> Callable[[], object]:
    """Return what sends one request to a small app, instrumented the way the launcher does it."""
    if variant.ratio is not None:
        set_up_sdk(variant)
    if variant.framework != "flask":
        from tests.benchmarks.django_site import build_django_request

        environ = _environ_of(variant.request, {})
        return build_django_request(environ, variant.contrib, bool(variant.usage), variant.framework)
    client = build_client(variant)
    environ = build_environ(client, variant.request)
    return lambda: client.open(environ)


def build_client(variant: Variant) -> FlaskClient:
    """Return a client of the app in Flask."""
    if variant.contrib:
        FlaskInstrumentor().instrument()
    if variant.usage:
        FlaskUsageInstrumentor().instrument()
    # Through the module: contrib replaces the class, and only apps made after that are instrumented.
    import flask

    return build_app(flask.Flask).test_client(use_cookies=False)


def build_app(flask_class: type[Flask]) -> Flask:
    app = flask_class("shop")
    app.secret_key = "benchmark"

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number}"

    return app


def set_up_sdk(variant: Variant) -> None:
    ratio = variant.ratio if variant.ratio is not None else 1.0
    root = ParentBased(ALWAYS_ON) if ratio == 1.0 else ParentBasedTraceIdRatio(ratio)
    provider = TracerProvider(sampler=root, resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(BatchSpanProcessor(NoExporter()))
    trace.set_tracer_provider(provider)
    if not variant.usage:
        return
    directory = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    configure(
        exporter="none",
        **{name: text.replace("{directory}", directory) for name, text in variant.settings.items()},
    )
    # `configure` knows exporters by name; this is what it does with one.
    provider.sampler = wrap_sampler(root)
    provider.add_span_processor(UsageSpanProcessor(_exporter(variant.usage)))


def _exporter(usage: str) -> EventExporter:
    if usage == "discard":
        return DiscardingExporter()
    from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter

    return ClickHouseSpanExporter(usage)


def build_environ(client: FlaskClient, request: str) -> dict[str, Any]:
    """Return the WSGI environment of the request, made once: building it is not what is measured."""
    more = {}
    if request == "returning":
        more["Cookie"] = "; ".join(["theme=dark", *_fresh_cookies(client, HEADERS)])
    return _environ_of(request, more)


def _environ_of(request: str, more: Mapping[str, str]) -> dict[str, Any]:
    headers = {**HEADERS, **more}
    path, peer = "/item/7", "203.0.113.7"
    if request == "proxy":
        peer, headers["X-Forwarded-For"] = "10.0.0.9", "198.51.100.4, 10.0.0.8"
        headers["X-Forwarded-Proto"] = "https"
    if request == "query":
        path += "?utm_source=news&utm_campaign=spring&page=2"
        headers["Referer"] = "https://search.example.org/find?q=shoes"
    return EnvironBuilder(path, headers=Headers(headers), environ_base={"REMOTE_ADDR": peer}).get_environ()


def _fresh_cookies(client: FlaskClient, headers: dict[str, str]) -> list[str]:
    """Return the cookies that a first visit gets, as a browser sends them back."""
    answer = client.get("/item/7", headers=headers)
    cookies = [value.partition(";")[0] for value in answer.headers.getlist("Set-Cookie")]
    return cookies or ["none=none"]


@contextmanager
def _without_collector() -> Iterator[None]:
    # A collection that falls on one variant by chance is larger than what is measured.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def measure(variant: Variant, requests: int) -> dict[str, float]:
    """Return what `time_requests` does, of a warm app."""
    ask = build_request(variant)
    for _ in range(WARM_UP):
        ask()
    return time_requests(ask, requests)


def time_requests(ask: Callable[[], object], requests: int) -> dict[str, float]:
    """Return `p50_us`, `p99_us` and `cpu_us` per request, the last with all threads."""
    durations = []
    with _without_collector():
        cpu = time.process_time_ns()
        for _ in range(requests):
            start = time.perf_counter_ns()
            ask()
            durations.append(time.perf_counter_ns() - start)
        cpu = time.process_time_ns() - cpu
    durations.sort()
    return {
        "p50_us": quantile(durations, 0.5) / 1000,
        "p99_us": quantile(durations, 0.99) / 1000,
        "cpu_us": cpu / requests / 1000,
    }


if __name__ == "__main__":
    print(json.dumps(measure(Variant(**json.loads(sys.argv[1])), int(sys.argv[2]))))
