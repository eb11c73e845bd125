"""Who the user is, where the app says so itself: a function, a dotted path, or Basic authentication."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any
from uuid import UUID

import flask
import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, login_user

import otel_usage
from otel_usage import attributes as names
from otel_usage.log_throttle import LogThrottle
from tests.tracking import Tracking


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"

    @app.before_request
    def authenticate() -> None:
        given = flask.request.authorization
        if flask.request.path.startswith("/private") and (given is None or given.password != "right"):
            flask.abort(401)

    def sign_in() -> str:
        flask.session["user"] = "ann"
        otel_usage.track("signed_in")
        return "in"

    def refuse() -> str:
        flask.abort(403)

    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/sign-in", "sign_in", sign_in)
    app.add_url_rule("/private", "private", lambda: "private")
    app.add_url_rule("/private/refused", "refused", refuse)
    return app


def by_session(request: flask.Request) -> object:
    return flask.session.get("user")


def users(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.USER_ID) for event in tracking.events("request")]


def test_a_function_names_the_user_after_the_view(tracking: Tracking) -> None:
    tracking.start(user=by_session)
    client = build_app().test_client()

    for path in ("/", "/sign-in", "/"):
        client.get(path)

    assert users(tracking) == [None, "ann", "ann"]
    assert tracking.events("signed_in")[0].attributes[names.USER_ID] == "ann"


def test_a_function_that_reads_the_session_changes_no_header(tracking: Tracking) -> None:
    app = build_app()
    before = app.test_client().get("/")

    tracking.start(user=by_session)
    after = app.test_client().get("/")

    assert [name for name, _ in after.headers if name != "Set-Cookie"] == [name for name, _ in before.headers]


def test_a_dotted_path_of_the_environment_names_the_function(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("shop_users")
    module.user_of = by_session
    monkeypatch.setitem(sys.modules, "shop_users", module)
    monkeypatch.setenv("OTEL_USAGE_USER", "shop_users.user_of")
    tracking.start()

    build_app().test_client().get("/sign-in")

    assert users(tracking) == ["ann"]


@pytest.mark.parametrize(
    ("returned", "user"),
    [
        ("ann", "ann"),
        (7, "7"),
        (0, "0"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("x" * 5_000, "x" * 256),
        ("\udcff", "?"),
        ("", None),
        (None, None),
        (False, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_id_is_kept_as_text(tracking: Tracking, returned: object, user: str | None) -> None:
    tracking.start(user=lambda request: returned)

    build_app().test_client().get("/")

    assert users(tracking) == [user]


class Unprintable:
    def __str__(self) -> str:
        raise AssertionError("a query")


@pytest.mark.parametrize("returned", [Unprintable(), True, b"ann", ["ann"], 1.5])
def test_anything_else_is_nobody_and_logged_by_its_type(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, returned: object
) -> None:
    tracking.start(user=lambda request: returned)

    assert build_app().test_client().get("/").status_code == 200

    assert users(tracking) == [None]
    assert f"The function of OTEL_USAGE_USER returned a {type(returned).__name__}, expected" in caplog.text


def test_a_function_that_raises_costs_the_user_id_alone(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otel_usage.instrumentation.guard._error_log", LogThrottle())

    def broken(request: flask.Request) -> str:
        raise RuntimeError("ann@example.org")

    tracking.start(user=broken)

    response = build_app().test_client().get("/")

    assert (response.status_code, response.data) == (200, b"home")
    assert users(tracking) == [None]
    assert tracking.request().attributes[names.VISIT_KEY]
    assert "RuntimeError at " in caplog.text
    assert "ann@example.org" not in caplog.text


@pytest.mark.parametrize("named", ["no.such.module.user", "os.sep", 7])
def test_a_setting_that_names_no_function_is_logged_once(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, named: object
) -> None:
    tracking.start(user=named)
    app = build_app()

    for _ in range(2):
        app.test_client().get("/")

    assert users(tracking) == [None, None]
    (message,) = [message for message in caplog.messages if "OTEL_USAGE_USER" in message]
    assert message.endswith("Going on without user ids.")


def test_who_opts_out_is_not_asked_for(tracking: Tracking) -> None:
    asked: list[str] = []
    tracking.start(user=lambda request: asked.append(request.path), basic_auth_users=True)

    build_app().test_client().get("/private", auth=("ann", "right"), headers={"Sec-GPC": "1"})

    assert asked == []
    assert users(tracking) == [None]


def test_switched_off_no_user_is_named(tracking: Tracking) -> None:
    tracking.start(user="off")
    app = build_app()
    LoginManager(app).user_loader(lambda user_id: None)

    @app.get("/login")
    def login() -> str:
        user = UserMixin()
        user.id = "ann"
        login_user(user)
        return "in"

    app.test_client().get("/login")

    assert users(tracking) == [None]


@pytest.mark.parametrize(
    ("path", "password", "user"),
    [
        ("/private", "right", "ann"),
        ("/private", "wrong", None),
        ("/private/refused", "right", None),
        ("/nowhere", "right", None),
        ("/", "anything", "ann"),
    ],
)
def test_basic_authentication_names_whom_the_app_did_not_refuse(
    tracking: Tracking, path: str, password: str, user: str | None
) -> None:
    tracking.start(basic_auth_users=True)

    build_app().test_client().get(path, auth=("ann", password))

    assert users(tracking) == [user]


def test_without_the_setting_basic_authentication_names_nobody(tracking: Tracking) -> None:
    tracking.start()

    build_app().test_client().get("/private", auth=("ann", "right"))

    assert users(tracking) == [None]
    assert tracking.request().attributes[names.HAS_AUTHORIZATION] is True


def test_the_function_goes_before_basic_authentication(tracking: Tracking) -> None:
    tracking.start(user=by_session, basic_auth_users=True)
    client = build_app().test_client()

    client.get("/sign-in", auth=("bob", "x"))
    client.get("/", auth=("carl", "x"))

    assert users(tracking) == ["ann", "ann"]


def test_a_password_is_kept_nowhere(tracking: Tracking) -> None:
    tracking.start(basic_auth_users=True)

    build_app().test_client().get("/private", auth=("ann", "hunter2"))

    for event in tracking.events():
        assert "hunter2" not in str(event.attributes)


class CountedSession(dict[str, Any], flask.sessions.SessionMixin):
    """Counts who looks into it."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        CountedSession.looks += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        CountedSession.looks += 1
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        CountedSession.looks += 1
        return super().__contains__(key)


class CountedSessions(flask.sessions.SessionInterface):
    def open_session(self, app: Flask, request: flask.Request) -> CountedSession:
        return CountedSession(_user_id="7")

    def save_session(self, app: Flask, session: Any, response: flask.Response) -> None: ...


def test_nobody_looks_into_a_session_or_loads_a_user_but_the_app(tracking: Tracking) -> None:
    loads: list[str] = []
    app = build_app()
    app.session_interface = CountedSessions()
    LoginManager(app).user_loader(loads.append)
    CountedSession.looks = 0
    app.test_client().get("/")
    looks_of_the_app = CountedSession.looks
    tracking.start()

    response = app.test_client().get("/")

    assert CountedSession.looks == 2 * looks_of_the_app
    assert loads == []
    assert "Vary" not in response.headers
    assert users(tracking) == [None]
