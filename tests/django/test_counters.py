"""What the counters of an object say, asked of a real ClickHouse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

import otel_usage
from otel_usage.clickhouse import ClickHouse
from otel_usage.django import counter_series, counters_for
from otel_usage.django.messages import send_decrement_message, send_increment_message
from otel_usage.errors import ClickHouseUnavailable, SettingError
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.schema import migrate
from tests.builders import build_event, insert_events
from tests.databases import new_database
from tests.django.models import shop
from tests.serving import ServeProcess
from tests.tracking import Tracking

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture
def counting(tracking: Tracking, serve: ServeProcess, usage: ClickHouse) -> Callable[[], None]:
    """Track into ClickHouse, and return what waits until all is stored."""
    dsn = serve.dsn_of(usage.dsn.database)
    tracking.exporter = ClickHouseSpanExporter(dsn)  # type: ignore[assignment]
    tracking.start(dsn=dsn)

    def store() -> None:
        assert tracking.processor.force_flush(30_000)

    return store


def store_counter(usage: ClickHouse, at: str, value: int, *, is_bot: bool = False, **columns: Any) -> None:
    given = {"object_type": "shop.Link", "object_id": "1", "counter_name": "clicks", **columns}
    insert_events(usage, [build_event("counter", at, is_bot=is_bot, counter_value=value, **given)])


def test_an_object_that_was_never_seen_has_0(counting: Callable[[], None]) -> None:
    found = counters_for(shop.Link(pk=1))

    assert found == {"clicks": 0, "downloads": 0}
    assert found["anything"] == 0
    assert counter_series(shop.Link(pk=1), "clicks") == []
    assert counters_for(shop.Document()) == {}


def test_what_was_counted_is_summed_by_counter(counting: Callable[[], None]) -> None:
    link, other = shop.Link(pk=1), shop.Link(pk=2)
    for _ in range(200):
        send_increment_message(None, link, "clicks")
    send_decrement_message(None, link, "clicks", options={"value": 3})
    otel_usage.increment(link, "downloads", -7)
    otel_usage.increment(other, "clicks", 1)

    counting()

    assert counters_for(link) == {"clicks": 197, "downloads": -7}
    assert counters_for(other) == {"clicks": 1, "downloads": 0}
    assert counters_for(("shop.Link", 1)) == {"clicks": 197, "downloads": -7}


def test_nothing_changes_before_it_is_stored_and_then_at_once(counting: Callable[[], None]) -> None:
    link = shop.Link(pk=1)
    for _ in range(200):
        otel_usage.increment(link, "clicks")

    counting()

    assert counters_for(link)["clicks"] == 200


def test_keys_that_are_no_numbers_are_counted_by(counting: Callable[[], None]) -> None:
    document = shop.Document.objects.create(title="a")
    otel_usage.increment(document, "reads", 2)

    counting()

    assert counters_for(document) == {"reads": 2}


def test_a_proxy_counts_for_its_model(counting: Callable[[], None]) -> None:
    otel_usage.increment(shop.Bargain(pk=5), "likes", 2)
    otel_usage.increment(shop.Product(pk=5), "likes", 3)

    counting()

    assert counters_for(shop.Bargain(pk=5)) == counters_for(shop.Product(pk=5)) == {"likes": 5}


def test_counters_lie_apart_by_robots_when_they_are_asked_for(
    counting: Callable[[], None], client: Client
) -> None:
    link = shop.Link.objects.create(slug="a", url="/to/")
    agents = [FIREFOX, FIREFOX, GOOGLEBOT, ""]
    for agent in agents:
        client.get(f"/link/id/{link.pk}/", headers={"user-agent": agent})

    counting()

    assert counters_for(link)["clicks"] == 4
    assert counters_for(link, bots=False)["clicks"] == 2
    assert counter_series(link, "clicks", bots=False)[-1].value == 2


def test_the_day_is_that_of_the_event_in_utc(usage: ClickHouse, counting: Callable[[], None]) -> None:
    store_counter(usage, "2026-03-10T23:59:59.999999999", 1)
    store_counter(usage, "2026-03-11T00:00:00", 10)
    store_counter(usage, "2026-03-13T12:00:00", 100)
    store_counter(usage, "2026-03-13T13:00:00", 1000, counter_name="downloads")

    assert counter_series(shop.Link(pk=1), "clicks") == [
        (date(2026, 3, 10), 1),
        (date(2026, 3, 11), 10),
        (date(2026, 3, 12), 0),
        (date(2026, 3, 13), 100),
    ]


@pytest.mark.parametrize(
    ("since", "until", "values"),
    [
        pytest.param(date(2026, 3, 10), date(2026, 3, 12), [1, 10], id="days, the last one exclusive"),
        pytest.param(date(2026, 3, 9), date(2026, 3, 11), [0, 1], id="a day before"),
        pytest.param(datetime(2026, 3, 11, 15), datetime(2026, 3, 11, 16), [10], id="whole days of times"),
        pytest.param(
            datetime(2026, 3, 11, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 3, 11, 2, tzinfo=timezone(timedelta(hours=2))),
            [1],
            id="in another zone it is the day before",
        ),
        pytest.param(date(2026, 3, 12), date(2026, 3, 12), [], id="no day"),
        pytest.param(date(2026, 3, 12), date(2026, 3, 14), [0, 0], id="nothing there"),
        pytest.param(date(2026, 3, 11), None, [10], id="to the last one"),
        pytest.param(None, date(2026, 3, 11), [1], id="from the first one"),
        pytest.param(date(2026, 3, 12), None, [], id="nothing after that"),
        pytest.param(date(1, 1, 1), date(2026, 3, 11), None, id="from before all"),
    ],
)
def test_a_series_has_every_day_of_its_range(
    usage: ClickHouse,
    counting: Callable[[], None],
    since: date | None,
    until: date | None,
    values: list[int] | None,
) -> None:
    store_counter(usage, "2026-03-10T12:00:00", 1)
    store_counter(usage, "2026-03-11T12:00:00", 10)

    series = counter_series(shop.Link(pk=1), "clicks", since, until)

    assert values is None or [value for _, value in series] == values
    assert (
        sum(value for _, value in series) == counters_for(shop.Link(pk=1), since=since, until=until)["clicks"]
    )


def test_one_service_may_be_asked_for(usage: ClickHouse, counting: Callable[[], None]) -> None:
    store_counter(usage, "2026-03-10T12:00:00", 1, service="shop")
    store_counter(usage, "2026-03-10T12:00:00", 10, service="api")

    assert counters_for(shop.Link(pk=1), service="api")["clicks"] == 10
    assert counters_for(shop.Link(pk=1))["clicks"] == 11


def test_names_that_look_like_sql_are_names(usage: ClickHouse, counting: Callable[[], None]) -> None:
    name = "x' OR 1 = 1 -- {a:String}\\"
    store_counter(usage, "2026-03-10T12:00:00", 5, object_id=name, counter_name=name)

    assert counters_for(("shop.Link", name)) == {name: 5}
    assert [value for _, value in counter_series(("shop.Link", name), name)] == [5]


def test_reading_asks_the_sites_own_database_nothing(counting: Callable[[], None]) -> None:
    with CaptureQueriesContext(connection) as queries:
        counters_for(shop.Link(pk=1))

    assert len(queries) == 0


def test_without_clickhouse_the_one_who_asks_is_told(tracking: Tracking) -> None:
    tracking.start(dsn="http://127.0.0.1:9/otel_usage")

    with pytest.raises(ClickHouseUnavailable):
        counters_for(shop.Link(pk=1))


def test_without_a_dsn_the_one_who_asks_is_told(tracking: Tracking) -> None:
    tracking.start()

    with pytest.raises(SettingError, match="OTEL_USAGE_DSN"):
        counters_for(shop.Link(pk=1))


PROCESSES, THREADS, TIMES = 4, 4, 250


def count_in_processes(serve: ServeProcess, client: ClickHouse, exporter: str, key: str) -> list[str]:
    """Let processes with threads count at the same time; return where the events of each one went."""
    environ = {
        "OTEL_USAGE_EXPORTER": exporter,
        "OTEL_USAGE_DSN": serve.dsn_of(client.dsn.database),
        "OTEL_USAGE_OTLP_ENDPOINT": serve.otlp_url,
        "OTEL_USAGE_BATCH_SIZE": "500",
        "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.05",
    }
    command = [sys.executable, "-m", "tests.django.counting_process", str(THREADS), str(TIMES), key]
    running = [
        subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    return [process.communicate(timeout=120)[0].strip() for process in running]


@pytest.mark.parametrize("exporter", ["clickhouse", "otlp"])
def test_sums_are_exact_when_processes_and_threads_count_at_the_same_time(
    serve: ServeProcess, exporter: str
) -> None:
    key = str(os.getpid() * 1000 + len(exporter))
    with new_database(serve) as client:
        migrate(client)

        printed = count_in_processes(serve, client, exporter, key)

        database = client.dsn.database if exporter == "clickhouse" else "otel_usage"
        sums = client.query(
            f"SELECT counter_name, sum(value) FROM {database}.counters_daily "
            "WHERE object_type = 'shop.Link' AND object_id = {key:String} GROUP BY 1 ORDER BY 1",
            {"key": key},
        ).rows
        rejected = client.query(
            f"SELECT reason, count() FROM {database}.rejected_events "
            "WHERE JSONExtractString(body, 'usage.object.id') = {key:String} GROUP BY reason",
            {"key": key},
        ).rows

    each = THREADS * TIMES
    total = PROCESSES * each
    assert sums == [("clicks", total), ("downloads", total * 3 // 2)]
    assert rejected == [("unknown_counter", total)]
    assert set(printed) == {
        f"AccountingSnapshot(seen={3 * each}, stored={2 * each}, waiting=0, filtered={{}}, "
        f"rejected={{'unknown_counter': {each}}}, dropped={{}})"
    }
