"""The lists of events in the admin: what they show, how they are narrowed down, and what they say when they cannot."""

from __future__ import annotations

import html
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseUnavailable
from otel_usage.model import Event
from tests.builders import insert_events, key_of
from tests.django.models import shop
from tests.django.usage_admin import (
    ACTIVITIES,
    COUNTERS,
    OBJECTS,
    PAGES,
    SERIES,
    SESSIONS,
    cells,
    column,
    event,
    link,
    sign_in,
)

HOSTILE = "<script>alert(1)</script>"
OBJECT_ID = 2
FILTERED = (OBJECTS, SESSIONS, ACTIVITIES)


def view(object_id: str, **columns: Any) -> Event:
    return event("object_viewed", **{"object_type": "shop.Product", "object_id": object_id, **columns})


def ask(client: Client, address: str, status: int = 200, /, **query: str) -> str:
    response = client.get(address, query)
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def staff(client: Client) -> Client:
    """A browser in which a superuser is signed in."""
    sign_in(client, is_superuser=True)
    return client


def test_a_view_is_shown_with_who_when_and_from_where(staff: Client, asking: ClickHouse) -> None:
    seen = view("7", at="2026-03-10T12:00:00.000000001", user_id="12", visit="v", client_address="192.0.2.9", path="/p/7")  # fmt: skip
    insert_events(asking, [seen])

    (row,) = cells(page := ask(staff, OBJECTS, since="2026-03-01"))

    assert row == ["2026-03-10 12:00:00", "shop.Product", "7", "12", key_of("v")[:8] + "…", "192.0.2.9", "Firefox on Linux", "/p/7"]  # fmt: skip
    assert "2026-03-10 12:00:00.000000001 UTC" in page
    assert key_of("v") in page


def test_only_views_of_objects_are_objects_viewed(staff: Client, asking: ClickHouse) -> None:
    insert_events(asking, [event("request"), event("counter", object_type="shop.Product", object_id="1"), view("5")])  # fmt: skip

    assert column(ask(staff, OBJECTS), OBJECT_ID) == ["5"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["e", "d", "c", "b", "a"]),
        ({"object_type": "shop.Document"}, ["b"]),
        ({"object_id": "c"}, ["c"]),
        ({"user": "u1"}, ["a"]),
        ({"visit": key_of("v")}, ["c"]),
        ({"address": "198.51.100.4"}, ["d"]),
        ({"address": "2001:DB8:0::1"}, ["b"]),
        ({"bots": "no"}, ["d", "c", "b", "a"]),
        ({"bots": "only"}, ["e"]),
        ({"since": "2026-03-12"}, ["e", "d", "c"]),
        ({"until": "2026-03-12"}, ["c", "b", "a"]),
        ({"since": "2026-03-11", "until": "2026-03-11"}, ["b"]),
        ({"user": "u1", "object_id": "c"}, []),
    ],
)
def test_a_filter_leaves_what_it_says(
    staff: Client, asking: ClickHouse, query: dict[str, str], found: list[str]
) -> None:
    insert_events(
        asking,
        [
            view("a", at="2026-03-10T23:59:59.999999999", user_id="u1"),
            view("b", at="2026-03-11T00:00:00", object_type="shop.Document", client_address="2001:db8::1"),
            view("c", at="2026-03-12T12:00:00", visit="v"),
            view("d", at="2026-03-13T12:00:00", client_address="198.51.100.4"),
            view("e", at="2026-03-14T12:00:00", is_bot=True),
        ],
    )

    page = ask(staff, OBJECTS, **{"since": "2026-03-01", **query})

    assert column(page, OBJECT_ID) == found
    assert ("No events in these days." in page) is (found == [])


@pytest.mark.parametrize(
    "object_id", ["a\tb\nc", "c:\\new", 'it\'s "quoted"', "{x:String}", " space ", "日本語", "-1", "%"]
)
def test_an_id_of_any_text_is_found(staff: Client, asking: ClickHouse, object_id: str) -> None:
    insert_events(asking, [view(object_id), view("other")])

    page = ask(staff, OBJECTS, object_id=object_id)

    assert len(cells(page)) == 1
    assert "other" not in page


