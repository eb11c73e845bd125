"""The page "User sessions": what happened to sessions, and ending one that is live."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from otel_usage.clickhouse import ClickHouse
from otel_usage.django import session_keys
from tests.builders import insert_events
from tests.django.usage_admin import END, SESSIONS, cells, column, event, link, sign_in

BUTTON = "End this session"


def ask(client: Client, **query: str) -> str:
    response = client.get(SESSIONS, query)
    assert response.status_code == 200
    return response.content.decode()


def browser_of(username: str) -> tuple[Client, str]:
    """Return a browser in which a user has signed in, and the name of the session."""
    get_user_model()._default_manager.create(username=username)
    browser = Client()
    assert browser.get(f"/login/{username}/").status_code == 200
    return browser, session_keys.name_of_key(str(browser.session.session_key))


def who(browser: Client) -> str:
    return browser.get("/who/").content.decode()


def test_all_that_happens_to_sessions_is_listed(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_usersession")
    insert_events(
        asking,
        [
            event("login", "2026-03-10T12:00:00", user_id="3", properties={"session": "a" * 64, "backend": "django.contrib.auth.backends.ModelBackend"}),
            event("logout", "2026-03-10T12:00:01", user_id="3", properties={"session": "a" * 64}),
            event("login_failed", "2026-03-10T12:00:02", client_address="192.0.2.66"),
            event("session_ended", "2026-03-10T12:00:03", properties={"session": "b" * 64, "reason": "command"}),
            event("request", "2026-03-10T12:00:04"),
        ],
    )  # fmt: skip

    rows = cells(ask(client, since="2026-03-01"))

    assert [(row[1], row[2], row[3], row[-1]) for row in rows] == [
        ("session ended", "anonymous", "bbbbbbbb…", "command"),
        ("failed login", "anonymous", "none", "-"),
        ("logout", "3", "aaaaaaaa…", "-"),
        ("login", "3", "aaaaaaaa…", "ModelBackend"),
    ]
    assert rows[1][5] == "192.0.2.66"


@pytest.mark.parametrize(
    ("query", "found"),
    [({"event": "login_failed"}, ["failed login"]), ({"session": "a" * 64}, ["logout", "login"])],
)
def test_the_list_is_narrowed_down_to_a_session_or_to_what_happened(
    client: Client, asking: ClickHouse, query: dict[str, str], found: list[str]
) -> None:
    sign_in(client, "view_usersession")
    insert_events(
        asking,
        [
            event("login", "2026-03-10T12:00:00", properties={"session": "a" * 64}),
            event("logout", "2026-03-10T12:00:01", properties={"session": "a" * 64}),
            event("login", "2026-03-10T12:00:02", properties={"session": "b" * 64}),
            event("login_failed", "2026-03-10T12:00:03"),
        ],
    )

    assert column(ask(client, since="2026-03-01", **query), 1) == found


def test_a_session_that_is_live_is_ended_by_its_button(client: Client, asking: ClickHouse) -> None:
    staff = Client(enforce_csrf_checks=True)
    sign_in(staff, "view_usersession", "change_usersession")
    browser, name = browser_of("ann")
    insert_events(asking, [event("login", properties={"session": name}), event("login", properties={"session": "c" * 64})])  # fmt: skip
    page = ask(staff, user="")
    assert page.count(BUTTON) == 1
    assert who(browser) == "ann"

    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.partition("usage-end")[2]))  # fmt: skip
    response = staff.post(END, fields, follow=True)

    assert response.redirect_chain == [(SESSIONS + "?user=", 302)]
    shown = response.content.decode()
    assert f"The session {name[:8]}… has ended" in shown
    assert BUTTON not in shown
    assert who(browser) == "AnonymousUser"


@pytest.mark.parametrize("permissions", [["view_usersession"], ["change_usersession"], []])
def test_who_may_not_change_sessions_gets_no_button_and_is_refused(
    client: Client, asking: ClickHouse, permissions: list[str]
) -> None:
    sign_in(client, *permissions)
    browser, name = browser_of("ann")
    insert_events(asking, [event("login", properties={"session": name})])
    can_end = permissions == [
        "change_usersession"
    ]  # which is a permission to see, too, as everywhere in Django

    page = client.get(SESSIONS).content.decode()
    response = client.post(END, {"session": name})

    assert (BUTTON in page) is can_end
    assert response.status_code == (302 if can_end else 403)
    assert (who(browser) == "ann") is not can_end


def test_without_the_forms_token_nothing_is_ended(asking: ClickHouse) -> None:
    staff = Client(enforce_csrf_checks=True)
    sign_in(staff, is_superuser=True)
    browser, name = browser_of("ann")

    response = staff.post(END, {"session": name})

    assert response.status_code == 403
    assert who(browser) == "ann"


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_only_a_form_ends_a_session(client: Client, asking: ClickHouse, method: str) -> None:
    sign_in(client, is_superuser=True)

    response = getattr(client, method)(END)

    assert response.status_code == 405
    assert response["Allow"] == "POST"


@pytest.mark.parametrize("name", ["", "x", "A" * 64, "a" * 65, "\0", "a" * 100_000, "<script>"])
def test_what_is_no_session_is_told(client: Client, asking: ClickHouse, name: str) -> None:
    sign_in(client, is_superuser=True)

    page = client.post(END, {"session": name}, follow=True).content.decode()

    assert "No session was named" in page


def test_the_key_of_a_session_is_not_taken_for_its_name(client: Client, asking: ClickHouse) -> None:
    sign_in(client, is_superuser=True)
    browser, _ = browser_of("ann")

    client.post(END, {"session": str(browser.session.session_key)})

    assert who(browser) == "ann"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "/admin/", "javascript:alert(1)", SESSIONS[:-1] + "\\evil"]
)  # fmt: skip
def test_the_way_back_never_leads_elsewhere(client: Client, asking: ClickHouse, elsewhere: str) -> None:
    sign_in(client, is_superuser=True)

    response = client.post(END, {"session": "a" * 64, "next": elsewhere})

    assert response["Location"] == SESSIONS


def test_a_session_can_be_ended_while_clickhouse_is_away(
    client: Client, asking: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, is_superuser=True)
    browser, name = browser_of("ann")
    monkeypatch.setenv("OTEL_USAGE_DSN", "http://127.0.0.1:9/usage")

    assert client.post(END, {"session": name}).status_code == 302

    assert who(browser) == "AnonymousUser"


def test_more_sessions_than_a_page_holds_are_on_the_next(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_usersession")
    insert_events(asking, [event("login", f"2026-03-10T12:00:{n % 60:02}") for n in range(70)])

    first = ask(client, since="2026-03-01")
    second = client.get(link(first, "Older")).content.decode()

    assert [len(cells(first)), len(cells(second))] == [50, 20]


def test_before_the_migration_the_page_names_it(client: Client, asking: ClickHouse) -> None:
    sign_in(client, is_superuser=True)
    insert_events(asking, [event("login", properties={"session": "a" * 64})])
    table = apps.get_model("otel_usage", "LiveSession")
    with connection.schema_editor() as editor:
        editor.delete_model(table)

    try:
        response = client.get(SESSIONS)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(table)

    assert response.status_code == 503
    assert "run: manage.py migrate otel_usage" in response.content.decode()
