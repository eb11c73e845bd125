"""The old database storages: their arguments and errors stay, and what they were asked ClickHouse answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy

from otel_usage.flask.storages import (
    ClickHouseStorage,
    CouchDBStorage,
    Delivery,
    MongoEngineStorage,
    MongoPiggybackStorage,
    MongoStorage,
    PrintWriter,
    RedisStorage,
    RequestExtras,
    SQLStorage,
    Storage,
    databases,
    sumRemote,
    sumUrl,
)
from tests.builders import build_event
from tests.tracking import clean_process

MAKERS: list[Callable[..., Storage]] = [
    lambda **more: SQLStorage(sqlalchemy.create_engine("sqlite://"), table_name="usage", **more),
    lambda **more: SQLStorage(db=object(), **more),
    lambda **more: MongoPiggybackStorage(object(), **more),
    lambda **more: MongoStorage("db", "usage", host="mongo", username="ann", password="swordfish", **more),
    lambda **more: MongoEngineStorage(website="shop", apache_log=True, **more),
    lambda **more: RedisStorage("redis", 6379, "swordfish", **more),
    lambda **more: CouchDBStorage("db", username="ann", password="swordfish", **more),
]


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "_told", set())


@pytest.mark.parametrize("make", MAKERS)
def test_an_old_storage_says_once_where_requests_go_now(
    caplog: pytest.LogCaptureFixture, make: Callable[..., Storage]
) -> None:
    make()
    make()

    (record,) = caplog.records
    assert "each request goes to ClickHouse, where OTEL_USAGE_DSN says" in record.getMessage()
    assert "swordfish" not in caplog.text


@pytest.mark.parametrize("dsn", ["", "http://localhost:8123/otel_usage"])
def test_an_old_storage_says_when_there_is_no_place_to_read_from(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, dsn: str
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", dsn)
    with clean_process(monkeypatch):
        SQLStorage(db=object())

    assert ("OTEL_USAGE_DSN is not set yet" in caplog.text) == (not dsn)


@pytest.mark.parametrize("make", MAKERS)
def test_a_password_that_is_not_used_is_not_kept(make: Callable[..., Storage]) -> None:
    assert "swordfish" not in repr(vars(make()))


def test_what_became_of_the_old_features_is_said(caplog: pytest.LogCaptureFixture) -> None:
    MongoEngineStorage(website="shop", apache_log=True)

    assert "set OTEL_SERVICE_NAME to the name of the website" in caplog.text
    assert "otel-usage report access_log --format log" in caplog.text


def test_an_sql_storage_needs_an_engine_or_flask_sqlalchemy_as_before() -> None:
    with pytest.raises(ValueError, match="Both db and engine args cannot be None"):
        SQLStorage()


@pytest.mark.parametrize("make", [*MAKERS, ClickHouseStorage])
def test_summaries_are_taken_as_hooks_and_no_request_is_handed_to_them(make: Callable[..., Storage]) -> None:
    storage = make(hooks=[sumUrl, sumRemote()])

    assert storage.needs_data is False
    assert Delivery(storage).has_work is False


@pytest.mark.parametrize("make", MAKERS)
def test_an_old_storage_that_is_called_by_hand_prints_nothing_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], make: Callable[..., Storage]
) -> None:
    data = {"path": "/"}

    make(hooks=[sumUrl])(data)

    assert capsys.readouterr().out == ""
    assert data == {"path": "/"}


def test_a_hook_of_a_storage_that_reads_clickhouse_is_called_for_each_request() -> None:
    called: list[str] = []
    delivery = Delivery([ClickHouseStorage(hooks=[sumUrl, lambda **data: called.append(data["path"])])])

    delivery.offer(build_event(path="/a"), RequestExtras())
    delivery.close(20)

    assert called == ["/a"]


def test_a_class_of_the_app_that_stores_something_itself_is_handed_each_request() -> None:
    class Own(ClickHouseStorage):
        stored: list[str] = []

        def store(self, data: dict[str, Any]) -> None:
            self.stored.append(data["path"])

    delivery = Delivery([Own(), PrintWriter(hooks=[])])
    delivery.offer(build_event(path="/a"), RequestExtras())
    delivery.close(20)

    assert Own.stored == ["/a"]


def test_a_hook_of_the_apps_own_keeps_its_own_sums() -> None:
    class sumOurs:
        def __call__(self, **data: Any) -> None: ...

        def get_sum(self, **kwargs: Any) -> dict[str, Any]:
            return {"hour": [kwargs["target"]]}

    assert ClickHouseStorage(hooks=[sumOurs]).get_sum(sumOurs, target="/a") == {"hour": ["/a"]}
