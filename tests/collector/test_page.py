"""Every command of docs/collector.md works, in the order of the page, and brings what the page says."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from tests.collector.events import counts_of, wait_until_counted
from tests.collector.page import commands_of, headings, terminal
from tests.collector.programs import program
from tests.collector.rotel import ROTEL_ENVIRON, find_rotel
from tests.collector.store import Store
from tests.collector.tracing_backend import TracingBackend
from tests.serving import wait_for

TO_SERVE = "To `otel-usage serve`"
TO_CLICKHOUSE = [
    "To ClickHouse",
    "Agents and a gateway",
    "rotel instead",
]
TRACING = "Usage and traces through one Collector"
OTHERS = ["Get a Collector", "What is promised", "Look at the queue"]
REQUESTS = 20


def test_the_sections_with_commands_are_those_that_are_run_here() -> None:
    assert sorted(headings()) == sorted([TO_SERVE, *TO_CLICKHOUSE, TRACING, *OTHERS])


def test_an_app_reaches_serve_by_the_commands_of_the_page(
    otelcol: Path, service: str, tmp_path: Path
) -> None:
    with terminal(tmp_path, {"otelcol-contrib": otelcol}, {}, {"OTEL_SERVICE_NAME": service}) as shell:
        for command in commands_of(TO_SERVE):
            shell.run(command)
        shell.ask_the_app(REQUESTS)
        shell.end_the_app()
        client = connect(f"{shell.url('8123')}/otel_usage")
        wait_until_counted(client, service, REQUESTS)

        assert counts_of(client, service) == (REQUESTS,) * 3
        client.close()


@pytest.mark.parametrize("heading", TO_CLICKHOUSE)
def test_an_app_reaches_clickhouse_by_the_commands_of_the_page(
    heading: str, otelcol: Path, store: Store, client: ClickHouse, service: str, tmp_path: Path
) -> None:
    programs, environ = {"otelcol-contrib": otelcol}, {"OTEL_SERVICE_NAME": service}
    if "rotel" in heading:
        programs["rotel"] = find_rotel()
        environ |= ROTEL_ENVIRON
    ports = {"8123": urlsplit(store.http_url).port or 0}

    with terminal(tmp_path, programs, ports, environ) as shell:
        for command in commands_of(heading):
            shell.run(command)
        shell.ask_the_app(REQUESTS)
        shell.end_the_app()
        wait_until_counted(client, service, REQUESTS)

    assert counts_of(client, service) == (REQUESTS,) * 3


def test_usage_and_traces_take_one_way_by_the_commands_of_the_page(
    otelcol: Path, store: Store, client: ClickHouse, service: str, tmp_path: Path
) -> None:
    environ = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "FLASK_APP": "tests.collector.shop_with_errors:create_app",
    }
    with TracingBackend() as backend:
        ports = {"8123": urlsplit(store.http_url).port or 0, "14319": urlsplit(backend.url).port or 0}
        with terminal(tmp_path, {"otelcol-contrib": otelcol}, ports, environ) as shell:
            for command in commands_of(TRACING):
                shell.run(command)
            shell.ask_the_app(REQUESTS)
            shell.ask_the_app(1, "/fails")
            wait_for(lambda: "GET /fails" in [span.name for span in backend.spans], "the trace of an error")
            log = shell.end_the_app()
            wait_until_counted(client, service, REQUESTS + 1)

    assert counts_of(client, service) == (REQUESTS + 1,) * 3
    assert [line for line in log.splitlines() if "OpenTelemetry" in line or "export" in line] == []


def test_a_collector_is_built_and_takes_the_files(otelcol: Path, tmp_path: Path) -> None:
    program("otelcol", "")  # skips where it cannot be built
    with terminal(tmp_path, {"otelcol-contrib": otelcol}, {}, {}) as shell:
        shell.run("\n".join(["set -e", *commands_of("Get a Collector")]))


def test_events_that_count_twice_are_found_and_mended(store: Store, tmp_path: Path) -> None:
    ports = {
        "8123": urlsplit(store.http_url).port or 0,
        "4318": urlsplit(store.otlp_url).port or 0,  # doctor asks whether it answers
    }
    with terminal(tmp_path, {}, ports, {}) as shell:
        for command in commands_of("What is promised"):
            shell.run(command)


def test_the_queue_can_be_looked_at(otelcol: Path, tmp_path: Path) -> None:
    with terminal(tmp_path, {"otelcol-contrib": otelcol}, {}, {}) as shell:
        for command in [
            "otelcol-contrib --config collector_config/local.yaml",
            *commands_of("Look at the queue"),
        ]:
            shell.run(command)