def test_without_a_day_the_page_begins_thirty_days_ago_and_says_so(
    staff: Client, asking: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A day that does not end within the test.
    monkeypatch.setattr("otel_usage.django.admin_pages.page.utc_today", lambda: date(2026, 3, 31))
    insert_events(asking, [view("old", at="2026-03-01T23:59:59"), view("new", at="2026-03-02T00:00:00")])

    page = ask(staff, OBJECTS)

    assert column(page, OBJECT_ID) == ["new"]
    assert 'name="since" value="2026-03-02"' in page


@pytest.mark.parametrize("page", FILTERED)
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"user": "a\0b"}, "Null characters are not allowed"),
        ({"user": "x" * 100_000}, "at most 256 characters"),
        ({"visit": "' OR 1=1 --"}, "32 digits"),
        ({"visit": key_of("v") + "\n"}, "32 digits"),
        ({"address": "999.1.1.1"}, "valid IPv4 or IPv6"),
        ({"since": "yesterday"}, "Enter a day such as"),
        ({"since": "2026-02-30"}, "Enter a day such as"),
        ({"since": "0001-01-01"}, "1970-01-01"),
        ({"until": "9999-12-31"}, "2149-06-05"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "comes after the last one"),
        ({"bots": "perhaps"}, "not one of the available choices"),
        ({"before": "1-2"}, "no place of an event"),
        ({"before": "9" * 19 + "-" + "f" * 48}, "no place of an event"),
        ({"after": "١-" + "f" * 48}, "no place of an event"),
        ({"before": "1-" + "f" * 48, "after": "1-" + "f" * 48}, "expected one"),
    ],
)
def test_what_cannot_be_asked_is_told_and_not_asked(
    staff: Client, asking: ClickHouse, page: str, query: dict[str, str], message: str
) -> None:
    shown = html.unescape(ask(staff, page, 400, **query))

    assert message in shown
    assert "<tbody>" not in shown


def test_what_clients_sent_is_text_on_every_page(staff: Client, asking: ClickHouse) -> None:
    columns = dict.fromkeys(("user_id", "user_agent", "path", "object_type", "object_id", "counter_name"), HOSTILE)  # fmt: skip
    properties = dict.fromkeys(("session", "reason", "backend", "client_time", "client_clock", "client_skew_seconds", "url", "fragment"), HOSTILE)  # fmt: skip
    events = [
        event(name, properties=properties, browser="", os="", counter_value=1, **columns)
        for name in ("object_viewed", "login", "counter", "activity")
    ]
    insert_events(asking, [*events, event("stage_reached", funnel=HOSTILE, stage=HOSTILE, stage_index=1, visit="v")])  # fmt: skip

    for address in PAGES:
        page = ask(staff, address)
        assert HOSTILE not in page
        assert html.escape(HOSTILE) in page


@pytest.mark.parametrize("page", [*PAGES, COUNTERS + "?object_type=page&object_id=1&counter=likes"])
def test_a_strict_content_security_policy_lets_every_page_work(
    staff: Client, asking: ClickHouse, page: str
) -> None:
    insert_events(
        asking,
        [event("counter", object_type="page", object_id="1", counter_name="likes", counter_value=1)],
    )

    text = ask(staff, page)

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)


def test_what_turns_the_direction_of_text_is_written_as_an_escape(staff: Client, asking: ClickHouse) -> None:
    insert_events(asking, [view("\u202egnp.exe", path="/שלום", user_agent="\x1b[31m", browser="", os="")])  # fmt: skip

    page = ask(staff, OBJECTS)

    (row,) = cells(page)
    assert row[OBJECT_ID] == "\\u202egnp.exe"
    assert row[-2:] == ["\\x1b[31m", "/שלום"]
    assert "\u202e" not in page


