"""What stands on the spans: compared whole, so that a new attribute is seen in review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import otel_usage
from otel_usage import attributes as names
from tests.tracking import Tracking

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
HEADERS = {
    "User-Agent": CHROME,
    "Referer": "https://me:pw@news.example/story?token=abc",
    "Accept-Language": "de-CH,de;q=0.9,en;q=0.8",
    "X-Forwarded-For": "203.0.113.77",
    "Authorization": "Bearer secret",
}


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    catalog = flask.Blueprint("catalog", __name__)

    @catalog.get("/item/<int:number>/<path:rest>")
    def item(number: int, rest: str) -> str:
        otel_usage.object_viewed("item", number)
        otel_usage.increment(("item", number), "views", 2)
        otel_usage.track("liked", color="red")
        return "ok"

    app.register_blueprint(catalog)
    return app


def request_span(tracking: Tracking) -> ReadableSpan:
    (span,) = [
        span for span in tracking.spans() if (span.attributes or {}).get(names.EVENT_NAME) == names.REQUEST
    ]
    return span


def ask(app: Flask, path: str = "/item/7/a%20b?token=hunter2&utm_source=mail", **options: Any) -> None:
    options.setdefault("environ_overrides", {"REMOTE_ADDR": "10.0.0.1"})
    app.test_client().get(path, headers=HEADERS, base_url="https://shop.example:8443", **options)


OURS = {
    "usage.event.name": "request",
    "client.address": "203.0.113.77",
    "user_agent.original": CHROME,
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.scheme": "https",
    "server.address": "shop.example",
    "url.path": "/item/7/a b",
    "usage.visit.is_new": True,
    "url.query": "token=REDACTED&utm_source=mail",
    "usage.referrer.url": "https://news.example/story?token=REDACTED",
    "usage.client.language": "de-CH",
    "usage.request.has_authorization": True,
    "http.route": "/item/<int:number>/<path:rest>",
    "usage.endpoint": "catalog.item",
    "usage.blueprint": "catalog",
    "http.response.body.size": 2,
    "usage.view_argument.number": "7",
    "usage.view_argument.rest": "a b",
    "network.peer.address": "10.0.0.1",
    "usage.client.forwarded_for": "203.0.113.77",
    # The last of each, for those who read traces.
    "usage.object.type": "item",
    "usage.object.id": "7",
    "usage.counter.name": "views",
    "usage.counter.value": 2,
}


def without_visit(span: ReadableSpan) -> dict[str, object]:
    """Return the attributes without the random keys, which must be there."""
    attributes: dict[str, object] = dict(span.attributes or {})
    assert len(str(attributes.pop(names.VISIT_KEY))) == 32
    assert len(str(attributes.pop(names.VISITOR_ID))) == 32
    return attributes


def test_the_request_span_of_ours(tracking: Tracking) -> None:
    tracking.start(trusted_proxies="10.0.0.0/8")

    ask(build_app())

    span = request_span(tracking)
    assert without_visit(span) == OURS
    assert span.name == "GET /item/<int:number>/<path:rest>"
    assert span.kind is SpanKind.SERVER
    assert span.parent is None


def test_the_request_span_of_contrib_gets_the_same(tracking: Tracking) -> None:
    tracking.start(trusted_proxies="10.0.0.0/8")
    FlaskInstrumentor().instrument()

    ask(build_app())

    span = request_span(tracking)
    theirs = {
        "http.method": "GET",
        "http.server_name": "shop.example",
        "http.scheme": "https",
        "net.host.name": "shop.example:8443",
        "http.host": "shop.example:8443",
        "net.host.port": 8443,
        "http.target": "/item/7/a%20b?token=REDACTED&utm_source=mail",
        "net.peer.ip": "10.0.0.1",
        "http.user_agent": CHROME,
        "http.flavor": "1.1",
        "http.status_code": 200,
    }
    assert without_visit(span) == {**OURS, **theirs}
    assert span.name == "GET /item/<int:number>/<path:rest>"


EVENTS_SHARE = {
    "client.address": "203.0.113.77",
    "user_agent.original": CHROME,
    "url.path": "/item/7/a b",
}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("object_viewed", {"usage.object.type": "item", "usage.object.id": "7"}),
        (
            "counter",
            {
                "usage.object.type": "item",
                "usage.object.id": "7",
                "usage.counter.name": "views",
                "usage.counter.value": 2,
            },
        ),
        ("liked", {"usage.property.color": "red"}),
    ],
)
def test_an_event_of_the_request_is_a_child_span_that_inherits(
    tracking: Tracking, name: str, attributes: dict[str, object]
) -> None:
    tracking.start(trusted_proxies="10.0.0.0/8")

    ask(build_app())

    (span,) = [span for span in tracking.spans() if span.name == name]
    request = request_span(tracking)
    assert without_visit(span) == {"usage.event.name": name, **EVENTS_SHARE, **attributes}
    assert span.kind is SpanKind.INTERNAL
    assert span.parent == request.context
    assert span.start_time == span.end_time
    assert (request.start_time or 0) <= (span.start_time or 0) <= (request.end_time or 0)
    for key in (names.VISIT_KEY, names.VISITOR_ID):
        assert (span.attributes or {})[key] == (request.attributes or {})[key]


@pytest.fixture(params=["", "http", "http/dup"], ids=["old names", "new names", "both names"])
def conventions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """contrib writes HTTP attributes under old names, new ones, or both."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", request.param)
    return str(request.param)


