"""Who did not agree is not followed: no visit, no cookie, no user; the request itself is counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import flask
import pytest
from flask import Flask
from flask_login import LoginManager, UserMixin, login_user
from opentelemetry.instrumentation.flask import FlaskInstrumentor

import otel_usage
from otel_usage import attributes as names
from otel_usage.log_throttle import LogThrottle
from tests.tracking import Tracking
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

IDENTITY = {names.VISIT_KEY, names.VISITOR_ID, names.VISIT_IS_NEW, names.USER_ID}


def by_cookie(request: flask.Request) -> bool | None:
    """Return what the visitor said to the app's banner."""
    answer = request.cookies.get("agreed")
    return None if answer is None else answer == "yes"


def build_app() -> Flask:
    app = flask.Flask("shop")
    app.secret_key = "of the app"
    LoginManager(app).user_loader(lambda user_id: None)

    def login() -> str:
        user = UserMixin()
        user.id = "ann"
        login_user(user)
        otel_usage.track("signed_in")
        return str(otel_usage.current_visit())

    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/login", "login", login)
    return app


def test_who_agreed_is_followed(tracking: Tracking) -> None:
    tracking.start(consent=by_cookie)
    client = build_app().test_client()
    client.set_cookie("agreed", "yes")

    client.get("/login")

    assert client.get_cookie("otel_usage_visit") is not None
    assert tracking.request().attributes.keys() >= IDENTITY


@pytest.mark.parametrize("answer", ["no", None])
@pytest.mark.parametrize("with_contrib", [True, False], ids=["with contrib", "without"])
def test_who_refused_or_was_not_asked_is_counted_and_not_followed(
    tracking: Tracking, answer: str | None, with_contrib: bool
) -> None:
    tracking.start(consent=by_cookie, basic_auth_users=True)
    if with_contrib:
        FlaskInstrumentor().instrument()
    client = build_app().test_client()
    if answer:
        client.set_cookie("agreed", answer)

    response = client.get("/login", auth=("ann", "password"))

    assert response.data == b"None"
    assert not [value for value in response.headers.getlist("Set-Cookie") if "otel_usage" in value]
    for event in tracking.events():
        assert not IDENTITY & event.attributes.keys()
    assert tracking.request().attributes[names.PATH] == "/login"
    assert len(tracking.events("signed_in")) == 1


def test_who_refuses_later_loses_the_cookie(tracking: Tracking) -> None:
    tracking.start(consent=by_cookie, cookie_path="/", cookie_secure="true", cookie_domain="shop.example")
    client = build_app().test_client()
    url = {"base_url": "https://shop.example"}
    client.set_cookie("agreed", "yes", domain="shop.example")
    client.get("/", **url)
    assert client.get_cookie("otel_usage_visit", domain="shop.example") is not None
    client.set_cookie("agreed", "no", domain="shop.example")

    response = client.get("/", **url)

    assert response.headers.getlist("Set-Cookie") == [
        "otel_usage_visit=; Path=/; HttpOnly; SameSite=Lax; Domain=shop.example; Max-Age=0; Secure"
    ]
    assert client.get_cookie("otel_usage_visit", domain="shop.example") is None
    assert "Set-Cookie" not in client.get("/", **url).headers


def test_who_agrees_again_is_somebody_new(tracking: Tracking) -> None:
    tracking.start(consent=by_cookie)
    client = build_app().test_client()

    for answer in ("yes", "no", "yes"):
        client.set_cookie("agreed", answer)
        client.get("/")

    first, refused, second = tracking.events("request")
    assert names.VISITOR_ID not in refused.attributes
    assert first.attributes[names.VISITOR_ID] != second.attributes[names.VISITOR_ID]
    assert second.attributes[names.VISIT_IS_NEW] is True


def test_who_was_not_asked_keeps_the_cookie_of_before(tracking: Tracking) -> None:
    tracking.start(consent=by_cookie)
    client = build_app().test_client()
    client.set_cookie("agreed", "yes")
    client.get("/")
    client.delete_cookie("agreed")

    response = client.get("/")

    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.events("request")[-1].attributes