def test_a_long_text_is_short_in_its_cell_and_whole_on_demand(staff: Client, asking: ClickHouse) -> None:
    insert_events(asking, [view("1", path="/" + "x" * 2047, user_agent="y" * 2048, browser="", os="")])  # fmt: skip

    page = ask(staff, OBJECTS)

    (row,) = cells(page)
    assert [len(text) for text in row[-2:]] == [48, 48]
    assert f'title="/{"x" * 2047}"' in page
    assert f'title="{"y" * 2048}"' in page


def test_an_object_leads_to_its_own_page_where_it_has_one(staff: Client, asking: ClickHouse) -> None:
    product = shop.Product._default_manager.create(name="Cup")
    insert_events(
        asking,
        [
            view(str(product.pk)),
            view("no number"),
            view("1", object_type="shop.Document"),  # not registered
            view("1", object_type="gone.Model"),
            view("1", object_type="page"),
            view("1", object_type="a.b.c"),
        ],
    )

    page = ask(staff, OBJECTS)

    assert re.findall('href="([^"]*)" title="Open', page) == [f"/admin/shop/product/{product.pk}/change/"]
    assert staff.get(f"/admin/shop/product/{product.pk}/change/").status_code == 200


def test_who_may_not_see_an_object_gets_no_link_to_it(client: Client, asking: ClickHouse) -> None:
    sign_in(client, "view_viewedobject")
    insert_events(asking, [view("1", user_id="1")])

    assert 'title="Open' not in ask(client, OBJECTS)


def test_an_activity_reads_as_one_line(staff: Client, asking: ClickHouse) -> None:
    insert_events(
        asking,
        [
            event(
                "activity",
                "2026-03-10T12:00:00",
                user_id="4",
                visit="v",
                client_address="192.0.2.9",
                path="/app",
                properties={
                    "client_time": "2027-03-11T12:00:00.000Z",
                    "client_clock": "absurd",
                    "client_skew_seconds": "31622400.000",
                    "fragment": "/cart",
                    "url": "https://shop.example/app#/cart",
                },
            ),
            event("activity", "2026-03-10T11:00:00", client_address="192.0.2.9", path="/app"),
        ],
    )

    page = ask(staff, ACTIVITIES, since="2026-03-01")

    known, unknown = cells(page)
    assert known == ["2026-03-10 12:00:00", "4", key_of("v")[:8] + "…", "192.0.2.9", "2027-03-11T12:00:00.000Z (absurd)", "/app#/cart", "-", "Firefox on Linux"]  # fmt: skip
    assert unknown[1:3] == ["anonymous", "no visit"]
    assert "https://shop.example/app#/cart" in page


def test_pages_neither_repeat_nor_skip_a_row_while_others_arrive(staff: Client, asking: ClickHouse) -> None:
    # Half of them at the very same time: then the id settles the order.
    times = [f"2026-03-10T12:00:{number % 60 if number % 2 else 0:02}" for number in range(120)]
    insert_events(asking, [view(f"old {number}", at=at) for number, at in enumerate(times)])

    page, seen = ask(staff, OBJECTS, since="2026-03-01"), []
    for arrival in range(10):
        seen.append(column(page, OBJECT_ID))
        insert_events(asking, [view(f"new {arrival}", at=f"2026-03-11T12:00:{arrival:02}")])
        older = link(page, "Older")
        if not older:
            break
        page = staff.get(older).content.decode()

    assert [len(rows) for rows in seen] == [50, 50, 20]
    assert sorted(sum(seen, [])) == sorted(f"old {number}" for number in range(120))


