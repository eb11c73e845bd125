"""Every command of docs/grafana.md does what the page says, and its tables name what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.docs_tables import DOCS, ROOT
from tests.grafana.dashboards import DASHBOARDS, GRAFANA, read_dashboards
from tests.grafana.rules import RULES_FILE, read_rules
from tests.grafana.traffic import FUNNEL
from tests.serving import ServeProcess

PAGE = (DOCS / "grafana.md").read_text("utf-8")
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ ")]


def run(command: str, where: Path, **environ: str) -> str:
    """Run a command of the page, with the tools of this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=where,
        env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of collector_config, so that commands write there."""
    shutil.copytree(ROOT / "collector_config", tmp_path / "collector_config")
    return tmp_path


def test_the_page_has_commands_of_these_kinds_only() -> None:
    kinds = re.compile(
        r"mkdir -p /|cp (-R )?collector_config/|otel-usage report |python -m collector_config\.grafana$"
    )

    assert len(COMMANDS) == 8
    assert [command for command in COMMANDS if not kinds.match(command)] == []


def test_the_files_are_put_where_grafana_looks(copy: Path) -> None:
    for command in COMMANDS:
        if command.startswith(("mkdir", "cp")):
            run(command.replace(" /etc/", f" {copy}/etc/").replace(" /var/", f" {copy}/var/"), copy)

    put = copy / "etc" / "grafana" / "provisioning"
    assert sorted(path.parent.name for path in put.rglob("*.yaml")) == [
        "alerting",
        "dashboards",
        "datasources",
    ]
    shown = [path.name for path in (copy / "var" / "lib" / "grafana" / "dashboards").iterdir()]
    assert sorted(shown) == sorted(path.name for path in DASHBOARDS.glob("*.json"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's Foundation SDK needs Python 3.11")
def test_the_generator_writes_the_dashboards(copy: Path) -> None:
    written = copy / "collector_config" / "grafana" / "dashboards"
    for path in written.iterdir():
        path.unlink()

    run("python -m collector_config.grafana", copy)

    assert {path.name: path.read_text("utf-8") for path in written.iterdir()} == {
        path.name: path.read_text("utf-8") for path in DASHBOARDS.glob("*.json")
    }


def test_the_way_from_a_drop_to_the_span_ends_at_the_request(serve: ServeProcess, filled: ClickHouse) -> None:
    dsn = serve.dsn_of(filled.dsn.database)

    def rows(command: str) -> list[dict[str, object]]:
        answer = json.loads(run(f"{command} --format json", ROOT, OTEL_USAGE_DSN=dsn))
        assert isinstance(answer, list)
        return answer

    funnel, dropped, failures, events = [
        rows(command) for command in COMMANDS if command.startswith("otel-usage")
    ]

    assert (funnel[0]["funnel"], events) == (FUNNEL, [])
    assert failures
    visit = next(row for row in dropped if row["trace_id"])
    by_trace = re.sub("[0-9a-f]{32}", str(visit["trace_id"]), COMMANDS[-2])
    (request,) = rows(by_trace)
    assert (request["path"], request["visit_key"]) == (visit["last_path"], visit["visit_key"])


def test_the_page_lists_every_dashboard_by_its_name() -> None:
    listed = re.findall(r"^\| ([a-z ]+) \| [A-Z].*\? \|$", PAGE, re.MULTILINE)

    assert sorted(listed) == sorted(
        dashboard.content["title"].split(": ")[-1] for dashboard in read_dashboards()
    )


def test_the_page_lists_every_rule_by_its_title() -> None:
    assert [
        rule.content["title"] for rule in read_rules() if f"| {rule.content['title']} |" not in PAGE
    ] == []


def test_the_page_lists_every_variable_of_the_data_source() -> None:
    source = (GRAFANA / "provisioning" / "datasources" / "otel_usage.yaml").read_text("utf-8")

    listed = re.findall(r"^\| `(CLICKHOUSE_\w+)` \|", PAGE, re.MULTILINE)
    assert set(listed) == set(re.findall(r"\$(CLICKHOUSE_\w+)", source.partition("apiVersion")[2]))


def test_what_the_page_says_can_be_tuned_is_in_the_file() -> None:
    tune = PAGE.partition("### Tune")[2].partition("## ")[0]
    named = set(re.findall(r"`([\w]+)`", tune))

    assert len(named) >= 6
    assert [name for name in named if name not in RULES_FILE.read_text("utf-8")] == []


def test_the_numbers_of_the_page_are_those_of_the_rules() -> None:
    drop, silent, *_ = read_rules()
    limits = [rule.data["C"]["model"]["conditions"][0]["evaluator"]["params"] for rule in (drop, silent)]

    assert limits == [[0.3], [20]]
    assert "lower by more than 30 %" in PAGE
    assert "more than 20 events" in PAGE
    assert (drop.data["A"]["relativeTimeRange"]["from"], drop.content["for"]) == (3 * 3600, "10m")
    assert silent.data["A"]["relativeTimeRange"]["from"] == 15 * 60