@pytest.mark.parametrize(("policy", "kept"), [("masked", "203.0.113.0"), ("hashed", ""), ("off", "")])
def test_a_policy_leaves_no_full_address_on_any_span(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, conventions: str, policy: str, kept: str
) -> None:
    monkeypatch.setenv(
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "X-Forwarded-For,X-Real-IP"
    )
    tracking.start(trusted_proxies="10.0.0.0/8", ip=policy)
    FlaskInstrumentor().instrument()

    ask(build_app(), environ_overrides={"REMOTE_ADDR": "10.0.0.1", "HTTP_X_REAL_IP": "203.0.113.77"})

    attributes = dict(request_span(tracking).attributes or {})
    assert ("net.peer.ip" in attributes) == (conventions != "http")
    assert attributes["client.address"] == attributes["network.peer.address"] == kept
    for span in tracking.spans():
        assert "203.0.113.77" not in repr(dict(span.attributes or {}))
        assert "10.0.0.1" not in repr(dict(span.attributes or {}))
    assert ("usage.client.address_hash" in attributes) == (policy == "hashed")


@pytest.mark.usefixtures("conventions")
def test_no_secret_of_a_url_stays_on_any_span(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()

    ask(
        build_app(),
        environ_overrides={"REQUEST_URI": "/item/7/a?token=hunter2", "RAW_URI": "/item/7/a?token=hunter2"},
    )

    for span in tracking.spans():
        assert "hunter2" not in repr(dict(span.attributes or {}))
        assert "Bearer" not in repr(dict(span.attributes or {}))


def test_a_traceparent_is_the_parent_of_our_own_span(tracking: Tracking) -> None:
    tracking.start()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    build_app().test_client().get("/item/7/a", headers={"traceparent": traceparent, "User-Agent": CHROME})

    span = request_span(tracking)
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize(
    "traceparent", ["", "rubbish", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 10_000]
)
def test_a_traceparent_that_is_none_is_passed_over(tracking: Tracking, traceparent: str) -> None:
    tracking.start()

    build_app().test_client().get(
        "/item/7/a", headers={"User-Agent": CHROME}, environ_overrides={"HTTP_TRACEPARENT": traceparent}
    )

    assert request_span(tracking).parent is None


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "contrib first"])
def test_the_order_of_instrumenting_does_not_matter(tracking: Tracking, ours_first: bool) -> None:
    if not ours_first:
        tracking.set_up_sdk()
        FlaskInstrumentor().instrument()
        tracking.configure()
        otel_usage_instrument()
    else:
        tracking.start()
        FlaskInstrumentor().instrument()

    ask(build_app())

    assert [span.kind for span in tracking.spans() if span.kind is SpanKind.SERVER] == [SpanKind.SERVER]
    assert request_span(tracking).instrumentation_scope is not None
    assert request_span(tracking).instrumentation_scope.name == "opentelemetry.instrumentation.flask"  # type: ignore[union-attr]