def test_a_visit_in_the_session_is_taken_out_of_it(tracking: Tracking) -> None:
    tracking.start(consent=by_cookie, visit_manager="session")
    app = build_app()
    app.add_url_rule("/keys", "keys", lambda: ",".join(flask.session))
    client = app.test_client()
    client.set_cookie("agreed", "yes")
    assert client.get("/keys").text == "otel_usage_visit"
    client.set_cookie("agreed", "no")

    assert client.get("/keys").text == ""
    assert names.VISIT_KEY not in tracking.events("request")[-1].attributes


@pytest.mark.parametrize("answer", ["yes", "denied", 1, 0, "", object()])
def test_only_true_is_consent(tracking: Tracking, caplog: pytest.LogCaptureFixture, answer: object) -> None:
    tracking.start(consent=lambda request: answer)

    response = build_app().test_client().get("/", headers={"Cookie": "otel_usage_visit=x"})

    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.request().attributes
    assert f"returned a {type(answer).__name__}, expected True, False or None" in caplog.text


def test_a_function_that_raises_means_no_consent_and_the_page_never_notices(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otel_usage.instrumentation.guard._error_log", LogThrottle())

    def broken(request: flask.Request) -> bool:
        raise RuntimeError(request.path)

    tracking.start(consent=broken)

    response = build_app().test_client().get("/", headers={"Cookie": "otel_usage_visit=x"})

    assert response.data == b"home"
    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.request().attributes
    assert "Usage tracking failed, the app goes on: RuntimeError at " in caplog.text


async def later(request: flask.Request) -> bool:
    return True


@pytest.mark.parametrize("named", ["nowhere", "no.such.module.consent", "os.sep", 7, True, later])
def test_a_setting_that_names_no_function_follows_nobody(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, named: object
) -> None:
    tracking.start(consent=named)
    app = build_app()

    app.test_client().get("/")
    response = app.test_client().get("/")

    assert "Set-Cookie" not in response.headers
    assert names.VISIT_KEY not in tracking.events("request")[0].attributes
    messages = [message for message in caplog.messages if "OTEL_USAGE_CONSENT" in message]
    assert len(messages) == 1
    assert messages[0].endswith("Going on without following anybody.")


def test_a_dotted_path_of_the_environment_names_the_function(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = ModuleType("shop_consent")
    module.agreed = by_cookie
    monkeypatch.setitem(sys.modules, "shop_consent", module)
    monkeypatch.setenv("OTEL_USAGE_CONSENT", "shop_consent:agreed")
    tracking.start()
    client = build_app().test_client()

    client.get("/")
    client.set_cookie("agreed", "yes")
    client.get("/")

    assert [names.VISIT_KEY in event.attributes for event in tracking.events("request")] == [False, True]


def remember(asked: list[str]) -> Callable[[flask.Request], bool]:
    """Return a function that agrees to everything, and notes for what it was asked."""

    def agree(request: flask.Request) -> bool:
        asked.append(request.path)
        return True

    return agree


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_who_sends_a_signal_is_not_asked(tracking: Tracking, header: str) -> None:
    asked: list[str] = []
    tracking.start(consent=remember(asked))

    build_app().test_client().get("/", headers={header: "1"})

    assert asked == []
    assert names.VISIT_KEY not in tracking.request().attributes


def test_nobody_is_asked_for_what_is_excluded(tracking: Tracking) -> None:
    asked: list[str] = []
    tracking.start(consent=remember(asked), excluded_urls="^/login")

    build_app().test_client().get("/login")

    assert asked == []


@pytest.mark.parametrize("manager", ["cookie", "cookieless", "session"])
def test_every_visit_manager_respects_a_refusal(
    tracking: Tracking, runtime_directory: Path, manager: str
) -> None:
    tracking.start(consent=lambda request: False, visit_manager=manager, visit_sources="cookie,form")

    response = build_app().test_client().get("/")

    assert "Set-Cookie" not in response.headers
    assert not IDENTITY & tracking.request().attributes.keys()
