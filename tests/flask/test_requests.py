"""Exactly one `request` event for each request, whatever the app does."""

from __future__ import annotations

import gc
import importlib.util
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from werkzeug.exceptions import Forbidden
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response as WerkzeugResponse

import otel_usage
from otel_usage import attributes as names
from otel_usage.flask import FlaskUsageInstrumentor
from tests.tracking import Tracking

EarlyFlask = Flask
"""The class as an app imports it before anybody instruments."""


def build_app(flask_class: type[Flask] = Flask, name: str = "shop") -> Flask:
    app = flask_class(name)
    app.secret_key = "of the app"

    @app.get("/item/<int:number>")
    def item(number: int) -> str:
        return f"item {number}"

    return app


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def mode(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[..., None]:
    """Start tracking in each of three ways; the promises of this file hold in all of them."""

    def start(**settings: object) -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler, **settings)
        if request.param != "without contrib":
            FlaskInstrumentor().instrument()

    return start


def test_a_plain_view_is_one_request(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)

    assert app.test_client().get("/item/7").status_code == 200

    event = tracking.request()
    assert event.attributes[names.PATH] == "/item/7"
    assert event.attributes[names.ROUTE] == "/item/<int:number>"
    assert event.attributes[names.STATUS_CODE] == 200
    assert event.duration_ns > 0


def test_an_app_of_an_early_imported_class_is_followed(tracking: Tracking, mode: Callable[..., None]) -> None:
    app = build_app(EarlyFlask)
    mode()

    app.test_client().get("/item/7")

    assert tracking.request().attributes[names.ROUTE] == "/item/<int:number>"


def test_an_app_of_a_subclass_is_followed(tracking: Tracking, mode: Callable[..., None]) -> None:
    class Shop(EarlyFlask):
        pass

    mode()

    build_app(Shop).test_client().get("/item/7")

    assert tracking.request().attributes[names.STATUS_CODE] == 200