def otel_usage_instrument() -> None:
    from otel_usage.flask import FlaskUsageInstrumentor

    FlaskUsageInstrumentor().instrument()


def test_a_url_that_contrib_excludes_is_still_an_event(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking.start()
    FlaskInstrumentor().instrument(excluded_urls="item")

    ask(build_app())

    assert tracking.request().attributes[names.PATH] == "/item/7/a b"


def test_the_span_of_a_wsgi_middleware_around_the_app_is_used(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.wsgi_app = OpenTelemetryMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    ask(app)

    assert len([span for span in tracking.spans() if span.kind is SpanKind.SERVER]) == 1
    assert request_span(tracking).instrumentation_scope.name == "opentelemetry.instrumentation.wsgi"  # type: ignore[union-attr]


def test_a_span_that_the_view_leaves_open_is_not_taken_for_the_request(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()
    app = build_app()

    @app.get("/open")
    def leave_open() -> str:
        manager = trace.use_span(trace.get_tracer("app").start_span("mine"), end_on_exit=True)
        manager.__enter__()
        flask.g.manager = manager
        return "open"

    @app.teardown_request
    def close(error: BaseException | None) -> None:
        if "manager" in flask.g:
            flask.g.manager.__exit__(None, None, None)

    app.test_client().get("/open")

    assert request_span(tracking).name == "GET /open"
    (mine,) = [span for span in tracking.spans() if span.name == "mine"]
    assert dict(mine.attributes or {}) == {}


def test_an_app_inside_a_response_leaves_the_outer_span_to_the_outer_request(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()
    app, inner = flask.Flask("outer"), flask.Flask("inner")
    inner.add_url_rule("/both", "inner", lambda: "inner")
    app.add_url_rule("/both", "outer", lambda: flask.Response.from_app(inner, flask.request.environ))

    app.test_client().get("/both").close()

    assert request_span(tracking).kind is SpanKind.SERVER
    assert (request_span(tracking).attributes or {})[names.ENDPOINT] == "outer"
    assert len(tracking.events()) == 1


def test_the_last_of_several_objects_is_shown_on_the_request(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule(
        "/list", "list", lambda: [otel_usage.object_viewed("item", n) for n in range(3)] and "list"
    )

    app.test_client().get("/list")

    assert (request_span(tracking).attributes or {})[names.OBJECT_ID] == "2"
    assert [event.attributes[names.OBJECT_ID] for event in tracking.events("object_viewed")] == [
        "0",
        "1",
        "2",
    ]


class Product:
    """What a converter may load from a database; its text would be a query more."""

    def __str__(self) -> str:
        raise RuntimeError("a query that tracking caused")


def test_an_object_that_a_converter_loaded_is_named_by_its_type(tracking: Tracking) -> None:
    from werkzeug.routing import BaseConverter

    class ProductConverter(BaseConverter):
        def to_python(self, value: str) -> Product:
            return Product()

    tracking.start()
    app = flask.Flask("shop")
    app.url_map.converters["product"] = ProductConverter
    view: Callable[..., str] = lambda product: "ok"  # noqa: E731
    app.add_url_rule("/p/<product:product>", "product", view)

    app.test_client().get("/p/7")

    assert (request_span(tracking).attributes or {})["usage.view_argument.product"] == "Product"
