"""What a `TrackUsage` tracks: by mode, by mark, and by place in the app."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from otel_usage.flask import TrackUsage, exclude, include
from tests.tracking import Tracking

MODE = "TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS"


def build_app(mode: str, **config: object) -> Flask:
    app = flask.Flask("shop", static_folder=None)
    app.secret_key = "of the app"
    app.config.update({"TESTING": True, MODE: mode, **config})
    return app


class Page(MethodView):
    def get(self) -> str:
        return "page"


def derived(page: type[Page]) -> type[Page]:
    return type("Derived", (page,), {})


def logged(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view with another decorator around it."""

    @functools.wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def add_views(app: Flask, usage: TrackUsage) -> None:
    """Give an app a view in each place, marked before or after it is registered."""
    add: Callable[..., None] = app.add_url_rule
    add("/plain", "plain", lambda: "")
    add("/in", "in", usage.include(lambda: ""))
    add("/out", "out", usage.exclude(lambda: ""))
    add("/last-in", "last_in", usage.include(usage.exclude(lambda: "")))
    add("/below", "below", logged(usage.include(lambda: "")))
    above = app.route("/above")(lambda: "")
    usage.include(logged(logged(above)))
    add("/class-in", "class_in", usage.include(derived(Page)).as_view("class_in"))
    add("/class-out", "class_out", usage.exclude(derived(Page)).as_view("class_out"))
    add("/view-of-class-in", "view_of_class", usage.include(Page.as_view("view_of_class")))
    add("/base-in", "base_in", derived(usage.include(derived(Page))).as_view("base_in"))
    add("/process-out", "process_out", exclude(lambda: ""))
    add("/process-in", "process_in", include(lambda: ""))
    add("/process-out-in", "process_out_in", usage.include(exclude(lambda: "")))


def add_blueprints(app: Flask, usage: TrackUsage, folder: str) -> None:
    """Give an app blueprints inside of others, marked in every combination, with views that come later."""
    for name, mark in (("bp", None), ("bp-in", usage.include_blueprint), ("bp-out", usage.exclude_blueprint)):
        outer = Blueprint(
            name, __name__, url_prefix=f"/{name}", static_folder=folder, static_url_path="/static"
        )
        if mark is not None:
            mark(outer)
        outer.add_url_rule("/plain", "plain", lambda: "")
        outer.add_url_rule("/in", "in", usage.include(lambda: ""))
        outer.add_url_rule("/out", "out", usage.exclude(lambda: ""))
        outer.add_url_rule("/missing", "missing", lambda: flask.abort(404))
        for inner_name, inner_mark in (
            ("n", None),
            ("in", usage.include_blueprint),
            ("out", usage.exclude_blueprint),
        ):
            inner = Blueprint(inner_name, __name__, url_prefix=f"/{inner_name}-inner")
            inner.add_url_rule("/plain", "plain", lambda: "")
            outer.register_blueprint(inner)
            if inner_mark is not None:
                inner_mark(inner)
        app.register_blueprint(outer)


TABLE = [
    # path, tracked in the mode exclude, tracked in the mode include
    ("/plain", True, False),
    ("/in", True, True),
    ("/out", False, False),
    ("/last-in", True, True),
    ("/below", True, True),
    ("/above", True, True),
    ("/class-in", True, True),
    ("/class-out", False, False),
    ("/view-of-class-in", True, True),
    ("/base-in", True, True),
    ("/process-out", False, False),
    ("/process-in", True, True),
    ("/process-out-in", True, True),
    ("/nowhere", True, False),
    ("/bp/plain", True, False),
    ("/bp/in", True, True),
    ("/bp/out", False, False),
    ("/bp/static/a.txt", True, False),
    ("/bp/n-inner/plain", True, False),
    ("/bp/in-inner/plain", True, True),
    ("/bp/out-inner/plain", False, False),
    ("/bp-in/plain", True, True),
    ("/bp-in/in", True, True),
    ("/bp-in/out", False, False),
    ("/bp-in/missing", True, True),
    ("/bp-in/nowhere", True, False),
    ("/bp-in/static/a.txt", True, True),
    ("/bp-in/n-inner/plain", True, True),
    ("/bp-in/out-inner/plain", False, False),
    ("/bp-out/plain", False, False),
    ("/bp-out/in", True, True),
    ("/bp-out/missing", False, False),
    ("/bp-out/nowhere", True, False),
    ("/bp-out/static/a.txt", False, False),
    ("/bp-out/n-inner/plain", False, False),
    ("/bp-out/in-inner/plain", True, True),
]


@pytest.mark.parametrize("mode", ["exclude", "include"])
def test_the_mode_and_the_nearest_mark_say_what_is_tracked(
    tracking: Tracking, tmp_path_factory: pytest.TempPathFactory, mode: str
) -> None:
    tracking.start()
    folder = tmp_path_factory.mktemp("static")
    (folder / "a.txt").write_text("a")
    stored: list[dict[str, Any]] = []
    app = build_app(mode)
    usage = TrackUsage(app, stored.append)
    add_views(app, usage)
    add_blueprints(app, usage, str(folder))

    tracked = {}
    for path, _, _ in TABLE:
        stored.clear()
        app.test_client().get(path).close()
        tracked[path] = [data["path"] for data in stored] == [path]

    column = 1 if mode == "exclude" else 2
    assert tracked == {row[0]: row[column] for row in TABLE}
    assert len(tracking.events("request")) == sum(tracked.values())


