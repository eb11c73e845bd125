"""Who sees the admin pages, and that nobody changes anything with them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from otel_usage.clickhouse import ClickHouse
from tests.builders import insert_events
from tests.django.usage_admin import END, OBJECTS, OVERVIEW, PAGES, SERIES, SESSIONS, event, sign_in

ADDRESSES = (*PAGES, SERIES)
MODEL_BY_PAGE = dict(zip(PAGES, ("viewedobject", "usersession", "countersum", "activity", "overview"), strict=True))  # fmt: skip

pytestmark = pytest.mark.usefixtures("asking")


@pytest.mark.parametrize("address", [*ADDRESSES, END])
def test_who_is_not_signed_in_is_sent_to_the_login(client: Client, address: str) -> None:
    response = client.get(address)

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("address", [*ADDRESSES, END])
def test_who_is_not_staff_is_sent_to_the_login_even_with_the_permission(client: Client, address: str) -> None:
    sign_in(
        client,
        *(f"view_{model}" for model in MODEL_BY_PAGE.values()),
        "change_usersession",
        is_staff=False,
    )

    assert client.get(address).status_code == 302


@pytest.mark.parametrize("address", ADDRESSES)
def test_staff_without_the_permission_are_refused(client: Client, address: str) -> None:
    sign_in(client)

    assert client.get(address).status_code == 403


@pytest.mark.parametrize("page", PAGES)
def test_staff_see_the_pages_that_they_have_the_permission_for_and_no_other(
    client: Client, page: str
) -> None:
    sign_in(client, f"view_{MODEL_BY_PAGE[page]}")

    assert {other: client.get(other).status_code for other in PAGES} == {
        other: 200 if other == page else 403 for other in PAGES
    }


def test_the_series_belong_to_the_overview(client: Client) -> None:
    sign_in(client, "view_overview")

    assert client.get(SERIES).status_code == 200


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_superuser_sees_everything(client: Client, address: str) -> None:
    sign_in(client, is_superuser=True)

    assert client.get(address).status_code == 200


def test_the_admins_index_lists_what_a_person_may_see(client: Client) -> None:
    sign_in(client, "view_viewedobject")

    index = client.get("/admin/").content.decode()

    assert OBJECTS in index
    assert SESSIONS not in index
    assert OVERVIEW not in index
    assert "add/" not in index


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("what", ["add/", "1/change/", "1/delete/", "1/history/", "1/"])
def test_there_is_no_page_to_add_change_or_delete(client: Client, page: str, what: str) -> None:
    sign_in(client, is_superuser=True)

    response = client.get(page + what)

    # The admin itself answers what it does not know.
    assert response.status_code == 404


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_page_answers_reading_requests_only(client: Client, address: str, method: str) -> None:
    sign_in(client, is_superuser=True)

    response = getattr(client, method)(address)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_page_writes_to_clickhouse(client: Client, usage: ClickHouse, address: str) -> None:
    insert_events(usage, [event("object_viewed", object_type="page", object_id="1"), event("login")])
    sql = "SELECT name, uuid, total_rows FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    before = usage.query(sql).rows
    sign_in(client, is_superuser=True)

    assert client.get(address).status_code == 200

    assert usage.query(sql).rows == before
    assert {name: rows for name, _, rows in before}["events"] == 2


def test_the_migrations_know_every_model() -> None:
    output = StringIO()

    call_command("makemigrations", "otel_usage", check=True, dry_run=True, stdout=output)

    assert "No changes detected" in output.getvalue()
