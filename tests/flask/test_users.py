"""The signed-in user is read passively: tracking never loads one."""

from __future__ import annotations

import flask
import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user

from otel_usage import attributes as names
from tests.tracking import Tracking


class User(UserMixin):  # type: ignore[misc]
    """A user whose id is a query when its database session has expired it."""

    is_expired = False

    def __init__(self, user_id: str) -> None:
        self._id = user_id

    @property
    def id(self) -> str:
        if self.is_expired:
            raise AssertionError("tracking has asked the database")
        return self._id


@pytest.fixture
def loads() -> list[str]:
    return []


@pytest.fixture
def app(loads: list[str]) -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    login_manager = LoginManager(app)

    @login_manager.user_loader  # type: ignore[untyped-decorator]
    def load(user_id: str) -> User | None:
        loads.append(user_id)
        return User(user_id) if user_id != "deleted" else None

    def login(user_id: str) -> str:
        login_user(User(user_id))
        return "in"

    def logout() -> str:
        logout_user()
        return "out"

    def expire() -> str:
        current_user._get_current_object().is_expired = True
        return "expired"

    app.add_url_rule("/login/<user_id>", "login", login)
    app.add_url_rule("/logout", "logout", logout)
    app.add_url_rule("/expire", "expire", expire)
    app.add_url_rule("/me", "me", lambda: str(current_user.is_authenticated))
    app.add_url_rule("/public", "public", lambda: "public")
    return app


def users(tracking: Tracking) -> list[object]:
    return [event.attributes.get(names.USER_ID) for event in tracking.events("request")]


def test_the_user_whom_the_view_has_loaded_is_named(tracking: Tracking, app: Flask, loads: list[str]) -> None:
    tracking.start()
    client = app.test_client()

    for path in ("/login/7", "/me"):
        client.get(path)

    assert users(tracking) == ["7", "7"]
    assert loads == ["7"]


def test_a_view_that_does_not_ask_for_the_user_loads_none(
    tracking: Tracking, app: Flask, loads: list[str]
) -> None:
    client = app.test_client()
    client.get("/login/7")
    untracked = client.get("/public")
    tracking.start()

    response = client.get("/public")

    assert users(tracking) == [None]
    assert loads == []
    assert response.headers.get("Vary") == untracked.headers.get("Vary")


def test_a_user_whose_data_has_expired_is_named_without_a_query(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()
    client.get("/login/7")

    client.get("/expire")

    assert users(tracking) == ["7", "7"]


def test_who_signs_out_is_nobody_from_then_on(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()

    for path in ("/login/7", "/logout", "/me"):
        client.get(path)

    assert users(tracking) == ["7", None, None]


def test_a_session_of_a_deleted_user_is_nobody(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    client = app.test_client()
    client.get("/login/deleted")

    client.get("/me")

    assert users(tracking)[1] is None


def test_a_user_without_session_is_named_by_the_object(tracking: Tracking, app: Flask) -> None:
    tracking.start()
    app.login_manager.request_loader(lambda request: User("by token"))  # type: ignore[attr-defined]

    app.test_client().get("/me")

    assert users(tracking) == ["by token"]


def test_a_user_who_opts_out_is_not_named(tracking: Tracking, app: Flask) -> None:
    tracking.start()

    app.test_client().get("/login/7", headers={"Sec-GPC": "1"})

    assert users(tracking) == [None]


def test_something_else_under_that_name_is_no_user(tracking: Tracking) -> None:
    tracking.start()
    app = flask.Flask("shop")

    @app.get("/")
    def view() -> str:
        flask.g._login_user = object()
        return ""

    app.test_client().get("/")

    assert users(tracking) == [None]
