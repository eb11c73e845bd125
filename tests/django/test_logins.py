"""Logins, logouts and failed logins are events; none of them holds a secret."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory, modify_settings
from django.test.utils import CaptureQueriesContext

from otel_usage.django import DjangoUsageInstrumentor, logins
from otel_usage.model import Event
from tests.tracking import Tracking

SESSION = "usage.property.session"


def create_user(username: str) -> Any:
    user = get_user_model()(username=username)
    user.set_password("secret")
    user.save()
    return user


def only(tracking: Tracking, name: str) -> Event:
    (event,) = tracking.events(name)
    return event


def key_of(client: Client) -> str:
    return client.cookies["sessionid"].value


def test_a_login_says_who_with_what_and_from_where(tracking: Tracking, client: Client) -> None:
    tracking.start()
    ann = create_user("ann")

    client.get("/login/ann/", headers={"User-Agent": "Firefox"}, REMOTE_ADDR="192.0.2.7")

    found = only(tracking, "login").attributes
    assert found["user.id"] == str(ann.pk)
    assert found["usage.property.backend"] == "django.contrib.auth.backends.ModelBackend"
    assert (found["client.address"], found["user_agent.original"]) == ("192.0.2.7", "Firefox")
    assert found["session.id"] == tracking.request().attributes["session.id"]


def test_the_request_of_a_login_is_the_new_users(tracking: Tracking, client: Client) -> None:
    tracking.start()
    ann = create_user("ann")

    client.get("/login/ann/")

    assert tracking.request().attributes["user.id"] == str(ann.pk)


def test_a_session_is_named_by_a_hash_of_its_key_from_login_to_logout(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()
    create_user("ann")

    client.get("/login/ann/")
    key = key_of(client)
    client.get("/logout/")

    name = hashlib.sha256(key.encode()).hexdigest()
    assert only(tracking, "login").attributes[SESSION] == name
    assert only(tracking, "logout").attributes[SESSION] == name
    assert not [event for event in tracking.events() if key in str(event.attributes)]


def test_a_logout_is_the_event_of_the_user_who_left(tracking: Tracking, client: Client) -> None:
    tracking.start()
    ann = create_user("ann")
    client.force_login(ann)

    client.get("/logout/")

    assert only(tracking, "logout").attributes["user.id"] == str(ann.pk)
    assert "user.id" not in tracking.events("request")[-1].attributes


def test_a_logout_of_nobody_is_no_event(tracking: Tracking, client: Client) -> None:
    tracking.start()

    client.get("/logout/")

    assert tracking.events("logout") == []


def test_who_signs_in_as_another_has_a_session_of_another_name(tracking: Tracking, client: Client) -> None:
    tracking.start()
    create_user("ann")
    create_user("bob")

    client.get("/login/ann/")
    client.get("/login/bob/")

    first, second = tracking.events("login")
    assert first.attributes[SESSION] != second.attributes[SESSION]
    assert first.attributes["user.id"] != second.attributes["user.id"]


def test_a_failed_login_keeps_nothing_of_what_was_typed(tracking: Tracking) -> None:
    tracking.start()
    request = RequestFactory().post("/")

    assert authenticate(request, username="my password, typed in the wrong field", password="x") is None

    found = only(tracking, "login_failed").attributes
    assert "wrong field" not in str(found)
    assert "user.id" not in found


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_login_of_a_visitor_who_is_not_followed_says_not_who(
    tracking: Tracking, client: Client, header: str
) -> None:
    tracking.start()
    create_user("ann")

    client.get("/login/ann/", headers={header: "1"})
    client.get("/logout/", headers={header: "1"})

    for name in ("login", "logout"):
        found = only(tracking, name).attributes
        assert {"user.id", SESSION, "session.id"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("setting", "expected"), [("off", None), (lambda request: f"u-{request.user.username}", "u-ann")]
)
def test_the_setting_for_users_holds_for_logins(
    tracking: Tracking, client: Client, setting: Any, expected: str | None
) -> None:
    tracking.start(user=setting)
    create_user("ann")

    client.get("/login/ann/")
    client.get("/logout/")

    assert only(tracking, "login").attributes.get("user.id") == expected
    assert only(tracking, "logout").attributes.get("user.id") == expected


def test_events_of_logins_end_with_the_instrumentation(tracking: Tracking, client: Client) -> None:
    tracking.start()
    create_user("ann")
    DjangoUsageInstrumentor().uninstrument()

    client.get("/login/ann/")

    assert tracking.events("login") == []


def test_a_signed_in_request_asks_the_database_no_more_than_without_tracking(
    tracking: Tracking, client: Client
) -> None:
    client.force_login(create_user("ann"))
    with CaptureQueriesContext(connection) as before:
        client.get("/who/")

    tracking.start()
    tracked = Client()
    tracked.cookies = client.cookies
    with CaptureQueriesContext(connection) as after:
        tracked.get("/who/")

    assert tracking.request().attributes["user.id"]
    assert len(after) == len(before)


def test_no_event_is_lost_at_login_logout_clearsessions_or_user_deletion(
    tracking: Tracking, client: Client
) -> None:
    tracking.start()
    ann = create_user("ann")

    client.get("/events/")
    client.get("/login/ann/")
    client.get("/events/")
    client.get("/logout/")
    call_command("clearsessions")
    ann.delete()
    client.get("/events/")

    assert len(tracking.events("object_viewed")) == 3
    assert len({event.attributes["session.id"] for event in tracking.events("object_viewed")}) == 1
    assert len(tracking.events("request")) == 5


def test_a_site_without_the_app_has_the_events_too(tmp_path: Path) -> None:
    program = tmp_path / "site.py"
    program.write_text(
        dedent(
            """
            import django
            from django.conf import settings
            from otel_usage.django import DjangoUsageInstrumentor

            DjangoUsageInstrumentor().instrument()
            apps = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")]
            database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
            settings.configure(INSTALLED_APPS=apps, DATABASES={"default": database}, SECRET_KEY="s")
            django.setup()
            from django.contrib.auth import get_user_model
            from django.core.management import call_command
            from django.test import Client

            call_command("migrate", verbosity=0)
            client = Client()
            client.force_login(get_user_model().objects.create_user("ann"))
            client.logout()
            """
        )
    )

    ran = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "OTEL_USAGE_EXPORTER": "console", "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert [name for name in ("login", "logout") if f'"{name}"' in ran.stdout] == ["login", "logout"]


def test_the_setting_without_the_app_says_what_to_do_and_breaks_no_login(
    tracking: Tracking, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_has_warned", False)
    tracking.start(one_session_per_user=True)
    create_user("ann")

    with (
        modify_settings(INSTALLED_APPS={"remove": "otel_usage.django"}),
        caplog.at_level(logging.ERROR, "otel_usage.django.logins"),
    ):
        answers = [client.get("/login/ann/").status_code for _ in range(2)]

    assert answers == [200, 200]
    assert caplog.text.count("Add 'otel_usage.django' to INSTALLED_APPS") == 1
