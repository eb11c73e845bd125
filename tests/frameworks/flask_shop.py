"""The shop in Flask: at the same paths as in Django, with the same answers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import flask
from flask.views import MethodView, View
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

import otel_usage
from otel_usage.flask import exclude, include
from tests.frameworks.meetings import Meeting


class Card(MethodView):
    """Knows its methods by itself."""

    def get(self) -> str:
        return "card"


@exclude
class Secret(MethodView):
    def get(self) -> str:
        return "secret"


class HiddenMethod(View):
    decorators = (exclude,)  # type: ignore[assignment]

    def dispatch_request(self) -> str:
        return "hidden"


@include
class Shown(MethodView):
    def get(self) -> str:
        return "shown"


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id

    def __str__(self) -> str:
        return str(self.id)


async def async_item(number: int) -> str:
    return f"item {number}"


def broken() -> str:
    otel_usage.track("tried")
    raise RuntimeError("broken")


def stream() -> flask.Response:
    otel_usage.track("before")

    def body() -> Iterator[str]:
        yield "a"
        otel_usage.track("within")
        yield "bü"

    return flask.Response(body())


def broken_stream() -> flask.Response:
    def body() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError("of the app")

    return flask.Response(body())


@exclude
def quiet_stream() -> flask.Response:
    def body() -> Iterator[bytes]:
        yield b"a"
        otel_usage.track("within")

    return flask.Response(body())


def known_stream() -> flask.Response:
    return flask.Response(iter([b"abc"]), headers={"Content-Length": "3"})


@exclude
def excluded() -> str:
    otel_usage.track("inside")
    return "excluded"


@exclude
async def excluded_async() -> str:
    otel_usage.track("inside")
    return "excluded"


def events() -> str:
    otel_usage.object_viewed("page", "a")
    otel_usage.track("asked", about="prices")
    return str(otel_usage.current_visit() is not None)


def theme() -> flask.Response:
    response = flask.Response("theme")
    response.set_cookie("theme", "dark")
    return response


def meet(number: int) -> str:
    otel_usage.object_viewed("person", number)
    Meeting.of_threads.wait(60)
    return "met"


def nested() -> str:
    inner = build_app().test_client().get("/item/1/").text
    assert otel_usage.current_visit() is not None
    return inner


def sign_in(username: str) -> str:
    login_user(User(username))
    return "in"


def sign_out() -> str:
    logout_user()
    return "out"


def visit() -> str:
    return f"{otel_usage.current_visit() is not None} {otel_usage.visit_ticket()!r}"


def build_app() -> flask.Flask:
    # Through the module: contrib replaces the class.
    app = flask.Flask("shop", static_folder=None)
    app.secret_key = "of the app"
    LoginManager(app).user_loader(User)
    views: dict[str, Callable[..., Any]] = {
        "/": lambda: "home",
        "/item/<int:number>/": lambda number: f"item {number}",
        "/async-item/<int:number>/": async_item,
        "/forbidden/": lambda: flask.abort(403),
        "/broken/": broken,
        "/redirect/": lambda: flask.redirect("/item/7/"),
        "/empty/": lambda: ("", 204),
        "/stream/": stream,
        "/broken-stream/": broken_stream,
        "/quiet-stream/": quiet_stream,
        "/known-stream/": known_stream,
        "/file/": lambda: flask.send_file(io.BytesIO(b"x" * 100), download_name="file.txt"),
        "/cached/": lambda: ("cached", {"Cache-Control": "public, max-age=60"}),
        "/headers/": lambda: ("headers", flask.request.args.to_dict()),
        "/not-modified/": lambda: ("", 304),
        "/theme/": theme,
        "/private/": lambda: ("", 401),
        "/who/": lambda: current_user.get_id() or "nobody",
        "/login/<username>/": sign_in,
        "/logout/": sign_out,
        "/visit/": visit,
        "/events/": events,
        "/excluded/": excluded,
        "/excluded-async/": excluded_async,
        "/included/": include(lambda: "included"),
        "/card/": Card.as_view("card"),
        "/secret/": Secret.as_view("secret"),
        "/hidden/": HiddenMethod.as_view("hidden"),
        "/shown/": Shown.as_view("shown"),
        "/excluded-outside/": exclude(lambda: theme()),
        "/nested/": nested,
        "/meet/<int:number>/": meet,
        "/named/<path:rest>": lambda rest: "ok",
    }
    for route, view in views.items():
        app.add_url_rule(route, route.strip("/").partition("/")[0] or "home", view)
    app.add_url_rule("/form/", "form", lambda: flask.request.get_data(), methods=["GET", "POST"])
    return app
