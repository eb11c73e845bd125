"""Sessions end when they are told to, in every backend; the table of live ones has only those."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from otel_usage.django import end_session, end_sessions_of
from tests.tracking import Tracking

BACKENDS = ("db", "cached_db", "cache", "file", "signed_cookies", "of the site's own")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, site: None, tmp_path: Path) -> Iterator[str]:
    """Run the test with each of Django's session backends, and with one of the site's own."""
    is_djangos = request.param != BACKENDS[-1]
    engine = (
        f"django.contrib.sessions.backends.{request.param}" if is_djangos else "tests.django.shop.sessions"
    )
    with override_settings(SESSION_ENGINE=engine, SESSION_FILE_PATH=str(tmp_path)):
        yield request.param
    cache.clear()


def create_user(username: str = "ann") -> Any:
    return get_user_model()._default_manager.create(username=username)


def live_sessions() -> Any:
    return apps.get_model("otel_usage", "LiveSession")._default_manager.filter(ended=None)


def signed_in(username: str = "ann") -> Client:
    """Return a browser in which the user has just signed in."""
    browser = Client()
    assert browser.get(f"/login/{username}/").status_code == 200
    return browser


def user_of(browser: Client) -> str:
    return browser.get("/who/").content.decode()


def key_of(browser: Client) -> str:
    return browser.cookies["sessionid"].value


def session_of(tracking: Tracking, login: int = -1) -> str:
    return str(tracking.events("login")[login].attributes["usage.property.session"])


# Ending.


def test_an_ended_session_is_logged_out_with_the_next_request(tracking: Tracking, backend: str) -> None:
    tracking.start()
    create_user()
    browser, other = signed_in(), signed_in()
    assert user_of(browser) == "ann"

    assert end_session(key_of(browser))

    assert user_of(browser) == "AnonymousUser"
    assert user_of(other) == "ann"


def test_a_session_is_ended_by_the_name_that_events_show(tracking: Tracking, backend: str) -> None:
    tracking.start()
    create_user()
    browser = signed_in()

    assert end_session(session_of(tracking))

    assert user_of(browser) == "AnonymousUser"


def test_ending_is_an_event_once_and_repeatable(tracking: Tracking, backend: str) -> None:
    tracking.start()
    ann = create_user()
    browser = signed_in()
    key, name = key_of(browser), session_of(tracking)

    assert [end_session(name), end_session(name), end_session(key), end_session(key)] == [True] * 4

    (event,) = tracking.events("session_ended")
    assert event.attributes["usage.property.session"] == name
    assert event.attributes["user.id"] == str(ann.pk)


def test_a_session_that_is_gone_has_ended(tracking: Tracking, backend: str) -> None:
    tracking.start()

    assert end_session("a" * 32)
    assert end_session("f" * 64)
    assert end_session("")

    assert tracking.events("session_ended") == []


def test_a_session_of_a_changed_key_keeps_its_name_and_can_be_ended(tracking: Tracking, backend: str) -> None:
    tracking.start()
    create_user()
    browser = signed_in()
    name = session_of(tracking)
    browser.get("/new-password/")
    assert user_of(browser) == "ann"

    assert end_session(key_of(browser))

    assert user_of(browser) == "AnonymousUser"
    assert tracking.events("session_ended")[0].attributes["usage.property.session"] == name
    assert live_sessions().count() == 0


def test_a_session_from_before_the_table_is_ended_by_its_key(tracking: Tracking, site: None) -> None:
    tracking.start()
    create_user()
    browser = signed_in()
    live_sessions().delete()

    assert end_session(key_of(browser))

    assert user_of(browser) == "AnonymousUser"
    assert len(tracking.events("session_ended")) == 1


def test_a_cookie_from_before_the_table_cannot_be_ended_and_the_log_says_so(
    tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    tracking.start()
    create_user()
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        browser = signed_in()
        live_sessions().delete()

        assert not end_session(key_of(browser))

    assert "opened before 'otel_usage.django' was installed" in caplog.text


def test_looking_for_an_expired_session_leaves_nothing_behind(tracking: Tracking, tmp_path: Path) -> None:
    create_user()
    engine = "django.contrib.sessions.backends.file"
    with override_settings(SESSION_ENGINE=engine, SESSION_FILE_PATH=str(tmp_path)):
        browser = signed_in()
        live_sessions().delete()
        with override_settings(SESSION_COOKIE_AGE=-1):
            assert end_session(key_of(browser))

    assert list(tmp_path.iterdir()) == []


def test_only_cookies_are_looked_up_and_only_by_who_is_signed_in(tracking: Tracking, backend: str) -> None:
    create_user()
    browser = signed_in()

    with CaptureQueriesContext(connection) as anonymous:
        Client().get("/who/")
    with CaptureQueriesContext(connection) as queries:
        browser.get("/who/")

    looked = [query for query in queries.captured_queries if "livesession" in query["sql"]]
    assert not [query for query in anonymous.captured_queries if "livesession" in query["sql"]]
    assert len(looked) == (1 if backend == "signed_cookies" else 0)


def test_a_backend_that_is_down_is_said_and_the_session_kept_for_the_next_try(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.sessions.backends.db import SessionStore

    tracking.start()
    create_user()
    browser = signed_in()

    def fail(self: object, session_key: str | None = None) -> None:
        raise ConnectionError("down")

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "delete", fail)
        assert not end_session(session_of(tracking))
    assert "Could not end a session: ConnectionError" in caplog.text

    assert end_session(session_of(tracking))
    assert user_of(browser) == "AnonymousUser"


# The table.


def test_the_table_has_a_session_from_login_to_logout(tracking: Tracking, backend: str) -> None:
    tracking.start()
    ann = create_user()
    browser = signed_in()

    (row,) = live_sessions()
    browser.get("/logout/")

    assert (row.user_id, row.name) == (str(ann.pk), session_of(tracking))
    assert live_sessions().count() == 0


def test_the_table_holds_no_key_of_a_session(tracking: Tracking, backend: str) -> None:
    create_user()
    browser = signed_in()

    (row,) = live_sessions()

    assert key_of(browser) not in str(row.__dict__)
    assert key_of(browser).encode().hex() not in row.sealed_key


def test_a_sealed_key_is_opened_with_a_former_secret_too(tracking: Tracking, client: Client) -> None:
    create_user()
    browser = signed_in()

    with override_settings(
        SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=["of the tests, which nobody else may use"]
    ):
        assert end_sessions_of(live_sessions()[0].user_id) == 1

    assert user_of(browser) == "AnonymousUser"


def test_rows_of_expired_sessions_go_and_those_of_prolonged_ones_stay(
    tracking: Tracking, backend: str
) -> None:
    create_user()
    gone, prolonged = signed_in(), signed_in()
    end_row, kept_row = live_sessions().order_by("pk")
    gone.cookies.clear()
    if backend != "signed_cookies":
        from otel_usage.django.session_keys import unseal
        from otel_usage.django.user_sessions import session_store

        session_store().delete(unseal(end_row.sealed_key))
    live_sessions().update(expires=timezone.now() - timedelta(days=1))

    signed_in()

    left = set(live_sessions().values_list("name", flat=True))
    assert end_row.name not in left
    # The server cannot know of a cookie that it was prolonged, so its row has a year from the start.
    assert (kept_row.name in left) == (backend != "signed_cookies")
    assert user_of(prolonged) == "ann"


def test_a_table_that_is_missing_breaks_no_login_and_the_log_names_the_cure(
    tracking: Tracking, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_usage.django import session_hooks
    from otel_usage.log_throttle import LogThrottle

    monkeypatch.setattr(session_hooks, "_trouble_log", LogThrottle())
    tracking.start(one_session_per_user=True)
    ann = create_user()
    model = apps.get_model("otel_usage", "LiveSession")
    monkeypatch.setattr(model._meta, "db_table", "no_such_table")

    browser = signed_in()
    assert user_of(browser) == "ann"
    browser.get("/logout/")
    ann.is_active = False
    ann.save()
    ann.delete()

    assert "run: manage.py migrate otel_usage" in caplog.text
    assert len(tracking.events("login")) == 1


def test_the_migrations_make_what_the_models_say(site: None) -> None:
    call_command("makemigrations", "otel_usage", check=True, dry_run=True, verbosity=0)


# One session per user.


def test_a_second_login_logs_the_first_browser_out(tracking: Tracking, backend: str) -> None:
    tracking.start(one_session_per_user=True)
    create_user()
    create_user("bob")
    first, bystander = signed_in(), signed_in("bob")

    second = signed_in()

    assert [user_of(browser) for browser in (first, second, bystander)] == ["AnonymousUser", "ann", "bob"]
    (event,) = tracking.events("session_ended")
    assert event.attributes["usage.property.reason"] == "one_session_per_user"
    assert event.attributes["usage.property.session"] == session_of(tracking, 0)


def test_a_second_login_in_the_same_browser_stays_signed_in(tracking: Tracking, backend: str) -> None:
    tracking.start(one_session_per_user=True)
    create_user()
    browser = signed_in()

    browser.get("/login/ann/")

    assert user_of(browser) == "ann"
    assert live_sessions().count() == 1


def test_logins_inside_a_transaction_of_the_site_count_too(tracking: Tracking, backend: str) -> None:
    tracking.start(one_session_per_user=True)
    create_user()

    with transaction.atomic():
        first, second = signed_in(), signed_in()

    assert [user_of(browser) for browser in (first, second)] == ["AnonymousUser", "ann"]


def test_an_asynchronous_login_counts_as_one(tracking: Tracking, backend: str) -> None:
    tracking.start(one_session_per_user=True)
    ann = create_user()
    first = signed_in()

    async def sign_in() -> str:
        browser = AsyncClient()
        await browser.aforce_login(ann)
        return (await browser.get("/who/")).content.decode()

    assert asyncio.run(sign_in()) == "ann"
    assert user_of(first) == "AnonymousUser"
    assert live_sessions().count() == 1
    assert len(tracking.events("login")) == 2


def test_a_new_password_in_an_asynchronous_view_keeps_the_name(tracking: Tracking, backend: str) -> None:
    tracking.start()
    create_user()
    browser = signed_in()
    renewed = AsyncClient()
    renewed.cookies = browser.cookies

    asyncio.run(renewed.get("/async-new-password/"))

    assert end_session(session_of(tracking))
    assert user_of(browser) == "AnonymousUser"


def test_without_the_setting_a_user_may_have_many_sessions(tracking: Tracking, client: Client) -> None:
    tracking.start()
    create_user()

    browsers = [signed_in() for _ in range(3)]

    assert {user_of(browser) for browser in browsers} == {"ann"}


def test_who_came_back_after_being_logged_out_logs_the_other_out_in_turn(
    tracking: Tracking, backend: str
) -> None:
    tracking.start(one_session_per_user=True)
    create_user()
    first = signed_in()
    second = signed_in()

    first.get("/login/ann/")

    assert [user_of(browser) for browser in (first, second)] == ["ann", "AnonymousUser"]


def test_a_tracking_that_is_disabled_logs_nobody_out(tracking: Tracking) -> None:
    tracking.configure(one_session_per_user=True, disabled=True)
    create_user()
    first = signed_in()

    signed_in()

    assert user_of(first) == "ann"
    assert live_sessions().count() == 0


# Users that end.


def test_deactivating_a_user_ends_the_sessions(tracking: Tracking, backend: str) -> None:
    tracking.start()
    ann = create_user()
    browsers = [signed_in(), signed_in()]

    ann.is_active = False
    ann.save()
    ann.is_active = True
    ann.save()

    # Active again, but nobody's session came back.
    assert [user_of(browser) for browser in browsers] == ["AnonymousUser"] * 2
    assert [event.attributes["usage.property.reason"] for event in tracking.events("session_ended")] == [
        "user_deactivated"
    ] * 2


def test_saving_an_active_user_asks_for_no_session(tracking: Tracking) -> None:
    ann = create_user()

    with CaptureQueriesContext(connection) as queries:
        ann.save()
        ann.save(update_fields=["last_login"])

    assert not [query for query in queries.captured_queries if "livesession" in query["sql"]]


def test_deactivating_by_update_shuts_the_user_out_until_active_again(tracking: Tracking) -> None:
    create_user()
    browser = signed_in()
    users = get_user_model()._default_manager.filter(username="ann")

    users.update(is_active=False)
    while_inactive = user_of(browser)
    users.update(is_active=True)

    # Django asks whether the user is active; the session itself is still there, because an update has no signal.
    assert (while_inactive, user_of(browser)) == ("AnonymousUser", "ann")


def test_deleting_a_user_ends_the_sessions_and_loses_no_event(tracking: Tracking, backend: str) -> None:
    tracking.start()
    ann = create_user()
    browser = signed_in()
    key = str(ann.pk)

    ann.delete()

    assert user_of(browser) == "AnonymousUser"
    assert live_sessions().count() == 0
    assert [tracking.events(name)[0].attributes["user.id"] for name in ("login", "session_ended")] == [
        key
    ] * 2


# The command.


def test_the_command_ends_a_session_or_all_of_a_user(tracking: Tracking, backend: str) -> None:
    tracking.start()
    ann = create_user()
    browsers = [signed_in() for _ in range(3)]
    output = StringIO()

    call_command("usage_end_session", session_of(tracking, 0), stdout=output)
    call_command("usage_end_session", "--user", str(ann.pk), stdout=output)

    assert output.getvalue() == "The session has ended\n2 sessions ended\n"
    assert {user_of(browser) for browser in browsers} == {"AnonymousUser"}


def test_the_command_needs_to_know_whom(site: None) -> None:
    with pytest.raises(CommandError):
        call_command("usage_end_session")


def test_a_command_that_cannot_end_a_session_fails(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = apps.get_model("otel_usage", "LiveSession")
    monkeypatch.setattr(model._meta, "db_table", "no_such_table")

    with caplog.at_level(logging.CRITICAL), pytest.raises(CommandError, match="could not be ended"):
        call_command("usage_end_session", "f" * 64)
    with pytest.raises(CommandError, match="migrate otel_usage"):
        call_command("usage_end_session", "--user", "1")