def test_two_apps_of_one_process_are_followed(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    first, second = build_app(flask.Flask, "first"), build_app(flask.Flask, "second")

    first.test_client().get("/item/1")
    second.test_client().get("/item/2")

    assert [event.attributes[names.PATH] for event in tracking.events()] == ["/item/1", "/item/2"]


def test_a_mounted_app_is_one_request_under_its_whole_path(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    site = DispatcherMiddleware(build_app(flask.Flask, "front"), {"/shop": build_app(flask.Flask, "shop")})

    Client(site).get("/shop/item/7")

    assert tracking.request().attributes[names.PATH] == "/shop/item/7"


def test_a_nested_blueprint_is_named_with_its_parent(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)
    parent, child = Blueprint("catalog", __name__), Blueprint("reviews", __name__)
    parent.add_url_rule("/p", "home", lambda: "parent")
    child.add_url_rule("/c", "home", lambda: "child")
    parent.register_blueprint(child, url_prefix="/reviews")
    app.register_blueprint(parent, url_prefix="/catalog")

    app.test_client().get("/catalog/p")
    app.test_client().get("/catalog/reviews/c")

    assert [
        (event.attributes[names.BLUEPRINT], event.attributes[names.ENDPOINT]) for event in tracking.events()
    ] == [("catalog", "catalog.home"), ("catalog.reviews", "catalog.reviews.home")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/item/7", 405),
        ("OPTIONS", "/item/7", 200),
        ("HEAD", "/item/7", 200),
        ("GET", "/forbidden", 403),
        ("GET", "/broken", 500),
        ("GET", "/redirect", 302),
        ("GET", "/empty", 204),
        ("GET", "/stopped", 401),
        ("GET", "/error-page", 418),
        ("GET", "/file", 200),
        ("GET", "/foreign-response", 200),
    ],
)
def test_every_kind_of_answer_is_one_request(
    tracking: Tracking, mode: Callable[..., None], method: str, path: str, status: int, tmp_path: Path
) -> None:
    mode()
    app = build_app(flask.Flask)
    (tmp_path / "file.txt").write_text("x" * 100)

    @app.before_request
    def stop() -> None:
        if flask.request.path == "/stopped":
            flask.abort(401)

    @app.errorhandler(KeyError)
    def error_page(error: KeyError) -> tuple[str, int]:
        return "teapot", 418

    def broken(error: Exception) -> Callable[[], str]:
        def view() -> str:
            raise error

        return view

    app.add_url_rule("/stopped", "stopped", lambda: "never")
    app.add_url_rule("/forbidden", "forbidden", broken(Forbidden()))
    app.add_url_rule("/broken", "broken", broken(RuntimeError("broken")))
    app.add_url_rule("/error-page", "error_page", broken(KeyError("key")))
    app.add_url_rule("/redirect", "redirect", lambda: flask.redirect("/item/7"))
    app.add_url_rule("/empty", "empty", lambda: ("", 204))
    app.add_url_rule("/file", "file", lambda: flask.send_file(tmp_path / "file.txt"))
    app.add_url_rule("/foreign-response", "foreign", lambda: WerkzeugResponse("x"))

    with app.test_client().open(path, method=method) as response:
        assert response.status_code == status

    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == status
    assert event.attributes[names.METHOD] == method
    assert (names.ROUTE in event.attributes) == (status not in (404, 405))
    assert otel_usage.current_visit() is None


@pytest.mark.parametrize("flag", ["testing", "debug", "PROPAGATE_EXCEPTIONS"])
def test_an_exception_that_propagates_is_one_request_with_status_500(
    tracking: Tracking, mode: Callable[..., None], flag: str
) -> None:
    mode()
    app = build_app(flask.Flask)
    app.config[flag.upper()] = True

    @app.get("/broken")
    def broken() -> str:
        otel_usage.track("tried")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        app.test_client().get("/broken")

    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == 500
    assert event.attributes[names.ROUTE] == "/broken"
    assert len(tracking.events("tried")) == 1
    assert otel_usage.current_visit() is None


class NoSessions(flask.sessions.SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: flask.Request) -> None:
        raise RuntimeError("the store of sessions is down")


@pytest.mark.parametrize("propagates", [True, False])
def test_a_session_that_cannot_be_opened_is_one_request_with_status_500(
    tracking: Tracking, mode: Callable[..., None], propagates: bool
) -> None:
    mode()
    app = build_app(flask.Flask)
    app.session_interface = NoSessions()
    app.testing = propagates

    with pytest.raises(RuntimeError) if propagates else nullcontext():
        app.test_client().get("/item/7")

    event = tracking.request()
    assert event.attributes[names.STATUS_CODE] == 500
    assert event.attributes[names.PATH] == "/item/7"
    assert event.attributes[names.VISIT_KEY]
    assert otel_usage.current_visit() is None


def test_a_receiver_of_the_app_that_raises_first_is_one_request(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    app = build_app(flask.Flask)

    def broken(sender: Flask, **extra: object) -> None:
        raise RuntimeError("of the app")

    with flask.request_started.connected_to(broken, app):
        mode()
        assert app.test_client().get("/item/7").status_code == 500

    assert tracking.request().attributes[names.STATUS_CODE] == 500


def test_a_view_that_is_interrupted_is_one_request(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)

    @app.get("/interrupted")
    def interrupted() -> str:
        raise SystemExit

    with pytest.raises(SystemExit):
        app.test_client().get("/interrupted")

    assert tracking.request().attributes[names.STATUS_CODE] == 500
    assert otel_usage.current_visit() is None


@pytest.mark.parametrize("keep_context", [False, True], ids=["plain generator", "stream_with_context"])
def test_a_stream_is_one_request_and_what_its_body_records_belongs_to_it(
    tracking: Tracking, mode: Callable[..., None], keep_context: bool
) -> None:
    mode()
    app = build_app(flask.Flask)

    @app.get("/stream")
    def stream() -> flask.Response:
        otel_usage.track("before")

        def body() -> Iterator[str]:
            yield "a"
            otel_usage.track("within")
            yield "b"

        return flask.Response(flask.stream_with_context(body()) if keep_context else body())

    with app.test_client().get("/stream") as response:
        assert response.data == b"ab"

    request = tracking.request()
    before, within = tracking.events("before")[0], tracking.events("within")[0]
    assert before.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
    assert within.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
    assert before.parent_span_id == within.parent_span_id == request.span_id
    assert otel_usage.current_visit() is None


def test_a_stream_that_breaks_is_one_request(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)

    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> Iterator[str]:
            yield "a"
            raise RuntimeError("broken")

        return flask.Response(body())

    with pytest.raises(RuntimeError, match="broken"), app.test_client().get("/stream") as response:
        assert response.data

    assert tracking.request().attributes[names.STATUS_CODE] == 200
    assert otel_usage.current_visit() is None


def test_a_request_inside_a_view_belongs_to_the_outer_one(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app, inner = build_app(flask.Flask), build_app(flask.Flask, "inner")

    @app.get("/outer")
    def outer() -> str:
        inner.test_client().get("/item/1")
        app.test_client().get("/item/2")
        assert otel_usage.current_visit() is not None
        return "outer"

    app.test_client().get("/outer")

    assert tracking.request().attributes[names.PATH] == "/outer"


def test_an_app_inside_a_response_belongs_to_the_outer_request(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app, inner = build_app(flask.Flask), build_app(flask.Flask, "inner")

    @app.get("/item/<int:number>/copy")
    def outer(number: int) -> WerkzeugResponse:
        environ = {**flask.request.environ, "PATH_INFO": f"/item/{number}"}
        return flask.Response.from_app(inner, environ)

    response = app.test_client().get("/item/7/copy")

    assert response.data == b"item 7"
    assert tracking.request().attributes[names.PATH] == "/item/7/copy"


def test_an_app_that_gets_the_very_same_environ_belongs_to_the_outer_request(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app, inner = build_app(flask.Flask), Flask("inner")
    inner.add_url_rule("/both", "both", lambda: "inner")
    app.add_url_rule("/both", "both", lambda: flask.Response.from_app(inner, flask.request.environ))

    with app.test_client().get("/both") as response:
        assert response.data == b"inner"

    assert tracking.request().attributes[names.STATUS_CODE] == 200
    assert otel_usage.current_visit() is None


def test_a_request_context_made_in_a_view_is_no_request(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app = build_app(flask.Flask)

    @app.get("/outer")
    def outer() -> str:
        with app.test_request_context("/item/9"):
            otel_usage.track("inside")
        otel_usage.track("outside")
        return "outer"

    app.test_client().get("/outer")

    request = tracking.request()
    assert request.attributes[names.PATH] == "/outer"
    for name in ("inside", "outside"):
        (event,) = tracking.events(name)
        assert event.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]


def test_a_request_context_alone_is_no_request(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)

    with app.test_request_context("/item/9"):
        assert otel_usage.current_visit() is None

    assert tracking.events() == []


def test_a_thread_with_a_copied_context_does_not_close_the_request(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app = build_app(flask.Flask)

    @app.get("/threads")
    def threads() -> str:
        @flask.copy_current_request_context
        def work() -> None:
            assert flask.request.path == "/threads"

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert otel_usage.current_visit() is not None
        return "done"

    app.test_client().get("/threads")

    assert tracking.request().attributes[names.STATUS_CODE] == 200


@pytest.mark.skipif(importlib.util.find_spec("asgiref") is None, reason="async views need asgiref")
def test_an_async_view_is_one_request_and_knows_its_visit(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app = build_app(flask.Flask)
    seen: list[Any] = []

    @app.get("/async")
    async def view() -> str:
        seen.append(otel_usage.current_visit())
        otel_usage.track("async")
        return "async"

    app.test_client().get("/async")

    request = tracking.request()
    assert seen[0].key == request.attributes[names.VISIT_KEY]
    (event,) = tracking.events("async")
    assert event.parent_span_id == request.span_id


def test_parallel_requests_keep_their_events_apart(tracking: Tracking, mode: Callable[..., None]) -> None:
    mode()
    app = build_app(flask.Flask)
    meeting = threading.Barrier(8)

    @app.get("/meet/<int:number>")
    def meet(number: int) -> str:
        otel_usage.object_viewed("person", number)
        meeting.wait(60)
        return ""

    threads = [
        threading.Thread(target=app.test_client().get, args=(f"/meet/{number}",)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    requests = {event.span_id: event for event in tracking.events("request")}
    views = tracking.events("object_viewed")
    assert len(requests) == len(views) == 8
    for view in views:
        request = requests[view.parent_span_id]
        assert request.attributes[names.PATH] == f"/meet/{view.attributes[names.OBJECT_ID]}"
        assert request.attributes[names.VISIT_KEY] == view.attributes[names.VISIT_KEY]


def test_a_request_is_freed_without_the_garbage_collector(tracking: Tracking) -> None:
    tracking.start()
    app = build_app(flask.Flask)
    alive: list[weakref.ref[object]] = []

    @app.get("/alive")
    def view() -> str:
        alive.append(weakref.ref(flask.globals.request_ctx._get_current_object()))  # type: ignore[attr-defined]
        return ""

    gc.disable()
    try:
        app.test_client().get("/alive").close()
    finally:
        gc.enable()

    assert alive[0]() is None


def test_two_instrumentors_are_one(tracking: Tracking, caplog: pytest.LogCaptureFixture) -> None:
    tracking.start()

    FlaskUsageInstrumentor().instrument()

    build_app().test_client().get("/item/7")
    assert len(tracking.events()) == 1
    assert caplog.messages == ["Attempting to instrument while already instrumented"]


def test_uninstrument_stops_everything(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.test_client().get("/item/7")

    FlaskUsageInstrumentor().uninstrument()
    response = app.test_client().get("/item/8")

    assert "Set-Cookie" not in response.headers
    assert len(tracking.events()) == 1


def test_instrumenting_again_starts_again(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    FlaskUsageInstrumentor().uninstrument()
    FlaskUsageInstrumentor().instrument()

    app.test_client().get("/item/7")

    assert len(tracking.events()) == 1


def test_the_instrumentor_states_the_flask_that_it_needs() -> None:
    assert FlaskUsageInstrumentor().instrumentation_dependencies() == ("flask >= 2.2",)


def test_the_current_visit_is_known_in_templates_hooks_and_signal_handlers(
    tracking: Tracking, mode: Callable[..., None]
) -> None:
    mode()
    app = build_app()
    seen: list[Any] = []
    app.jinja_env.globals["current_visit"] = otel_usage.current_visit
    app.add_url_rule("/page", "page", lambda: flask.render_template_string("{{ current_visit().key }}"))
    app.before_request(lambda: seen.append(otel_usage.current_visit()))

    def note(sender: Flask, **extra: Any) -> None:
        seen.append(otel_usage.current_visit())

    with flask.template_rendered.connected_to(note, app), flask.request_finished.connected_to(note, app):
        shown = app.test_client().get("/page").text

    assert shown == tracking.request().attributes[names.VISIT_KEY]
    assert [visit.key for visit in seen] == [shown] * 3
    assert otel_usage.current_visit() is None


def test_stopping_twice_is_nothing(tracking: Tracking) -> None:
    tracking.start()

    FlaskUsageInstrumentor().uninstrument()
    FlaskUsageInstrumentor().uninstrument()

    assert "Set-Cookie" not in build_app().test_client().get("/item/7").headers
    assert tracking.events() == []
