"""Grafana's way to `otel-usage serve`: every panel's question by clickhouse-go over HTTP, as the data source sends it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.docs_tables import ROOT
from tests.go_programs import build_program
from tests.grafana.choices import first_choices
from tests.grafana.dashboards import TIME_SERIES, Query, read_dashboards
from tests.grafana.macros import TimeRange, expand, expand_rule
from tests.grafana.panel_answers import is_time
from tests.grafana.required import is_missing
from tests.grafana.rules import read_rules
from tests.grafana.traffic import FIRST_DAY, TODAY, TRACE_ID
from tests.serving import ServeProcess

SOURCE = ROOT / "tests" / "grafana" / "driver"
TWO_DAYS = TimeRange(FIRST_DAY, TODAY)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in driver/, built."""
    if shutil.which("go") is None:
        is_missing("Go is not here, and clickhouse-go cannot be tried without")
    program = tmp_path_factory.mktemp("driver") / "driver"
    if said := build_program(SOURCE, program):
        is_missing(f"the driver cannot be built: {said[-500:]}")
    return program


def ask(driver: Path, serve: ServeProcess, database: str, queries: list[str]) -> list[dict[str, Any]]:
    """Return the driver's answers."""
    done = subprocess.run(
        [driver, serve.http_url.removeprefix("http://"), database],
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def test_every_panel_and_rule_is_answered(driver: Path, serve: ServeProcess, filled: ClickHouse) -> None:
    queries: list[Query] = []
    for dashboard in read_dashboards():
        wanted = {"trace_id": TRACE_ID} if "trace_id" in dashboard.variables else {}
        choices = first_choices(dashboard, filled, TWO_DAYS, **wanted)
        for query in dashboard.queries:
            place = f"{dashboard.uid} {query.place}"
            queries.append(Query(place, expand(query.sql, choices, TWO_DAYS), query.format))
    queries += [Query(rule.uid, expand_rule(rule.sql, TWO_DAYS)) for rule in read_rules()]

    answers = ask(driver, serve, filled.dsn.database, [query.sql for query in queries])

    by_place = dict(zip((query.place for query in queries), answers, strict=True))
    assert {place: answer["error"] for place, answer in by_place.items() if answer["error"]} == {}
    for query, answer in zip(queries, answers, strict=True):
        # By HTTP an answer without rows has no columns either.
        if query.format == TIME_SERIES and answer["rows"]:
            assert any(map(is_time, answer["types"])), query.place
    assert by_place["otel-usage-trace Spans of the trace A"]["rows"] == 2


def test_a_wrong_question_is_answered_with_its_error(
    driver: Path, serve: ServeProcess, filled: ClickHouse
) -> None:
    (answer,) = ask(driver, serve, filled.dsn.database, ["SELECT nothing FROM nowhere"])

    assert "UNKNOWN_TABLE" in answer["error"]
