"""A site under `opentelemetry-instrument`, unchanged, whatever serves it: each request is stored once."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.demo.http_session import CookieJar
from otel_usage.schema import migrate
from tests.launcher.sites import FLASK, GUNICORN, UVICORN, counts, running_site, stored_paths
from tests.serving import ServeProcess, start_serve

REQUESTS = 100

SERVERS = {
    "flask run": FLASK,
    "gunicorn with 4 workers": (*GUNICORN, "-w", "4"),
    "gunicorn that preloads": (*GUNICORN, "-w", "2", "--preload"),
    "gunicorn with threads": (*GUNICORN, "-w", "1", "-k", "gthread", "--threads", "4"),
    "uvicorn": UVICORN,
}

SETTINGS = {
    "traces sampled at 1 %": {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
    "contrib switched off": {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"},
    "our name as exporter of traces": {"OTEL_TRACES_EXPORTER": "otel_usage_clickhouse"},
}


@pytest.fixture
def tables(database: ClickHouse) -> ClickHouse:
    migrate(database)
    return database


def visit_and_stop(command: tuple[str, ...], log_path: Path, settings: dict[str, str]) -> list[str]:
    """Send the requests of one browser, end the site right after the last answer, and return the paths."""
    paths = [f"/item/{number}" for number in range(REQUESTS - 1)] + ["/missing/1"]
    jar = CookieJar()
    with running_site(command, log_path, settings) as site:
        statuses = [site.get(path, jar) for path in paths]
        site.stop()
    assert statuses == [200] * (REQUESTS - 1) + [404]
    return sorted(paths)


def assert_stored_once(tables: ClickHouse, paths: list[str]) -> None:
    assert stored_paths(tables) == paths
    assert counts(tables) == (REQUESTS, REQUESTS, REQUESTS)
    visits = tables.query("SELECT requests, confirmed, service_name FROM visits").rows
    assert visits == [(REQUESTS, 1, "site")]


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_every_request_is_stored_once_when_the_server_ends(
    command: tuple[str, ...], serve: ServeProcess, tables: ClickHouse, tmp_path: Path
) -> None:
    dsn = serve.dsn_of(tables.dsn.database)

    paths = visit_and_stop(command, tmp_path / "log", {"OTEL_USAGE_DSN": dsn})

    assert_stored_once(tables, paths)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_what_is_set_for_traces_changes_no_count(
    settings: dict[str, str], serve: ServeProcess, tables: ClickHouse, tmp_path: Path
) -> None:
    dsn = serve.dsn_of(tables.dsn.database)

    paths = visit_and_stop((*GUNICORN, "-w", "2"), tmp_path / "log", {"OTEL_USAGE_DSN": dsn, **settings})

    assert_stored_once(tables, paths)


def test_events_by_otlp_are_stored_once(tmp_path: Path) -> None:
    server = start_serve(tmp_path / "data")
    tables = connect(server.dsn)
    settings = {"OTEL_USAGE_EXPORTER": "otlp", "OTEL_USAGE_OTLP_ENDPOINT": server.otlp_url}
    try:
        paths = visit_and_stop((*GUNICORN, "-w", "2"), tmp_path / "log", settings)

        assert_stored_once(tables, paths)
    finally:
        tables.close()
        server.stop()
