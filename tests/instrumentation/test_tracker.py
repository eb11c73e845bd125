from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_usage import attributes as names
from otel_usage.instrumentation.request_attributes import Answer
from otel_usage.instrumentation.tracked import MAX_EVENTS_PER_REQUEST, current_request
from otel_usage.instrumentation.tracker import RequestTracker
from otel_usage.instrumentation.wsgi import read_wsgi_request
from otel_usage.model import RequestFacts
from otel_usage.pipeline.accounting import Accounting
from otel_usage.settings import Settings
from otel_usage.visits.loading import find_visit_manager
from otel_usage.wiring import Runtime


class TrackedApp:
    """A tracker with the SDK around it and no framework."""

    def __init__(self, **settings: object) -> None:
        self.spans_out = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.spans_out))
        self.settings = Settings.load({}, **settings)
        self.accounting = Accounting()
        runtime = Runtime(
            self.settings,
            self.accounting,
            None,
            provider.get_tracer("test"),
            {},
            "test",
            find_visit_manager("cookie"),
        )
        self.tracker = RequestTracker(runtime, "secret")

    def serve(self, facts: RequestFacts, answer: Answer | None = None) -> ReadableSpan:
        """Serve one request, and return its span."""
        tracked = self.tracker.begin(facts)
        assert tracked is not None
        self.tracker.finish(tracked, answer or Answer(200), None)
        self.tracker.leave(tracked)
        return self.spans_out.get_finished_spans()[-1]


@pytest.fixture(autouse=True)
def nothing_current() -> Iterator[None]:
    assert current_request() is None
    yield
    assert current_request() is None


def build_environ(**entries: str) -> dict[str, str]:
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_NAME": "shop.example",
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.url_scheme": "http",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        **entries,
    }


MEGABYTES = "x" * 10_000_000


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("PATH_INFO", "/" + MEGABYTES),
        ("PATH_INFO", "/\xe9" + MEGABYTES),
        ("QUERY_STRING", "q=" + MEGABYTES),
        ("QUERY_STRING", "token=" * 2_000_000),
        ("HTTP_USER_AGENT", MEGABYTES),
        ("HTTP_USER_AGENT", "\xe9" * 5_000_000),
        ("HTTP_REFERER", "https://" + "@" * 10_000_000),
        ("HTTP_REFERER", "://" * 3_000_000),
        ("HTTP_COOKIE", "otel_usage_visit=" + MEGABYTES),
        ("HTTP_COOKIE", ";" * 10_000_000),
        ("HTTP_X_FORWARDED_FOR", "1.2.3.4," * 1_000_000),
        ("HTTP_ACCEPT_LANGUAGE", MEGABYTES),
        ("HTTP_TRACEPARENT", MEGABYTES),
        ("HTTP_HOST", MEGABYTES),
        ("REQUEST_METHOD", MEGABYTES),
    ],
    ids=lambda value: str(value)[:24],
)
def test_ten_megabytes_of_anything_are_bounded_and_quick(entry: str, value: str) -> None:
    app = TrackedApp(trusted_proxies=1)
    started = time.thread_time()

    span = app.serve(read_wsgi_request(build_environ(**{entry: value}), app.settings))

    assert time.thread_time() - started < 5.0  # half a second is usual, and quadratic is hours
    for kept in (span.attributes or {}).values():
        if isinstance(kept, str):
            assert len(kept) <= names.MAX_TEXT
            kept.encode()


def test_a_request_keeps_a_thousand_events_and_refuses_more() -> None:
    app = TrackedApp()
    tracked = app.tracker.begin(read_wsgi_request(build_environ(), app.settings))
    assert tracked is not None

    taken = [tracked.add_event("e", 1, {}) for _ in range(MAX_EVENTS_PER_REQUEST + 5)]
    app.tracker.finish(tracked, Answer(200), None)
    app.tracker.leave(tracked)

    assert taken.count(False) == 5
    assert len(app.spans_out.get_finished_spans()) == MAX_EVENTS_PER_REQUEST + 1


