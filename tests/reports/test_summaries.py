"""`get_sum`: the old call and the old result, for every summary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.flask.storages import ClickHouseStorage, sumStatus, sumUrl
from otel_usage.reports import ReportParameters, run_report
from otel_usage.reports.summaries import SUMMARIES, get_sum
from tests.builders import build_event, insert_events

HOUR_1 = datetime(2018, 4, 15, 8)
MOMENTS = ("2018-04-15T08:45:12", "2018-04-15T09:45:12", "2018-04-16T09:45:12", "2018-05-10T09:45:12")
FIRST_DAY, LAST_MOMENT = datetime(2018, 4, 1), datetime(2018, 5, 31)

Get = Callable[..., dict[str, list[dict[str, Any]]]]


@pytest.fixture
def get(usage: ClickHouse) -> Get:
    """Asks the database of the test."""
    return lambda *args, **options: get_sum(*args, **options, dsn=usage.dsn.masked)


@pytest.fixture
def _four_requests(usage: ClickHouse) -> None:
    insert_events(
        usage, [build_event(at=at, scheme="http", host="localhost", bytes_sent=6) for at in MOMENTS]
    )


def hits(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[int]]:
    return {period: [row["hits"] for row in rows] for period, rows in found.items()}


def dates(rows: list[dict[str, Any]]) -> list[datetime]:
    return [row["date"] for row in rows]


@pytest.mark.usefixtures("_four_requests")
def test_a_start_alone_asks_for_the_hour_the_day_and_the_month_around_it(get: Get) -> None:
    found = get(sumUrl, start_date=HOUR_1 + timedelta(minutes=45), target="http://localhost/")

    assert found == {
        "hour": [{"date": HOUR_1, "url": "http://localhost/", "hits": 1, "transfer": 6}],
        "day": [{"date": datetime(2018, 4, 15), "url": "http://localhost/", "hits": 2, "transfer": 12}],
        "month": [{"date": datetime(2018, 4, 1), "url": "http://localhost/", "hits": 3, "transfer": 18}],
    }


@pytest.mark.usefixtures("_four_requests")
def test_a_range_asks_for_the_periods_that_begin_in_it_newest_first(get: Get) -> None:
    found = get("sumUrl", start_date=HOUR_1, end_date=datetime(2018, 5, 1))

    assert dates(found["hour"]) == [datetime(2018, 4, 16, 9), datetime(2018, 4, 15, 9), HOUR_1]
    assert dates(found["day"]) == [datetime(2018, 4, 16)]
    assert found["month"] == [
        {"date": datetime(2018, 5, 1), "url": "http://localhost/", "hits": 1, "transfer": 6}
    ]


@pytest.mark.usefixtures("_four_requests")
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(None, {"hour": [1, 1, 1, 1], "day": [1, 1, 2], "month": [1, 3]}, id="nothing"),
        pytest.param(HOUR_1, {"hour": [1], "day": [2], "month": [3]}, id="an end alone"),
        pytest.param(date(2018, 4, 15), {"hour": [1, 1], "day": [2], "month": [3]}, id="a day"),
        pytest.param(datetime(1969, 1, 1), {"hour": [], "day": [], "month": []}, id="before all"),
        pytest.param(datetime(9999, 12, 31), {"hour": [1, 1, 1, 1], "day": [1, 1, 2], "month": [1, 3]}, id="after all"),
    ],
)  # fmt: skip
def test_without_a_start_everything_counts_up_to_the_end(
    get: Get, end: Any, expected: dict[str, list[int]]
) -> None:
    assert hits(get("sumServer", end_date=end)) == expected


@pytest.mark.usefixtures("_four_requests")
def test_moments_with_a_zone_mean_what_they_say(get: Get) -> None:
    there = timezone(timedelta(hours=-5))

    assert hits(get("sumUrl", start_date=datetime(2018, 4, 15, 3, 45, tzinfo=there)))["hour"] == [1]


@pytest.mark.parametrize(
    ("hook", "key", "values"),
    [
        ("sumUrls", "url", {"http://localhost/": 2, "/b": 1}),
        ("sumRemotes", "remote_addr", {"192.0.2.1": 2, "192.0.2.2": 1}),
        ("sumUserAgents", "user_agent_string", {"Agent/1": 2, "none": 1}),
        ("sumBrowser", "browser", {"Firefox": 3}),
        ("sumLanguages", "language", {"de": 2, "none": 1}),
        ("sumServer", "server_name", {"shop": 3}),
        ("sumGeo", "country", {"CH": 2, "none": 1}),
        (sumStatus, "status", {200: 2, 404: 1}),
    ],
)
def test_every_summary_has_its_key_under_the_old_name(
    usage: ClickHouse, get: Get, hook: object, key: str, values: dict[object, int]
) -> None:
    first: dict[str, Any] = {"scheme": "http", "host": "localhost", "user_agent": "Agent/1", "language": "de", "country": "CH"}  # fmt: skip
    insert_events(usage, [build_event(**first), build_event(**first)])
    insert_events(usage, [build_event(path="/b", client_address="192.0.2.2", status_code=404)])

    for rows in get(hook).values():
        assert {row[key]: row["hits"] for row in rows} == values
    for value, count in values.items():
        assert hits(get(hook, target=value)) == {"hour": [count], "day": [count], "month": [count]}


def test_visitors_and_the_whole_traffic_have_their_counts(usage: ClickHouse, get: Get) -> None:
    insert_events(
        usage,
        [
            build_event(visit="a", visitor="ann", is_new=True, bytes_sent=6),
            build_event(at="2026-03-10T13:00:00", visit="a", visitor="ann", status_code=500),
            build_event(visit="b", visitor="bob", is_new=True),
        ],
    )
    common = {"date": datetime(2026, 3, 10), "server_name": "shop", "hits": 3, "transfer": 6, "visitors": 2}

    assert get("sumVisitors")["day"] == [common]
    assert get("sumBasic")["day"] == [{**common, "visits": 2, "errors": 1}]
    assert [row["visitors"] for row in get("sumVisitor")["hour"]] == [1, 2]


def test_ten_thousand_visitors_are_counted_with_one_percent_of_error(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [build_event(visitor=f"v{number}") for number in range(10_000)])

    assert get("sumVisitor")["month"][0]["visitors"] == pytest.approx(10_000, rel=0.03)


def test_pages_neither_repeat_nor_skip_a_row_and_new_hits_move_none(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [build_event(path=f"/{number:02}") for number in range(25)])

    pages = []
    for page in (1, 2, 3, 4):
        pages.append([row["url"] for row in get("sumUrl", limit=10, page=page)["month"]])
        insert_events(usage, [build_event(path="/24")])

    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [url for page in pages for url in page] == [f"/{number:02}" for number in range(25)]


def test_without_a_limit_all_rows_come(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [build_event(path=f"/{number}") for number in range(600)])

    assert [len(get("sumUrl", **limit)["hour"]) for limit in ({}, {"limit": 0}, {"limit": None})] == [
        500,
        600,
        600,
    ]


def test_one_service_can_be_asked_for_alone(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [build_event(), build_event(service="blog")])

    assert hits(get("sumUrl", service="blog"))["day"] == [1]
    assert hits(get("sumUrl"))["day"] == [2]


@pytest.mark.parametrize("hook", ["sumMoon", "", None, 7, object])
def test_an_unknown_hook_is_named(hook: object) -> None:
    name = hook if isinstance(hook, str) else getattr(hook, "__name__", type(hook).__name__)

    with pytest.raises(NotImplementedError) as raised:
        get_sum(hook)

    assert str(raised.value) == f'Cannot find hook named "{name}"'


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"limit": -1}, ValueError),
        ({"limit": "many"}, TypeError),
        ({"page": "x"}, ValueError),
        ({"start_date": "yesterday"}, TypeError),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        get_sum("sumUrl", **arguments)


@pytest.mark.usefixtures("_four_requests")
def test_a_storage_of_the_app_gives_the_same_sums(usage: ClickHouse, get: Get) -> None:
    storage = ClickHouseStorage(dsn=usage.dsn.masked, hooks=[sumUrl])

    for name in SUMMARIES:
        assert storage.get_sum(name, start_date=HOUR_1) == get(name, start_date=HOUR_1)
    assert storage.get_sum(sumUrl, HOUR_1, None, 500, 1, "http://localhost/")["day"][0]["hits"] == 2


def test_the_report_has_the_keys_of_most_hits_of_each_kind(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(path=f"/{number}", bytes_sent=2) for number in range(30)])
    insert_events(usage, [build_event(path="/29", is_bot=True)])
    day = datetime(2026, 3, 10, tzinfo=timezone.utc)

    result = run_report(usage, "summaries", ReportParameters(day, day + timedelta(days=1)))

    urls = [row[1:] for row in result.rows if row[0] == "url"]
    assert result.columns == ("kind", "key", "hits", "transfer", "visits", "errors", "bot_hits")
    assert urls[:2] == [("/29", 2, 2, 0, 0, 1), ("/0", 1, 2, 0, 0, 0)]
    assert len(urls) == 20
