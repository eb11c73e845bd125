"""`get_usage`: the old keys, and pages that are right while rows arrive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from otel_usage import attributes as names
from otel_usage import get_usage
from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseUnavailable, OtelUsageError, SettingError
from otel_usage.model import AttributeValue, Event
from otel_usage.reports import usage as usage_module
from otel_usage.reports.usage import UsagePage
from otel_usage.reports.usage_walks import Walks
from tests.builders import build_event, insert_events
from tests.tracking import Tracking, clean_process

KEYS = [
    "url", "user_agent", "blueprint", "view_args", "status", "remote_addr", "xforwardedfor", "authorization",
    "ip_info", "path", "speed", "date", "username", "track_var",
]  # fmt: skip
FIRST = datetime(2024, 3, 10, 12)
END = datetime(2024, 12, 31)

Get = Callable[..., UsagePage]


@pytest.fixture
def get(usage: ClickHouse) -> Get:
    """Asks the database of the test."""
    return lambda *args, **options: get_usage(*args, **options, dsn=usage.dsn.masked)


@pytest.fixture(autouse=True)
def forget_walks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes of this process another one, which served no page yet. Tests share a database, but no walks."""

    def forget() -> None:
        monkeypatch.setattr(usage_module, "_walks", Walks())

    forget()
    return forget


def request(path: str, at: datetime = FIRST, service: str = "shop", /, **attributes: AttributeValue) -> Event:
    """Return a request with further attributes by the names of their constants, in lower case."""
    event = build_event(at=at.isoformat(), path=path, service=service)
    event.attributes.update({getattr(names, name.upper()): value for name, value in attributes.items()})
    return event


def requests(numbers: range, prefix: str = "/") -> list[Event]:
    """Return one request a second, the higher the number the newer."""
    return [request(f"{prefix}{number}", FIRST + timedelta(seconds=number)) for number in numbers]


def paths(rows: list[dict[str, Any]]) -> list[str]:
    return [row["path"] for row in rows]


def newest_first(numbers: range) -> list[str]:
    return [f"/{number}" for number in reversed(numbers)]


def walk(get: Get, limit: int, **options: Any) -> Iterator[UsagePage]:
    """Yield page after page by number, until one is empty."""
    number = 1
    while page := get(limit=limit, page=number, **options):
        yield page
        number += 1


# What a row says


def test_a_request_has_exactly_the_old_keys(usage: ClickHouse, get: Get) -> None:
    event = request(
        "/product/ein tisch",
        datetime(2024, 3, 10, 12, 30, 15, 250_001),
        scheme="https",
        host="shop.example",
        query="q=a&q=b",
        browser_version="128.0",
        language="de-CH",
        blueprint="catalog",
        status_code=201,
        client_address="2001:db8::7",
        forwarded_for="203.0.113.7, 198.51.100.23",
        has_authorization=True,
        country="CH",
        region="CH-ZH",
        city="Zürich",
        user_id="ann",
    )
    event.attributes[names.VIEW_ARGUMENT_PREFIX + "name"] = "ein tisch"
    event.attributes[names.PROPERTY_PREFIX + "track_var"] = '{"cart": {"items": 3}, "new": true}'
    insert_events(usage, [event._replace(duration_ns=1_500_000_000)])

    (row,) = get()

    assert list(row) == KEYS
    assert row == {
        "url": "https://shop.example/product/ein%20tisch?q=a&q=b",
        "user_agent": {"browser": "firefox", "language": "de-CH", "platform": "linux", "version": "128.0"},
        "blueprint": "catalog",
        "view_args": {"name": "ein tisch"},
        "status": 201,
        "remote_addr": "2001:db8::7",
        "xforwardedfor": "203.0.113.7, 198.51.100.23",
        "authorization": True,
        "ip_info": {"country_code": "CH", "region_code": "CH-ZH", "city": "Zürich"},
        "path": "/product/ein tisch",
        "speed": 1.5,
        "date": datetime(2024, 3, 10, 12, 30, 15, 250_001),
        "username": "ann",
        "track_var": {"cart": {"items": 3}, "new": True},
    }


def test_what_is_not_known_is_none(usage: ClickHouse, get: Get) -> None:
    event = request("/nowhere", status_code=404)
    for name in (names.BROWSER, names.OS, names.CLIENT_ADDRESS):
        del event.attributes[name]
    insert_events(usage, [event])

    (row,) = get()

    assert row["user_agent"] == dict.fromkeys(("browser", "language", "platform", "version"))
    unknown = ("blueprint", "view_args", "remote_addr", "xforwardedfor", "ip_info", "username", "track_var")
    assert [row[key] for key in unknown] == [None] * 7
    assert row["authorization"] is False


