"""Visit plug-ins in a Flask app: called once per tracked request, at its start, and never felt by the page."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import flask
import pytest
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler
from werkzeug.exceptions import HTTPException

import otel_usage
from otel_usage import attributes as names
from otel_usage import disable_visit_plugin, enable_visit_plugin
from otel_usage.visits.plugins import plugin_counts, visit_plugins
from otel_usage.visits.visit import Visit
from tests.tracking import Tracking

PLAN = names.PROPERTY_PREFIX + "plan"


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    assert not visit_plugins.enabled
    yield
    for plugin in visit_plugins.enabled:
        visit_plugins.disable(plugin.given)


@pytest.fixture(params=["with contrib", "without contrib", "contrib, trace not sampled"])
def mode(request: pytest.FixtureRequest, tracking: Tracking) -> Callable[[], None]:
    """Start tracking in each of three ways."""

    def start() -> None:
        sampler: Sampler | None = ALWAYS_OFF if "not sampled" in request.param else None
        tracking.start(sampler)
        if request.param != "without contrib":
            FlaskInstrumentor().instrument()

    return start


@pytest.fixture
def seen() -> list[Visit]:
    """Every visit that a plug-in was called with."""
    found: list[Visit] = []
    enable_visit_plugin(found.append)
    return found


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.get("/")
    def home() -> str:
        return str(flask.g.get("said_by_the_plugin", "home"))

    @app.get("/broken")
    def broken() -> str:
        raise KeyError("of the app")

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response(iter(["a", "b"]))

    @app.get("/outer")
    def outer() -> bytes:
        return bytes(app.test_client().get("/").data)

    return app


def get(app: Flask, *paths: str, **headers: str) -> list[tuple[int, bytes]]:
    """Send requests as one visitor, and return status and body of each answer."""
    client = app.test_client()
    answers = []
    for path in paths:
        with client.get(path, headers=headers) as response:
            answers.append((response.status_code, response.data))
    return answers


# When it is called.


def test_a_plugin_is_called_once_for_each_request_whatever_comes_of_it(
    tracking: Tracking, mode: Callable[[], None], seen: list[Visit]
) -> None:
    mode()

    answers = get(build_app(), "/", "/broken", "/nowhere", "/stream")

    assert [status for status, _ in answers] == [200, 500, 404, 200]
    assert [visit.is_new for visit in seen] == [True, False, False, False]
    assert {visit.key for visit in seen} == {
        event.attributes[names.VISIT_KEY] for event in tracking.events("request")
    }


def test_a_request_whose_exception_goes_on_to_the_server_is_seen_once(
    tracking: Tracking, seen: list[Visit]
) -> None:
    tracking.start()
    app = build_app()
    app.testing = True

    with pytest.raises(KeyError):
        get(app, "/broken")

    assert len(seen) == len(tracking.events("request")) == 1


def test_a_request_inside_another_one_is_not_seen_by_itself(tracking: Tracking, seen: list[Visit]) -> None:
    tracking.start()

    get(build_app(), "/outer")

    assert len(seen) == 1


def test_a_plugin_may_send_a_request_itself(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    bodies: list[bytes] = []
    enable_visit_plugin(lambda visit: bodies.append(app.test_client().get("/").data))

    get(app, "/")

    assert bodies == [b"home"]
    assert len(tracking.events("request")) == 1


def test_no_visit_no_plugin(tracking: Tracking, seen: list[Visit]) -> None:
    tracking.start(excluded_urls="^/nowhere")
    app = build_app()

    get(app, "/nowhere")
    get(app, "/", **{"Sec-GPC": "1"})

    assert seen == []
    assert len(tracking.events("request")) == 1


def test_it_is_called_before_the_view_and_may_tell_it_something(tracking: Tracking) -> None:
    class Greeting:
        def record_request(self, visit: Visit) -> None:
            flask.g.said_by_the_plugin = f"{flask.request.path} {'hello' if visit.is_new else 'welcome back'}"

    tracking.start()
    enable_visit_plugin(Greeting())

    assert get(build_app(), "/", "/") == [(200, b"/ hello"), (200, b"/ welcome back")]


def test_a_disabled_plugin_is_called_no_more(tracking: Tracking, seen: list[Visit]) -> None:
    tracking.start()
    app = build_app()
    get(app, "/")

    disable_visit_plugin(seen.append)
    get(app, "/")

    assert len(seen) == 1


# What works inside.


def test_the_visit_inside_a_plugin_is_the_current_one(tracking: Tracking) -> None:
    current: list[tuple[Visit | None, Visit]] = []
    tracking.start()
    enable_visit_plugin(lambda visit: current.append((otel_usage.current_visit(), visit)))

    get(build_app(), "/", "/")

    assert [found is given for found, given in current] == [True, True]


def test_what_a_plugin_records_belongs_to_the_request(tracking: Tracking, mode: Callable[[], None]) -> None:
    class Recording:
        def new_visit(self, visit: Visit) -> None:
            otel_usage.track("visit_opened", by="plug-in")

        def record_request(self, visit: Visit) -> None:
            otel_usage.object_viewed("page", flask.request.path)
            otel_usage.reached("sale", "pitch")
            otel_usage.increment(("page", "/"), "views")

    mode()
    enable_visit_plugin(Recording())

    get(build_app(), "/")

    request = tracking.request()
    others = [event for event in tracking.events() if event.name != "request"]
    assert sorted(event.name for event in others) == [
        "counter",
        "object_viewed",
        "stage_reached",
        "visit_opened",
    ]
    for event in others:
        assert event.parent_span_id == request.span_id
        assert event.attributes[names.VISIT_KEY] == request.attributes[names.VISIT_KEY]
        assert event.attributes[names.CLIENT_ADDRESS] == request.attributes[names.CLIENT_ADDRESS]


def test_what_it_returns_becomes_properties_of_the_request_alone(
    tracking: Tracking, mode: Callable[[], None]
) -> None:
    class Plan:
        def new_visit(self, visit: Visit) -> Mapping[str, str]:
            otel_usage.track("visit_opened")
            return {"plan": "trial"}

    mode()
    enable_visit_plugin(Plan())

    get(build_app(), "/", "/")

    assert [event.attributes.get(PLAN) for event in tracking.events("request")] == ["trial", None]
    assert PLAN not in tracking.events("visit_opened")[0].attributes


def test_what_it_sets_on_the_current_span_stands_on_the_request_span(
    tracking: Tracking, mode: Callable[[], None]
) -> None:
    mode()
    enable_visit_plugin(lambda visit: trace.get_current_span().set_attribute("shop.seats", 3))

    get(build_app(), "/")

    assert tracking.request().attributes["shop.seats"] == 3


def test_those_who_read_traces_see_what_a_plugin_adds(tracking: Tracking) -> None:
    tracking.start()
    FlaskInstrumentor().instrument()
    enable_visit_plugin(lambda visit: {"plan": "trial"})

    get(build_app(), "/")

    (span,) = tracking.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.flask"
    assert dict(span.attributes or {})[PLAN] == "trial"


def test_what_tracking_itself_says_cannot_be_overwritten(
    tracking: Tracking, mode: Callable[[], None]
) -> None:
    def forge(visit: Visit) -> None:
        trace.get_current_span().set_attributes(
            {
                names.VISIT_KEY: "f" * 32,
                names.EVENT_NAME: "forged",
                names.PATH: "/forged",
                names.VISIT_IS_NEW: 7,
            }
        )

    mode()
    enable_visit_plugin(forge)

    get(build_app(), "/")

    attributes = tracking.request().attributes
    assert attributes[names.VISIT_KEY] != "f" * 32
    assert attributes[names.PATH] == "/"
    assert attributes[names.VISIT_IS_NEW] is True


# What it cannot do.


def redirect(visit: Visit) -> None:
    flask.abort(flask.redirect("/elsewhere"))


def forbid(visit: Visit) -> None:
    flask.abort(403)


def fail(visit: Visit) -> None:
    raise RuntimeError("203.0.113.77 of the plug-in")


class Returning:
    def record_request(self, visit: Visit) -> object:
        return flask.Response("of the plug-in", 418)


@pytest.mark.parametrize("plugin", [redirect, forbid, fail, Returning()], ids=str)
def test_whatever_a_plugin_raises_or_returns_the_answer_is_the_apps(
    tracking: Tracking,
    mode: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    plugin: Callable[[Visit], object],
) -> None:
    app = build_app()
    expected = get(app, "/", "/broken", "/nowhere", "/stream")
    mode()
    enable_visit_plugin(plugin)

    assert get(app, "/", "/broken", "/nowhere", "/stream") == expected
    assert len(tracking.events("request")) == 4
    assert "203.0.113.77" not in caplog.text


def test_an_error_of_http_is_counted_like_any_other(tracking: Tracking) -> None:
    tracking.start()
    enable_visit_plugin(forbid)

    get(build_app(), "/")

    assert issubclass(HTTPException, Exception)
    assert [(counts.name, counts.raised) for counts in plugin_counts()] == [
        ("tests.flask.test_plugins.forbid", 1)
    ]


def test_a_worker_that_is_ended_inside_a_plugin_ends_and_the_next_request_is_a_new_one(
    tracking: Tracking, mode: Callable[[], None]
) -> None:
    def end(visit: Visit) -> None:
        raise SystemExit(1)

    mode()
    app = build_app()
    enable_visit_plugin(end)
    with pytest.raises(SystemExit):
        get(app, "/broken")
    assert otel_usage.current_visit() is None
    disable_visit_plugin(end)

    get(app, "/")

    assert tracking.request().attributes[names.PATH] == "/"


def test_a_plugin_that_raises_leaves_no_request_to_the_garbage_collector(tracking: Tracking) -> None:
    kept: list[weakref.ref[flask.Request]] = []

    def keep_and_fail(visit: Visit) -> None:
        kept.append(weakref.ref(flask.request._get_current_object()))  # type: ignore[attr-defined]
        raise RuntimeError("of the plug-in")

    tracking.start()
    app = build_app()
    app.wsgi_app(*wsgi_call())  # what is made once per app
    enable_visit_plugin(keep_and_fail)
    gc.collect()
    gc.disable()
    try:
        app.wsgi_app(*wsgi_call()).close()  # type: ignore[attr-defined]
        assert [reference() for reference in kept] == [None]
    finally:
        gc.enable()


def wsgi_call() -> tuple[dict[str, object], Callable[..., Callable[[bytes], object]]]:
    from werkzeug.test import EnvironBuilder

    return EnvironBuilder(path="/").get_environ(), lambda status, headers, exc_info=None: lambda data: None


def test_with_no_plugin_nothing_is_run(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Visit] = []
    monkeypatch.setattr(visit_plugins, "run", runs.append)
    tracking.start()

    get(build_app(), "/")

    assert len(tracking.events("request")) == 1
    assert runs == []


def test_plugins_that_break_themselves_cost_a_request_nothing(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, seen: list[Visit]
) -> None:
    def broken(visit: Visit) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr(visit_plugins, "run", broken)
    tracking.start()

    assert get(build_app(), "/") == [(200, b"home")]
    assert tracking.request().attributes[names.PATH] == "/"


# Packages.


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that registers a plug-in, which records as it is imported."""
    metadata = tmp_path / "acme_plan-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-plan\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[otel_usage_plugin]\nplan = acme_plan:plan\n")
    (tmp_path / "acme_plan.py").write_text(
        "import otel_usage\n"
        "otel_usage.track('imported')\n"
        "otel_usage.configure(dsn='http://nowhere')\n"
        "def plan(visit):\n"
        "    return {'plan': 'of a package'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_plan", raising=False)


@pytest.mark.usefixtures("package")
def test_a_plugin_of_a_package_works_without_any_code(tracking: Tracking) -> None:
    tracking.start()

    get(build_app(), "/")

    assert tracking.request().attributes[PLAN] == "of a package"


@pytest.mark.usefixtures("package")
def test_disabled_no_plugin_is_loaded(tracking: Tracking) -> None:
    tracking.start(disabled=True)

    get(build_app(), "/")

    assert not visit_plugins.enabled
    assert "acme_plan" not in sys.modules