@pytest.mark.parametrize(("mode", "switch", "is_tracked"), [
    ("exclude", "auto", True), ("exclude", "false", False), ("exclude", "true", True),
    ("include", "auto", False), ("include", "false", False), ("include", "true", True),
])  # fmt: skip
def test_a_404_is_tracked_as_the_mode_or_its_switch_says(
    tracking: Tracking, mode: str, switch: str, is_tracked: bool
) -> None:
    tracking.start(track_unmatched=switch)
    stored: list[dict[str, Any]] = []
    app = build_app(mode)
    TrackUsage(app, stored.append)

    app.test_client().get("/nowhere")

    assert [data["view_args"] for data in stored] == ([None] if is_tracked else [])


def test_marking_gives_back_the_very_thing_that_was_marked() -> None:
    usage = TrackUsage()
    blueprint = Blueprint("office", __name__)

    def view() -> str:
        return "view"

    assert usage.include(view) is usage.exclude(view) is view
    assert usage.include_blueprint(blueprint) is usage.exclude_blueprint(blueprint) is blueprint
    assert usage.exclude(Page) is Page
    assert vars(view) == {}


def test_a_marked_blueprint_is_the_blueprint_that_it_was(tracking: Tracking) -> None:
    tracking.start()
    stored: list[dict[str, Any]] = []
    app = build_app("include")
    usage = TrackUsage(app, stored.append)
    office = usage.include_blueprint(Blueprint("office", __name__))

    @office.before_request
    def greet() -> None:
        flask.g.track_var["greeted"] = True

    @office.app_errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        return "not here", 404

    office.add_url_rule("/office", "home", lambda: "home")
    app.register_blueprint(office)

    assert app.test_client().get("/office").data == b"home"
    assert app.test_client().get("/nowhere").data == b"not here"
    assert [data["track_var"] for data in stored] == [{"greeted": True}]


def test_marks_belong_to_the_extension_that_set_them(tracking: Tracking) -> None:
    tracking.start()
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    shop, office = build_app("exclude"), build_app("exclude")
    mine, other = TrackUsage(shop, first.append), TrackUsage(office, second.append)
    view = mine.exclude(lambda: "home")
    blueprint = mine.exclude_blueprint(Blueprint("office", __name__))
    blueprint.add_url_rule("/office", "home", lambda: "office")
    for app in (shop, office):
        app.add_url_rule("/", "home", view)
        app.register_blueprint(blueprint)

    for path in ("/", "/office"):
        shop.test_client().get(path)
        office.test_client().get(path)

    assert first == []
    assert [data["path"] for data in second] == ["/", "/office"]
    assert other._exclude_views == set()


def test_the_views_of_a_marked_blueprint_are_counted_as_they_come(tracking: Tracking) -> None:
    app = build_app("exclude")
    usage = TrackUsage(app)
    plain, office = Blueprint("plain", __name__), Blueprint("office", __name__)
    office.add_url_rule("/1", "one", lambda: "")
    plain.add_url_rule("/2", "two", lambda: "")
    app.register_blueprint(plain)
    app.register_blueprint(office)

    usage.exclude_blueprint(office)
    assert (len(usage._exclude_views), len(usage._include_views)) == (1, 0)

    usage.exclude(app.view_functions["plain.two"])
    usage.include(app.view_functions["office.one"])
    assert usage._exclude_views == {app.view_functions["plain.two"]}
    assert usage._include_views == {app.view_functions["office.one"]}


@pytest.mark.parametrize("thing", [None, "home", 7])
def test_what_can_be_no_view_is_refused_when_it_is_marked(thing: Any) -> None:
    with pytest.raises(TypeError, match="A view is a .*, expected a function or a class"):
        TrackUsage().include(thing)
    with pytest.raises(TypeError, match=r"A blueprint is a .*, expected a flask\.Blueprint"):
        TrackUsage().exclude_blueprint(thing)


class Unhashable:
    """A view that cannot be put into a set, and that wraps itself without end."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return False

    @property
    def __wrapped__(self) -> Unhashable:
        return self

    def __call__(self) -> str:
        return "odd"


def test_an_odd_view_is_tracked_like_any_other(tracking: Tracking) -> None:
    tracking.start()
    stored: list[dict[str, Any]] = []
    app = build_app("exclude")
    usage = TrackUsage(app, stored.append)
    usage.exclude(lambda: "")
    app.add_url_rule("/odd", "odd", Unhashable())

    assert app.test_client().get("/odd").data == b"odd"
    assert [data["path"] for data in stored] == ["/odd"]
    with pytest.raises(TypeError, match="unhashable"):
        usage.exclude(Unhashable())
