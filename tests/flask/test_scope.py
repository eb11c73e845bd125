"""What is tracked of a Flask app: views, blueprints and paths, switched one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View

import otel_usage
from otel_usage import attributes as names
from otel_usage.flask import exclude, exclude_blueprint, include, include_blueprint
from tests.tracking import Tracking


def tracked_paths(tracking: Tracking, app: Flask, *paths: str) -> list[object]:
    """Ask for the paths, and return those of the events."""
    for path in paths:
        app.test_client().get(path).close()
    return [event.attributes[names.PATH] for event in tracking.events("request")]


def filtered(tracking: Tracking) -> dict[str, int]:
    return dict(tracking.accounting().filtered)


def build_app() -> Flask:
    """Return an app with a plain, an included and an excluded view."""
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    app.add_url_rule("/plain", "plain", lambda: "plain")
    app.add_url_rule("/in", "in", include(lambda: "in"))
    app.add_url_rule("/out", "out", exclude(lambda: "out"))
    return app


def test_all_views_are_tracked_but_the_excluded(tracking: Tracking) -> None:
    tracking.start()

    assert tracked_paths(tracking, build_app(), "/plain", "/in", "/out") == ["/plain", "/in"]
    assert filtered(tracking) == {"excluded_view": 1}


def test_only_included_views_are_tracked_when_asked_for(tracking: Tracking) -> None:
    tracking.start(track="included")

    assert tracked_paths(tracking, build_app(), "/plain", "/in", "/out") == ["/in"]
    assert filtered(tracking) == {"excluded_view": 1, "not_included_view": 1}


def test_an_excluded_request_has_no_cookie_no_visit_and_no_event(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    @app.get("/quiet")
    @exclude
    def quiet() -> str:
        otel_usage.track("seen")
        otel_usage.object_viewed("item", 1)
        return str(otel_usage.current_visit())

    response = app.test_client().get("/quiet")

    assert response.data == b"None"
    assert "Set-Cookie" not in response.headers
    assert tracking.events() == []
    assert filtered(tracking) == {"excluded_view": 3}
    assert tracking.accounting().seen == 3


def test_the_stream_of_an_excluded_request_records_nothing(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    def body() -> Iterator[str]:
        yield "a"
        otel_usage.track("within")

    app.add_url_rule("/stream", "stream", exclude(lambda: flask.Response(body())))

    assert app.test_client().get("/stream").data == b"a"

    assert tracked_paths(tracking, app, "/plain") == ["/plain"]
    assert len(tracking.events()) == 1


def test_the_request_after_an_excluded_one_is_tracked(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    @app.get("/broken")
    @exclude
    def broken() -> str:
        raise RuntimeError("of the app")

    assert tracked_paths(tracking, app, "/broken", "/out", "/plain") == ["/plain"]
    assert otel_usage.current_visit() is None


@pytest.mark.parametrize("is_outermost", [True, False])
def test_the_order_of_the_decorators_does_not_matter(tracking: Tracking, is_outermost: bool) -> None:
    tracking.start()
    app = build_app()

    def view() -> str:
        return "view"

    if is_outermost:
        exclude(app.get("/view")(view))
    else:
        app.get("/view")(exclude(view))

    assert tracked_paths(tracking, app, "/view", "/plain") == ["/plain"]


def test_a_class_of_views_is_marked_as_a_whole(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()

    @exclude
    class Secret(MethodView):
        def get(self) -> str:
            return "secret"

    class Hidden(View):
        decorators = (exclude,)  # type: ignore[assignment]

        def dispatch_request(self) -> str:
            return "hidden"

    app.add_url_rule("/secret", view_func=Secret.as_view("secret"))
    app.add_url_rule("/hidden", view_func=Hidden.as_view("hidden"))

    assert tracked_paths(tracking, app, "/secret", "/hidden", "/plain") == ["/plain"]


def build_nested() -> tuple[Flask, Blueprint, Blueprint]:
    """Return an app with a blueprint inside a blueprint, one view in each."""
    app = build_app()
    outer = Blueprint("admin", __name__, url_prefix="/admin", static_folder=".", static_url_path="/files")
    inner = Blueprint("users", __name__, url_prefix="/users")
    outer.add_url_rule("/", "home", lambda: "admin")
    inner.add_url_rule("/", "home", lambda: "users")
    inner.add_url_rule("/in", "in", include(lambda: "in"))
    outer.register_blueprint(inner)
    return app, outer, inner


NESTED = ("/admin/", "/admin/users/", "/admin/users/in", "/admin/files/test_scope.py", "/plain")


@pytest.mark.parametrize(
    ("excluded", "tracked"),
    [
        ("outer", ["/admin/users/in", "/plain"]),
        ("inner", ["/admin/", "/admin/users/in", "/admin/files/test_scope.py", "/plain"]),
    ],
)
def test_an_excluded_blueprint_takes_its_nested_ones_and_its_files_along(
    tracking: Tracking, excluded: str, tracked: list[str]
) -> None:
    tracking.start()
    app, outer, inner = build_nested()
    exclude_blueprint(outer if excluded == "outer" else inner)
    app.register_blueprint(outer)

    assert tracked_paths(tracking, app, *NESTED) == tracked


def test_an_included_blueprint_inside_an_excluded_one_is_tracked(tracking: Tracking) -> None:
    tracking.start()
    app, outer, inner = build_nested()
    app.register_blueprint(exclude_blueprint(outer))
    include_blueprint(inner)

    assert tracked_paths(tracking, app, *NESTED) == ["/admin/users/", "/admin/users/in", "/plain"]


def test_an_included_blueprint_is_all_that_is_tracked(tracking: Tracking) -> None:
    tracking.start(track="included")
    app, outer, _ = build_nested()
    app.register_blueprint(include_blueprint(outer))

    assert tracked_paths(tracking, app, *NESTED) == [path for path in NESTED if path != "/plain"]


def test_views_that_a_blueprint_gets_later_are_excluded_too(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    blueprint = exclude_blueprint(Blueprint("late", __name__, url_prefix="/late"))
    blueprint.add_url_rule("/view", "view", lambda: "late")
    app.register_blueprint(blueprint)

    assert tracked_paths(tracking, app, "/late/view", "/plain") == ["/plain"]


def test_a_blueprint_is_excluded_under_each_of_its_names(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    blueprint = exclude_blueprint(Blueprint("twice", __name__))
    blueprint.add_url_rule("/view", "view", lambda: "view")
    app.register_blueprint(blueprint, url_prefix="/one")
    app.register_blueprint(blueprint, url_prefix="/two", name="second")

    assert tracked_paths(tracking, app, "/one/view", "/two/view", "/plain") == ["/plain"]


def test_a_blueprint_with_an_error_handler_of_the_app_is_excluded_and_works(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    blueprint = exclude_blueprint(Blueprint("errors", __name__, url_prefix="/errors"))

    @blueprint.app_errorhandler(404)
    def not_found(error: Exception) -> tuple[str, int]:
        return "nothing here", 404

    @blueprint.before_request
    def before() -> None:
        flask.g.was_here = True

    @blueprint.get("/missing")
    def missing() -> str:
        flask.abort(404)

    app.register_blueprint(blueprint)

    assert app.test_client().get("/errors/missing").data == b"nothing here"
    assert tracked_paths(tracking, app, "/nowhere") == ["/nowhere"]


@pytest.mark.parametrize(
    ("settings", "tracked"),
    [
        ({}, ["/plain", "/nowhere"]),
        ({"track_unmatched": "false"}, ["/plain"]),
        ({"track": "included"}, []),
        ({"track": "included", "track_unmatched": "true"}, ["/nowhere"]),
        ({"track": "included", "included_urls": "^/now"}, ["/nowhere"]),
    ],
)
def test_a_404_is_tracked_like_views_that_nobody_named_or_by_its_own_switch(
    tracking: Tracking, settings: dict[str, Any], tracked: list[str]
) -> None:
    tracking.start(**settings)

    assert tracked_paths(tracking, build_app(), "/plain", "/nowhere") == tracked


def test_urls_are_included_beside_the_views(tracking: Tracking) -> None:
    tracking.start(track="included", included_urls="^/pl")

    assert tracked_paths(tracking, build_app(), "/plain", "/in", "/out") == ["/plain", "/in"]


def test_an_excluded_url_goes_before_an_included_view(tracking: Tracking) -> None:
    tracking.start(excluded_urls="^/in$")

    assert tracked_paths(tracking, build_app(), "/in", "/plain") == ["/plain"]
    assert filtered(tracking) == {"excluded_url": 1}


def test_the_static_files_of_an_app_are_a_view_like_others(tracking: Tracking) -> None:
    tracking.start(excluded_urls="^/nothing$")
    app = flask.Flask("shop", static_url_path="/files")
    exclude(app.view_functions["static"])

    assert tracked_paths(tracking, app, "/files/a.css", "/nowhere") == ["/nowhere"]


def test_an_endpoint_with_dots_that_is_in_no_blueprint_is_tracked(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule("/dotted", "a.b.c", lambda: "dotted")

    assert tracked_paths(tracking, app, "/dotted") == ["/dotted"]


def test_a_request_made_inside_an_excluded_one_belongs_to_it(tracking: Tracking) -> None:
    tracking.start()
    app = build_app()
    app.add_url_rule("/outer", "outer", exclude(lambda: app.test_client().get("/plain").text))

    assert app.test_client().get("/outer").text == "plain"
    assert tracking.events() == []