def test_no_text_is_too_long_for_the_table(usage: ClickHouse, get: Get) -> None:
    event = request("/" + "p" * 2000, host="h" * 200, query="q" * 2000, forwarded_for="203.0.113.7, " * 100)
    event.attributes[names.VIEW_ARGUMENT_PREFIX + "path"] = "v" * 2000
    event.attributes[names.PROPERTY_PREFIX + "track_var"] = json.dumps({"note": "n" * 2000})
    insert_events(usage, [event])

    (row,) = get()

    assert row["url"] == f"http://{'h' * 200}/{'p' * 2000}?{'q' * 2000}"
    assert len(row["xforwardedfor"]) == 1300
    assert row["view_args"] == {"path": "v" * 2000}
    assert row["track_var"] == {"note": "n" * 2000}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{}", None),
        ('{"_truncated": ["basket"]}', {"_truncated": ["basket"]}),
        ('{"a": ', {"_unreadable": '{"a": '}),
        ("[1]", {"_unreadable": "[1]"}),
        ("[" * 2000, {"_unreadable": "[" * 2000}),
    ],
)  # fmt: skip
def test_track_var_is_a_dictionary_whatever_was_stored(
    usage: ClickHouse, get: Get, text: str, read: dict[str, Any] | None
) -> None:
    event = request("/")
    event.attributes[names.PROPERTY_PREFIX + "track_var"] = text
    insert_events(usage, [event])

    assert get()[0]["track_var"] == read


def test_a_region_without_a_code_goes_by_its_name(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [request("/", region_name="Bavaria")])

    assert get()[0]["ip_info"] == {"region_name": "Bavaria"}


def test_a_hashed_address_stands_in_for_the_address(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [request("/", client_address="", client_address_hash="0123456789abcdef")])

    assert get()[0]["remote_addr"] == "0123456789abcdef"


def test_only_requests_are_listed_and_a_service_can_be_chosen(usage: ClickHouse, get: Get) -> None:
    view = build_event("object_viewed", "2024-03-10T12:00:00", object_type="product")
    insert_events(usage, [request("/shop"), request("/blog", FIRST, "blog"), view])

    assert sorted(paths(get())) == ["/blog", "/shop"]
    assert paths(get(service="blog")) == ["/blog"]


def test_an_old_caller_may_take_the_page_for_a_plain_list(usage: ClickHouse, get: Get) -> None:
    assert get() == []
    insert_events(usage, [request("/")])

    page = get()

    assert isinstance(page, list)
    assert page == [dict(page[0])]
    assert json.loads(json.dumps(page, default=str))[0]["date"] == "2024-03-10 12:00:00"


# From when to when


def test_both_dates_count(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(10)))

    found = get(FIRST + timedelta(seconds=3), FIRST + timedelta(seconds=6))

    assert paths(found) == ["/6", "/5", "/4", "/3"]


def test_the_date_of_a_row_takes_in_the_row_though_it_is_cut(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [build_event(at="2024-03-10T12:00:00.123456789")])
    moment = get()[0]["date"]

    assert moment == datetime(2024, 3, 10, 12, 0, 0, 123_456)
    assert len(get(moment, moment)) == 1