def test_only_the_first_end_of_a_request_counts() -> None:
    app = TrackedApp()
    tracked = app.tracker.begin(read_wsgi_request(build_environ(), app.settings))
    assert tracked is not None

    first = app.tracker.finish(tracked, Answer(200), None)
    second = app.tracker.finish(tracked, Answer(500), None)
    app.tracker.leave(tracked)

    assert first
    assert second == ""
    (span,) = app.spans_out.get_finished_spans()
    assert (span.attributes or {})[names.STATUS_CODE] == 200


def test_at_most_32_view_arguments_are_kept() -> None:
    app = TrackedApp()
    answer = Answer(200, view_arguments={f"a{n}": n for n in range(1000)})

    span = app.serve(read_wsgi_request(build_environ(), app.settings), answer)

    kept = [key for key in span.attributes or {} if key.startswith(names.VIEW_ARGUMENT_PREFIX)]
    assert len(kept) == names.MAX_PROPERTIES


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"HTTP_HOST": "shop.example:8443"}, "shop.example"),
        ({"HTTP_HOST": "[2001:db8::1]:8443"}, "[2001:db8::1]"),
        ({"HTTP_HOST": "[2001:db8::1]"}, "[2001:db8::1]"),
        ({"HTTP_HOST": ""}, "shop.example"),
        ({}, "shop.example"),
    ],
)
def test_the_host_is_kept_without_its_port(entries: dict[str, str], expected: str) -> None:
    facts = read_wsgi_request(build_environ(**entries), Settings.load({}))

    assert facts.host == expected


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("plain", "plain"),
        ("caf\xc3\xa9", "café"),
        ("caf\xe9", "caf\ufffd"),
        ("\xf0\x9f\x98\x80", "😀"),
        ("\udcff", "?"),
        ("", ""),
    ],
)
def test_headers_are_read_as_the_utf_8_that_wsgi_hides(sent: str, read: str) -> None:
    facts = read_wsgi_request(
        build_environ(HTTP_USER_AGENT=sent, HTTP_REFERER=sent, PATH_INFO=sent, QUERY_STRING=sent),
        Settings.load({}),
    )

    assert facts.user_agent == facts.referrer == facts.path == facts.query == read


@pytest.mark.parametrize(
    ("header", "kept"),
    [("de-CH,de;q=0.9", "de-CH"), ("en;q=0.5", "en"), (" fr , en", "fr"), ("*", "*"), ("x" * 99, "x" * 35)],
)
def test_the_first_language_is_kept(header: str, kept: str) -> None:
    app = TrackedApp()

    span = app.serve(read_wsgi_request(build_environ(HTTP_ACCEPT_LANGUAGE=header), app.settings))

    assert (span.attributes or {})[names.LANGUAGE] == kept


def test_a_request_may_record_its_events_only_and_keep_its_visit_and_cookie() -> None:
    app = TrackedApp()
    tracked = app.tracker.begin(read_wsgi_request(build_environ(), app.settings))
    assert tracked is not None

    tracked.record_events_only("client_api")
    tracked.record_events_only("another reason")
    tracked.add_event(names.ACTIVITY, 7, {names.PATH: "/app"})
    cookie = app.tracker.finish(tracked, Answer(204), None)
    app.tracker.leave(tracked)

    assert cookie
    (span,) = app.spans_out.get_finished_spans()
    assert (span.name, span.start_time, span.parent) == ("activity", 7, None)
    attributes = span.attributes or {}
    assert attributes[names.PATH] == "/app"
    assert attributes[names.VISIT_KEY] == tracked.visit.key  # type: ignore[union-attr]
    assert attributes[names.VISIT_IS_NEW] is True
    assert names.METHOD not in attributes
    assert app.accounting.snapshot().filtered == {"client_api": 1}
