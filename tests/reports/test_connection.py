"""The connection for asking: one per process, clear words where it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import ClickHouseUnavailable, SettingError
from otel_usage.reports import connection
from otel_usage.reports.connection import usage_client
from tests.tracking import Tracking, clean_process

ONE = "SELECT 1"


@pytest.fixture
def tracking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    with clean_process(monkeypatch):
        yield Tracking(monkeypatch)


@pytest.fixture(autouse=True)
def _opened_by_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_shared", connection._SharedClients())
    monkeypatch.delenv("OTEL_USAGE_DSN", raising=False)


def test_it_asks_the_database_of_the_setting(tracking: Tracking, usage: ClickHouse) -> None:
    tracking.configure(dsn=usage.dsn.masked)

    assert usage_client().query("SELECT currentDatabase()").rows == [(usage.dsn.database,)]
    assert usage_client() is usage_client()


def test_a_process_that_tracks_nothing_asks_the_database_of_the_environment(
    tracking: Tracking, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", usage.dsn.masked)

    assert usage_client().query(ONE).rows == [(1,)]


def test_many_threads_ask_at_once(tracking: Tracking, usage: ClickHouse) -> None:
    tracking.configure(dsn=usage.dsn.masked)
    sql = "SELECT {number:UInt32}, sleep(0.01)"

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: usage_client().query(sql, {"number": n}).rows, range(64)))

    assert [rows[0][0] for rows in answers] == list(range(64))


def test_a_forked_child_opens_its_own(tracking: Tracking, usage: ClickHouse) -> None:
    tracking.configure(dsn=usage.dsn.masked)
    parents = usage_client()

    child = os.fork()
    if child == 0:
        is_its_own = usage_client() is not parents and usage_client().query(ONE).rows == [(1,)]
        os._exit(0 if is_its_own else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert usage_client() is parents
    assert parents.query(ONE).rows == [(1,)]


def test_without_a_dsn_the_error_names_the_setting(tracking: Tracking) -> None:
    tracking.configure(exporter="otlp")

    with pytest.raises(SettingError, match=r"OTEL_USAGE_DSN.*http\(s\)://"):
        usage_client()


def test_an_embedded_database_is_not_opened_in_an_app(tracking: Tracking) -> None:
    tracking.configure(dsn="chdb:///nowhere/usage")

    with pytest.raises(SettingError, match="OTEL_USAGE_DSN begins with chdb:"):
        usage_client()


def test_where_nobody_answers_the_next_call_tries_again(
    tracking: Tracking, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_USAGE_DSN", "http://127.0.0.1:9/usage")
    for _ in range(2):
        with pytest.raises(ClickHouseUnavailable):
            usage_client()
    monkeypatch.setenv("OTEL_USAGE_DSN", usage.dsn.masked)

    assert usage_client().query(ONE).rows == [(1,)]


def test_each_database_that_somebody_names_has_a_connection_of_its_own(
    usage: ClickHouse, database: ClickHouse
) -> None:
    clients = [usage_client(client.dsn.masked) for client in (usage, database, usage)]

    assert [client.dsn.database for client in clients[:2]] == [usage.dsn.database, database.dsn.database]
    assert clients[0] is clients[2]
