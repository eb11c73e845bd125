"""The page "Counters": sums with and without robots, and the days of one counter."""

from __future__ import annotations

import html
import re
from datetime import date

import pytest
from django.test import Client

from otel_usage.clickhouse import ClickHouse
from otel_usage.django import counters_for
from otel_usage.django.admin_pages.chart import bar_chart
from otel_usage.model import Event
from tests.builders import insert_events
from tests.django.usage_admin import COUNTERS, cells, column, event, link, sign_in

DAYS = {"since": "2026-03-01", "until": "2026-03-31"}


def counted(
    object_id: str,
    value: int,
    at: str = "2026-03-10T12:00:00",
    *,
    is_bot: bool = False,
    counter: str = "likes",
) -> Event:
    return event("counter", at, object_type="shop.Product", object_id=object_id, counter_name=counter, counter_value=value, is_bot=is_bot)  # fmt: skip


def ask(client: Client, status: int = 200, /, **query: str) -> str:
    response = client.get(COUNTERS, query)
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def staff(client: Client) -> Client:
    """A browser of staff who may see counters, and nothing else."""
    sign_in(client, "view_countersum")
    return client


def test_sums_are_shown_with_and_without_robots(staff: Client, asking: ClickHouse) -> None:
    insert_events(
        asking, [counted("1", 5), counted("1", -2), counted("1", 4, is_bot=True), counted("2", 12_345_678)]
    )

    page = ask(staff, **DAYS)

    assert cells(page) == [
        ["shop.Product", "1", "likes", "7", "3", "4"],
        ["shop.Product", "2", "likes", "12,345,678", "12,345,678", "0"],
    ]
    assert counters_for(("shop.Product", "1"))["likes"] == 7
    assert counters_for(("shop.Product", "1"), bots=False)["likes"] == 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"object_type": "shop.Product"}, ["1", "2"]),
        ({"object_id": "2"}, ["2"]),
        ({"counter": "clicks"}, ["2"]),
        ({"since": "2026-03-11"}, ["2"]),
        ({"until": "2026-03-10"}, ["1"]),
        ({"object_type": "nothing"}, []),
    ],
)
def test_a_filter_leaves_what_it_says(
    staff: Client, asking: ClickHouse, query: dict[str, str], found: list[str]
) -> None:
    insert_events(asking, [counted("1", 1), counted("2", 1, "2026-03-11T00:00:00", counter="clicks")])

    page = ask(staff, **{**DAYS, **query})

    assert column(page, 1) == found
    assert ("Nothing was counted in these days." in page) is (found == [])


def test_pages_neither_repeat_nor_skip_a_counter_while_sums_change(staff: Client, asking: ClickHouse) -> None:
    expected = [f"{number:03}" for number in range(120)]
    insert_events(asking, [counted(object_id, 1) for object_id in expected])

    page, seen = ask(staff, **DAYS), []
    for _ in range(10):
        seen.append(column(page, 1))
        insert_events(asking, [counted(object_id, 100) for object_id in ("119", "000", "050")])
        following = link(page, "Next")
        if not following:
            break
        page = staff.get(following).content.decode()
    back = staff.get(link(page, "Previous")).content.decode()
    first = staff.get(link(staff.get(link(back, "Previous")).content.decode(), "Previous") or COUNTERS, DAYS)

    assert sum(seen, []) == expected
    assert column(back, 1) == expected[50:100]
    assert column(first.content.decode(), 1) == expected[:50]


def test_counters_without_any_name_are_listed_too(staff: Client, asking: ClickHouse) -> None:
    insert_events(asking, [event("counter", "2026-03-10T12:00:00", counter_value=1)])

    assert cells(ask(staff, **DAYS)) == [["-", "-", "-", "1", "1", "0"]]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"object_type": "a\0"}, "Null characters"),
        ({"counter": "x" * 257}, "at most 256 characters"),
        ({"since": "2026-13-01"}, "Enter a day such as"),
        ({"since": "2026-04-01"}, "comes after the last one"),
        ({"after": "[1,2,3]"}, "no place of a counter"),
        ({"after": '["a","b"]'}, "no place of a counter"),
        ({"before": "[" * 100_000}, "no place of a counter"),
        ({"before": '["a","b","c"]', "after": '["a","b","c"]'}, "expected one"),
        ({"before": '["\\ud800","",""]'}, "no place of a counter"),
    ],
)
def test_what_cannot_be_asked_is_told(
    staff: Client, asking: ClickHouse, query: dict[str, str], message: str
) -> None:
    assert message in html.unescape(ask(staff, 400, **{**DAYS, **query}))


def test_one_counter_of_one_object_is_drawn_day_by_day(staff: Client, asking: ClickHouse) -> None:
    insert_events(
        asking,
        [counted("1", 5, "2026-03-10T12:00:00"), counted("1", 2, "2026-03-12T12:00:00", is_bot=True), counted("2", 9)],
    )  # fmt: skip

    page = ask(staff, object_type="shop.Product", object_id="1", counter="likes", since="2026-03-10", until="2026-03-12")  # fmt: skip

    numbers = re.findall(r'<th scope="row">(.*?)</th><td[^>]*>(.*?)</td><td[^>]*>(.*?)</td>', page)
    assert numbers == [("2026-03-10", "5", "5"), ("2026-03-11", "0", "0"), ("2026-03-12", "2", "0")]
    assert 'role="img"' in page
    assert "From 2026-03-10 to 2026-03-12. All: 7. Without robots: 5." in page


def test_a_chart_of_many_years_shows_the_last_three_months(staff: Client, asking: ClickHouse) -> None:
    page = ask(staff, object_type="shop.Product", object_id="1", counter="likes", since="1970-01-01", until="2026-03-31")  # fmt: skip

    assert page.count("<rect") == 2 * 92
    assert date(2026, 3, 31).isoformat() in page


def test_days_that_are_yet_to_come_have_no_chart(staff: Client, asking: ClickHouse) -> None:
    page = ask(staff, object_type="shop.Product", object_id="1", counter="likes", since="2149-06-01", until="2149-06-05")  # fmt: skip

    assert "<rect" not in page


def test_a_bar_below_zero_hangs_from_the_line() -> None:
    chart = bar_chart("", ["a", "b"], [10, -5], [10, -5], labels=("All", "Some"))

    above, below = chart.bars
    assert (above.y, above.height) == ("0.00", "100.00")
    assert (below.y, below.height) == (chart.base, "50.00") == ("100.00", "50.00")


def test_a_chart_of_nothing_is_drawn() -> None:
    assert bar_chart("", [], [], [], labels=("All", "Some")).summary == "There is nothing to show."
    assert bar_chart("", ["a"], [0], [0], labels=("All", "Some")).bars[0].height == "0.00"