def test_the_way_back_shows_the_same_pages_again_and_ends_at_the_newest(
    staff: Client, asking: ClickHouse
) -> None:
    insert_events(asking, [view(f"{number}", at=f"2026-03-10T12:{number // 60:02}:{number % 60:02}") for number in range(120)])  # fmt: skip
    first = ask(staff, OBJECTS, since="2026-03-01")
    second = staff.get(link(first, "Older")).content.decode()
    third = staff.get(link(second, "Older")).content.decode()
    insert_events(asking, [view("new", at="2026-03-11T12:00:00")])

    second_again = staff.get(link(third, "Newer")).content.decode()
    first_again = staff.get(link(second_again, "Newer")).content.decode()
    top = staff.get(link(first_again, "Newer")).content.decode()

    assert cells(second_again) == cells(second)
    assert cells(first_again) == cells(first)
    assert column(top, OBJECT_ID) == ["new", *column(first, OBJECT_ID)[:49]]
    assert link(top, "Newer") == ""
    assert column(staff.get(link(third, "Newest")).content.decode(), OBJECT_ID)[0] == "new"


def test_the_links_carry_the_filter_on(staff: Client, asking: ClickHouse) -> None:
    insert_events(asking, [view(f"{number}", user_id="a&b=c", at=f"2026-03-10T12:00:{number:02}") for number in range(60)] + [view("x", at="2026-03-09T12:00:00")])  # fmt: skip

    first = ask(staff, OBJECTS, since="2026-03-01", user="a&b=c")
    second = staff.get(link(first, "Older")).content.decode()

    assert len(cells(second)) == 10
    assert "x" not in column(second, OBJECT_ID)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_asks_the_sites_database_for_nothing_but_the_user(
    staff: Client, asking: ClickHouse, address: str
) -> None:
    insert_events(asking, [view("1", user_id="1"), event("login", properties={"session": "f" * 64})])

    with CaptureQueriesContext(connection) as queries:
        ask(staff, address)

    tables = {table for query in queries for table in re.findall(r'FROM "(\w+)"', query["sql"])}
    live = {"otel_usage_livesession"} if address == SESSIONS else set()
    assert tables == {"django_session", "auth_user"} | live


@pytest.mark.parametrize("address", [*PAGES, SERIES])
def test_without_a_dsn_the_page_names_the_setting(
    staff: Client, asking: ClickHouse, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.delenv("OTEL_USAGE_DSN")

    assert "OTEL_USAGE_DSN does not say where" in html.unescape(ask(staff, address, 503))


@pytest.mark.parametrize("address", [*PAGES, SERIES])
def test_where_nobody_answers_the_page_says_what_to_start(
    staff: Client, asking: ClickHouse, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", "http://someone:pass-word@127.0.0.1:9/usage")

    page = html.unescape(ask(staff, address, 503))

    assert "does not answer: Connection refused" in page
    assert "otel-usage serve" in page
    assert "pass-word" not in page


@pytest.mark.parametrize("address", [*PAGES, SERIES])
def test_without_the_schema_the_page_names_the_command(
    staff: Client, database: ClickHouse, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", database.dsn.masked)

    assert "Run: otel-usage migrate --dsn" in html.unescape(ask(staff, address, 503))


def test_a_question_that_takes_too_long_is_stopped_and_told(asking: ClickHouse) -> None:
    from otel_usage.django.admin_pages.page import QUERY_SETTINGS, cure_of

    with pytest.raises(ClickHouseUnavailable) as stopped:
        asking.query(
            "SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1",
            settings={**QUERY_SETTINGS, "max_execution_time": 0.2},
        )

    assert QUERY_SETTINGS["max_execution_time"] == 10
    assert cure_of(stopped.value) == "ClickHouse stopped after 10 seconds. Choose fewer days, or one user or object"  # fmt: skip


def test_every_file_of_the_pages_is_packed() -> None:
    import otel_usage.django

    folder = Path(otel_usage.django.__file__).parent

    assert sorted(path.name for path in (folder / "templates/admin/otel_usage").iterdir()) == ["cell.html", "chart.html", "counters.html", "overview.html", "page.html", "table.html"]  # fmt: skip
    assert (folder / "static/otel_usage/admin.css").is_file()