@pytest.mark.parametrize(
    "start",
    [
        FIRST,
        FIRST.replace(tzinfo=timezone.utc),
        datetime(2024, 3, 10, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        1_710_072_000,
        1_710_072_000.0,
    ],
)  # fmt: skip
def test_a_moment_can_be_said_in_several_ways(usage: ClickHouse, get: Get, start: Any) -> None:
    insert_events(usage, [request("/before", FIRST - timedelta(microseconds=1)), request("/at")])

    assert paths(get(start)) == ["/at"]
    assert paths(get(end_date=start)) == ["/at", "/before"]


def test_a_day_counts_from_its_beginning_to_its_end(usage: ClickHouse, get: Get) -> None:
    moments = {
        "/before": "2024-03-09T23:59:59.999999999",
        "/first": "2024-03-10T00:00:00",
        "/last": "2024-03-10T23:59:59.999999999",
        "/after": "2024-03-11T00:00:00",
    }
    insert_events(usage, [build_event(at=at, path=path) for path, at in moments.items()])

    assert paths(get(date(2024, 3, 10), date(2024, 3, 10))) == ["/last", "/first"]


def test_dates_that_no_row_can_have_are_taken_all_the_same(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [request("/")])

    assert len(get(datetime.min, datetime.max)) == 1
    assert len(get(date.min, date.max)) == 1
    assert get(datetime.max, datetime.min) == []
    assert get(end_date=datetime(1969, 7, 20)) == []


def test_without_an_end_the_list_ends_now(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [request("/past"), request("/to come", datetime(2200, 1, 1))])

    assert paths(get()) == ["/past"]
    assert len(get(end_date=datetime(2200, 1, 2))) == 2


ZONES = {
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Asia/Kolkata": "IST-5:30",
    "Australia/Lord_Howe": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
}
"""By the name that ClickHouse knows, how a process without a database of zones is told of it."""
CLOCK_CHANGES = (
    "2024-03-10T07:00:00",  # New York, forward
    "2024-04-06T15:00:00",  # Lord Howe, back by half an hour
    "2024-10-05T15:30:00",  # Lord Howe, forward
    "2024-11-03T06:00:00",  # New York, back
)


@pytest.mark.parametrize("zone", ZONES)
def test_neither_the_zone_of_the_process_nor_that_of_the_server_changes_anything(
    usage: ClickHouse, zone: str
) -> None:
    moments = [
        datetime.fromisoformat(change) + timedelta(minutes=minutes)
        for change in CLOCK_CHANGES
        for minutes in (-30, 0, 30)
    ]
    insert_events(usage, [request(f"/{moment.isoformat()}", moment) for moment in moments])

    seen = json.loads(
        subprocess.run(
            [sys.executable, Path(__file__).with_name("usage_in_zone.py"), usage.dsn.masked, zone],
            env={**os.environ, "TZ": ZONES[zone]},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )

    dates = [moment.isoformat() for moment in reversed(moments)]
    expected = [f"/{moment}" for moment in dates]
    assert seen == {
        "is elsewhere": True,
        "dates": dates,
        "paths": expected,
        "pages": expected,
        "half an hour before": [expected[number : number + 2] for number in (1, 4, 7, 10)],
        "found by the local clock": [[expected[number]] for number in (1, 4, 7, 10)],
    }


# Pages


def test_a_hundred_requests_are_ten_pages_of_ten_newest_first(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(100)))

    pages = list(walk(get, 10))

    assert [len(page) for page in pages] == [10] * 10
    assert [path for page in pages for path in paths(page)] == newest_first(range(100))
    assert [page.next is None for page in pages] == [False] * 9 + [True]


def test_a_page_below_one_is_the_first_and_one_behind_the_last_is_empty(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(3)))

    assert get(limit=2, page=0) == get(limit=2, page=-7) == get(limit=2, page="1") == get(limit=2)
    assert paths(get(limit=2, page="2")) == ["/0"]
    assert get(limit=2, page=3) == get(limit=2, page=10**30) == []
    assert get(limit=0) == []


def test_requests_of_one_moment_come_once_each(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, [request(f"/{number}") for number in range(12)])

    found = [path for page in walk(get, 5) for path in paths(page)]

    assert sorted(found) == sorted(f"/{number}" for number in range(12))
    assert found == [path for page in walk(get, 7) for path in paths(page)]


def test_requests_that_arrive_shift_no_page(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(14)))
    found = []
    for number, page in enumerate(walk(get, 4)):
        found += paths(page)
        insert_events(usage, requests(range(100 + 10 * number, 103 + 10 * number), "/new/"))

    assert found == newest_first(range(14))
    assert paths(get(limit=1)) == ["/new/132"]


def test_requests_that_come_late_repeat_and_skip_none(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(0, 30, 2)))
    first = get(limit=5)
    insert_events(usage, requests(range(1, 30, 2)))

    found = paths(first) + paths(get(limit=5, page=2)) + paths(get(limit=5, page=3))

    # Page 1 ends with /20. What came late above it is not seen; what came late below it takes its place.
    assert found == ["/28", "/26", "/24", "/22", "/20", *newest_first(range(10, 20))]


