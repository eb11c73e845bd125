"""The storage that reads what the exporter has stored: asked by its old names, answered by a real ClickHouse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SettingError
from otel_usage.flask import storages
from otel_usage.flask.storages import (
    ClickHouseStorage,
    MongoStorage,
    RedisStorage,
    SQLStorage,
    Storage,
    sumUrl,
)
from otel_usage.reports.summaries import SUMMARIES
from otel_usage.wiring import configure
from tests.builders import build_event, insert_events
from tests.serving import ServeProcess
from tests.tracking import clean_process


@pytest.fixture
def dsn(usage: ClickHouse, serve: ServeProcess) -> str:
    """The DSN of a database with two requests of 10 March 2026."""
    insert_events(
        usage,
        [
            build_event(at="2026-03-10T12:00:00", path="/first"),
            build_event(at="2026-03-10T12:30:00", path="/second"),
        ],
    )
    return serve.dsn_of(usage.dsn.database)


def paths(rows: list[dict[str, Any]]) -> list[str]:
    return [row["path"] for row in rows]


def test_a_storage_reads_where_it_is_told_to(dsn: str) -> None:
    storage = ClickHouseStorage(dsn)

    assert paths(storage.get_usage()) == ["/second", "/first"]
    assert paths(storage.get_usage(limit=1, page=2)) == ["/first"]
    assert paths(storage.get_usage(end_date=datetime(2026, 3, 10, 12, 15))) == ["/first"]


def test_a_storage_answers_for_its_service_alone_when_it_has_one(dsn: str, usage: ClickHouse) -> None:
    insert_events(usage, [build_event(at="2026-03-10T12:45:00", service="other", path="/third")])

    found = {
        service: (
            paths(ClickHouseStorage(dsn, service=service).get_usage()),
            sum(row["hits"] for row in ClickHouseStorage(dsn, service=service).get_sum("sumUrl")["day"]),
        )
        for service in ("shop", "other", None)
    }

    assert found == {
        "shop": (["/second", "/first"], 2),
        "other": (["/third"], 1),
        None: (["/third", "/second", "/first"], 3),
    }


@pytest.mark.parametrize(
    "make",
    [ClickHouseStorage, lambda: SQLStorage(engine=object()), lambda: MongoStorage("a", "b"), RedisStorage],
)
def test_without_a_dsn_it_reads_where_the_process_writes(
    monkeypatch: pytest.MonkeyPatch, dsn: str, make: Callable[[], Storage]
) -> None:
    with clean_process(monkeypatch):
        configure(dsn=dsn)

        assert paths(make().get_usage()) == ["/second", "/first"]


def test_with_no_dsn_at_all_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_USAGE_DSN", raising=False)
    with clean_process(monkeypatch):
        configure(exporter="none")

        with pytest.raises(SettingError, match="OTEL_USAGE_DSN does not say where that is"):
            ClickHouseStorage().get_usage()


@pytest.mark.parametrize("hook", [sumUrl, sumUrl(), "sumUrl"])
@pytest.mark.parametrize("hooks", [None, [sumUrl]])
def test_sums_are_answered_whether_the_summary_was_given_as_a_hook_or_not(
    dsn: str, hook: object, hooks: list[Any] | None
) -> None:
    found = ClickHouseStorage(dsn, hooks=hooks).get_sum(hook, start_date=datetime(2026, 3, 10, 12, 5))

    assert set(found) == {"hour", "day", "month"}
    assert [sum(row["hits"] for row in found[period]) for period in ("hour", "day", "month")] == [2, 2, 2]


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_summary_that_can_be_asked_for_can_be_given_as_a_hook(name: str) -> None:
    hook = getattr(storages, name)

    assert ClickHouseStorage(hooks=[hook]).needs_data is False


def test_sums_of_a_hook_that_nobody_knows_are_refused(dsn: str) -> None:
    with pytest.raises(NotImplementedError, match='Cannot find hook named "sumNothing"'):
        ClickHouseStorage(dsn).get_sum("sumNothing")
