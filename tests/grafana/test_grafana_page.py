"""Every command of docs/grafana.md does what the page says, and its tables name what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from otel_usage.clickhouse import ClickHouse
from tests.docs_tables import DOCS, ROOT
from tests.grafana.dashboards import DASHBOARDS, DATA_SOURCE_TYPE, GRAFANA, read_dashboards
from tests.grafana.rules import RULES_FILE, read_rules
from tests.grafana.traffic import FUNNEL
from tests.serving import ServeProcess

PAGE = (DOCS / "grafana.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (.+(?:\n(?!\$ |```).*)*)", PAGE, re.MULTILINE)
SOURCE_FILE = GRAFANA / "provisioning" / "datasources" / "otel_usage.yaml"
INSTALL_PLUGIN = "grafana cli plugins install grafana-clickhouse-datasource"
RESTART = "systemctl restart grafana-server"


def run(command: str, where: Path, **environ: str) -> str:
    """Run a command of the page, with the tools of this Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=where,
        env={**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        timeout=180,
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
        r"|curl .*/api/datasources |pip install -c constraints.txt "
    )
    # Grafana's own, and the system's: neither is here.
    others = [command for command in COMMANDS if not kinds.match(command)]

    assert len(COMMANDS) == 12
    assert others == [INSTALL_PLUGIN, RESTART]
    assert INSTALL_PLUGIN.endswith(f" {DATA_SOURCE_TYPE}")


def test_the_data_source_that_is_made_by_hand_is_the_one_of_the_file() -> None:
    (command,) = (command for command in COMMANDS if command.startswith("curl"))
    (file_entry,) = yaml.safe_load(SOURCE_FILE.read_text("utf-8"))["datasources"]
    del file_entry["editable"]  # what the API makes can be edited

    path, made = posted_by(command.replace("--user admin ", "--user admin:secret "))

    values = {
        "$CLICKHOUSE_HOST": "localhost",
        "$CLICKHOUSE_PORT": 9000,
        "$CLICKHOUSE_PROTOCOL": "native",
        "$CLICKHOUSE_DATABASE": "otel_usage",
        "$CLICKHOUSE_USER": "otel_usage_grafana",
        "$CLICKHOUSE_PASSWORD": "secret",
    }
    assert (path, made) == ("/api/datasources", filled_in(file_entry, values))


def posted_by(command: str) -> tuple[str, object]:
    """Run a command that posts JSON to Grafana, and return to which path, and what."""
    posted: list[tuple[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as grafana:
        thread = threading.Thread(target=grafana.handle_request, daemon=True)
        thread.start()
        run(command.replace("localhost:3000", f"127.0.0.1:{grafana.server_port}"), ROOT)
        thread.join(30)
    (request,) = posted
    return request


def filled_in(entry: object, values: dict[str, object]) -> object:
    """Return an entry of a provisioning file as Grafana reads it, with values for its variables."""
    if isinstance(entry, dict):
        return {key: filled_in(value, values) for key, value in entry.items()}
    return values.get(entry, entry) if isinstance(entry, str) else entry


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

    install, write = COMMANDS[-2:]
    run(install, ROOT, PIP_DISABLE_PIP_VERSION_CHECK="1")
    run(write, copy)

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
    (by_trace,) = (command for command in COMMANDS if "--trace" in command)
    by_trace = re.sub("[0-9a-f]{32}", str(visit["trace_id"]), by_trace)
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
    source = SOURCE_FILE.read_text("utf-8")

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