def test_a_start_and_an_end_that_move_along_with_the_clock_keep_the_walk(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(12)))
    found = []
    for number in (1, 2, 3):
        now = datetime.now(timezone.utc)
        found += paths(get(now - timedelta(days=365 * 100 // 2), now, limit=4, page=number))
        insert_events(usage, requests(range(100 * number, 100 * number + 2), "/new/"))

    assert found == newest_first(range(12))


def test_a_jump_goes_on_from_the_nearest_page_that_was_seen(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(40)))
    get(limit=5)
    insert_events(usage, requests(range(100, 103), "/new/"))

    assert paths(get(limit=5, page=6)) == newest_first(range(10, 15))
    assert paths(get(limit=5, page=7)) == newest_first(range(5, 10))
    assert paths(get(limit=5, page=3)) == newest_first(range(25, 30))


def test_a_process_that_saw_no_page_counts_from_the_newest_request(
    usage: ClickHouse, get: Get, forget_walks: Callable[[], None]
) -> None:
    insert_events(usage, requests(range(40)))
    forget_walks()

    assert paths(get(limit=5, page=7)) == newest_first(range(5, 10))
    insert_events(usage, requests(range(100, 103), "/new/"))
    assert paths(get(limit=5, page=8)) == newest_first(range(5))


def test_next_is_right_in_every_process(
    usage: ClickHouse, get: Get, forget_walks: Callable[[], None]
) -> None:
    insert_events(usage, requests(range(20)))
    page = get(limit=6)
    found = paths(page)
    while page.next:
        insert_events(usage, requests(range(100, 103), "/new/"))
        forget_walks()
        page = get(limit=6, page=page.next)
        found += paths(page)

    assert found == newest_first(range(20))


def test_next_stays_within_the_dates(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(20)))
    place = get(limit=2).next

    found = get(FIRST + timedelta(seconds=3), FIRST + timedelta(seconds=6), page=place)

    assert paths(found) == ["/6", "/5", "/4", "/3"]


def test_two_threads_walk_through_the_same_list_at_once(
    usage: ClickHouse, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    present_ns = time.time_ns()  # stands still: a busy machine is no slow reader
    monkeypatch.setattr(usage_module, "_walks", Walks(lambda: present_ns))
    insert_events(usage, requests(range(30)))
    in_step = threading.Barrier(2, timeout=60)

    def read(number: int) -> list[str]:
        found = []
        for page in range(1, 9):
            in_step.wait()
            if page % 3 == 1:
                insert_events(usage, requests(range(100 + page, 103 + page), f"/new/{number}/"))
            found += paths(get(limit=5, page=page))
        return found

    with ThreadPoolExecutor(2) as threads:
        walks = list(threads.map(read, range(2)))

    for found in walks:
        old = [path for path in found if "new" not in path]
        assert old == newest_first(range(30))
        assert len(set(found)) == len(found)


def test_while_three_threads_write_the_pages_are_what_was_there(usage: ClickHouse, get: Get) -> None:
    insert_events(usage, requests(range(160)))
    is_read = threading.Event()

    def write(number: int) -> int:
        batches = 0
        while not is_read.is_set() or not batches:
            newer = requests(range(1000 + batches * 10, 1010 + batches * 10), f"/new/{number}/")
            insert_events(usage, newer)
            batches += 1
        return batches

    with ThreadPoolExecutor(3) as threads:
        first = get(limit=20)
        writers = [threads.submit(write, number) for number in range(3)]
        try:
            found = paths(first) + [
                path for number in range(2, 10) for path in paths(get(limit=20, page=number))
            ]
        finally:
            is_read.set()
        written = [writer.result(timeout=60) for writer in writers]

    assert found == newest_first(range(160))
    assert all(written)


# What is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"limit": "10"}, "limit is '10', expected a whole number"),
        ({"limit": 2.5}, "limit is 2.5, expected a whole number"),
        ({"limit": True}, "limit is True, expected a whole number"),
        ({"limit": -1}, "limit is -1, expected 0 to 100000"),
        ({"limit": 100_001}, "limit is 100001, expected 0 to 100000; ask for more rows page by page"),
        ({"page": None}, "page is None, expected a whole number"),
        ({"service": 5}, "service is 5, expected the name of a service"),
        ({"page": "two"}, "page is 'two', expected a whole number from 1 on, or the `next` of the page before"),
        ({"start_date": "2024-03-10"}, "start_date is '2024-03-10', expected a datetime"),
        ({"end_date": float("nan")}, "end_date is nan, expected a datetime"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_used_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        get_usage(**arguments, dsn="http://127.0.0.1:9/usage")

    assert str(raised.value).startswith(said)


def test_where_nobody_answers_one_line_says_so_and_what_to_do() -> None:
    with pytest.raises(ClickHouseUnavailable) as raised:
        get_usage(dsn="http://ann:secret@127.0.0.1:9/usage")

    assert "http://127.0.0.1:9/usage does not answer" in str(raised.value)
    assert "For a local one: otel-usage serve" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_database_without_tables_is_told_to_be_migrated(database: ClickHouse) -> None:
    with pytest.raises(OtelUsageError, match="Run: otel-usage migrate --dsn"):
        get_usage(dsn=database.dsn.masked)


def test_the_database_is_the_one_that_was_configured(
    usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_USAGE_DSN", raising=False)
    insert_events(usage, [request("/")])
    with clean_process(monkeypatch):
        with pytest.raises(SettingError, match="OTEL_USAGE_DSN"):
            get_usage()
        Tracking(monkeypatch).configure(dsn=usage.dsn.masked)

        assert paths(get_usage()) == ["/"]
