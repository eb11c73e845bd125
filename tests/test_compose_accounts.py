"""The accounts of users.sql may do what their part does, and nothing else: the engine itself allows and refuses.

One database, made by the account that is there for it, and then one account after the other with the real component.
See tests/accounts.py for how, and for what a server can that this engine cannot.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_usage import attributes as names
from otel_usage.cli import cli
from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.schema import migrate_database
from tests.accounts import USERS_FILE, WITHOUT, give_views_to, read_accounts, statements
from tests.builders import build_event
from tests.collector.events import requests_of, send
from tests.collector.process import CollectorProcess
from tests.collector.programs import program
from tests.docs_tables import ROOT
from tests.serving import wait_for

ACCOUNTS_SCRIPT = USERS_FILE.with_name("accounts.sh")
ACCOUNTS = read_accounts(USERS_FILE.read_text("utf-8"))
NOT_GRANTED = "Not enough privileges"
READ_ONLY = "in readonly mode"
DAY = "2026-03-10"


@contextmanager
def served_as(data: Path, account: str) -> Iterator[str]:
    """Serve the data with an account's rights, and yield the DSN of the database."""
    command = [sys.executable, "-m", "tests.accounts", str(data), account]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        ready = re.fullmatch(r"ready (\S+)\n", server.stdout.readline())
        assert ready is not None, "the server did not get ready"
        yield f"{ready[1]}/otel_usage"
        server.communicate("", timeout=120)


def ask(dsn: str, sql: str) -> str:
    """Return what a statement answers, with no setting sent along, as Grafana's driver sends it."""
    address, _, database = dsn.rpartition("/")
    asked = urllib.request.Request(f"{address}/?database={database}", sql.encode())
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return str(answer.read().decode("utf-8", "replace").strip())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the whole schema, made by the account that is there for it."""
    directory = tmp_path_factory.mktemp("accounts") / "data"
    with served_as(directory, "otel_usage_migrator") as dsn:
        migrate_database(dsn)
    give_views_to(directory, "otel_usage_migrator")
    return directory


@contextmanager
def reading(data: Path) -> Iterator[ClickHouse]:
    """A connection that may read what is in the database."""
    with served_as(data, "otel_usage_migrator") as dsn, closing(connect(dsn)) as client:
        yield client


def wrongly_answered(dsn: str, refused: Mapping[str, str]) -> dict[str, str]:
    """Return the statements that were not refused for the reason that is expected, with their answers."""
    answers = {sql: ask(dsn, sql) for sql in refused}
    return {sql: answer for sql, answer in answers.items() if refused[sql] not in answer}


def printed_sql(**passwords: str) -> subprocess.CompletedProcess[str]:
    """Run accounts.sh as docker-compose.yml does."""
    environ = {
        "PATH": os.environ["PATH"],
        **{f"CLICKHOUSE_{name.upper()}_PASSWORD": text for name, text in passwords.items()},
    }
    return subprocess.run(
        [shutil.which("bash") or "bash", ACCOUNTS_SCRIPT], capture_output=True, text=True, env=environ
    )


def test_the_engine_understands_every_statement(database: ClickHouse) -> None:
    sql = printed_sql(writer="a", collector="b", grafana="c", migrator="d").stdout

    for statement in statements(sql):
        assert database.query("SELECT formatQuery({sql:String})", {"sql": statement}).rows


def test_an_account_has_a_password_only_when_one_was_given() -> None:
    printed = statements(printed_sql(writer="it's", collector="b", grafana="c$d", migrator="é").stdout)
    passwords = {"writer": "it's", "collector": "b", "grafana": "c$d", "migrator": "é"}

    given = [
        f"ALTER USER otel_usage_{account} IDENTIFIED WITH sha256_hash BY '{hashlib.sha256(text.encode()).hexdigest()}'"
        for account, text in passwords.items()
    ]
    assert printed[-4:] == given
    assert [sql for sql in printed[:-4] if "IDENTIFIED" in sql and f"BY '{'0' * 64}'" not in sql] == []


def test_a_missing_password_makes_no_account_without_one() -> None:
    printed = printed_sql(writer="a", collector="b", grafana="c")

    assert printed.returncode != 0
    assert "CLICKHOUSE_MIGRATOR_PASSWORD" in printed.stderr


def test_every_statement_may_be_repeated() -> None:
    every = statements(USERS_FILE.read_text("utf-8"))

    assert [sql for sql in every if not re.match("CREATE USER IF NOT EXISTS|ALTER USER|GRANT", sql)] == []


def test_an_app_may_store_events_and_what_is_malformed_and_nothing_else(data: Path) -> None:
    malformed = build_event(names.COUNTER, counter_value=1)
    refused = (
        "SELECT count() FROM events",
        "SELECT count() FROM rejected_events",
        "SELECT count() FROM visits",
        "INSERT INTO visits_state SELECT * FROM visits_state",
        "INSERT INTO otel_traces (TraceId) VALUES ('a')",
        "INSERT INTO schema_migrations (version) VALUES (1)",
        "ALTER TABLE events DELETE WHERE 1",
        "ALTER TABLE events ADD COLUMN more String",
        "TRUNCATE TABLE events",
        "DROP TABLE events",
        "DROP DATABASE otel_usage",
        "CREATE TABLE more (n UInt8) ENGINE = MergeTree ORDER BY n",
    )

    with served_as(data, "otel_usage_writer") as dsn:
        exporter = ClickHouseSpanExporter(dsn)
        exporter.send(exporter.freeze([build_event(path="/direct"), malformed], "direct"))
        exporter.shutdown()
        assert wrongly_answered(dsn, dict.fromkeys(refused, NOT_GRANTED)) == {}

    with reading(data) as client:
        counted = client.query(
            "SELECT (SELECT sum(requests) FROM pages_daily WHERE path = '/direct'), count() FROM rejected_events"
        )
        assert counted.rows == [(1, 1)]


def test_a_collector_may_store_spans_and_with_them_their_events_and_nothing_else(
    data: Path, tmp_path: Path
) -> None:
    otelcol = program("otelcol", "OTELCOL")
    refused = (
        "SELECT count() FROM otel_traces",
        "SELECT count() FROM events",
        "INSERT INTO events (service_name) VALUES ('a')",
        "ALTER TABLE otel_traces DELETE WHERE 1",
        "DROP TABLE otel_traces",
        "CREATE TABLE more (n UInt8) ENGINE = MergeTree ORDER BY n",
    )

    with served_as(data, "otel_usage_collector") as dsn:
        endpoint = dsn.removesuffix("/otel_usage")
        with CollectorProcess(
            otelcol, "local.yaml", tmp_path, {"CLICKHOUSE_ENDPOINT": endpoint}
        ) as collector:
            send(collector.otlp_url, requests_of("collected", 20))
            wait_for(lambda: collector.metric("otelcol_exporter_sent_spans") >= 20, "the spans to be sent")
        assert wrongly_answered(dsn, dict.fromkeys(refused, NOT_GRANTED)) == {}

    with reading(data) as client:
        counted = client.query(
            "SELECT (SELECT count() FROM otel_traces WHERE ServiceName = 'collected'), sum(requests) "
            "FROM pages_daily WHERE service_name = 'collected'"
        )
        assert counted.rows == [(20, 20)]


def test_grafana_may_read_every_table_and_change_nothing_and_take_no_more_than_its_share(data: Path) -> None:
    tables = "SELECT name FROM system.tables WHERE database = 'otel_usage' AND engine != 'MaterializedView'"
    refused = {
        "INSERT INTO events (service_name) VALUES ('a')": NOT_GRANTED,
        "ALTER TABLE events DELETE WHERE 1": NOT_GRANTED,
        "DROP TABLE events": NOT_GRANTED,
        "CREATE TABLE more (n UInt8) ENGINE = Memory": NOT_GRANTED,
        "SET readonly = 0": READ_ONLY,
        "SELECT 1 SETTINGS max_memory_usage = 0": READ_ONLY,
        "SELECT 1 SETTINGS max_result_rows = 0": READ_ONLY,
        "SELECT number FROM numbers(1000000)": "Limit for result exceeded",
        "SELECT sum(number) FROM numbers(20000000000)": "Limit for rows",
    }

    with served_as(data, "otel_usage_grafana") as dsn:
        answers = {name: ask(dsn, f"SELECT * FROM {name} LIMIT 1") for name in ask(dsn, tables).split()}
        assert len(answers) > 20
        assert {name: answer for name, answer in answers.items() if answer.startswith("Code:")} == {}
        assert wrongly_answered(dsn, refused) == {}


def test_grafana_may_ask_for_the_time_that_its_driver_sends() -> None:
    settings = ACCOUNTS["otel_usage_grafana"].settings

    # The data source's own limit, and what clickhouse-go adds to it (context.go, `sec + 5`).
    assert settings["max_execution_time"] == f"30 MAX {60 + 5} {WITHOUT}"
    assert settings["readonly"] == "1"


def test_the_commands_run_with_the_account_of_the_migrator(data: Path) -> None:
    # The data directory was migrated with it.
    commands = (
        "doctor",
        f"rebuild --day {DAY}",
        "forget --address 192.0.2.77 --yes",
        "export-person --address 192.0.2.77",
    )
    failed: dict[str, str] = {}

    with served_as(data, "otel_usage_migrator") as dsn:
        exporter = ClickHouseSpanExporter(dsn)
        exporter.send(exporter.freeze([build_event(client_address="192.0.2.77")], "of-a-person"))
        exporter.shutdown()
        for command in commands:
            ran = CliRunner().invoke(cli, [*command.split(), "--dsn", dsn])
            if ran.exit_code:
                failed[command] = ran.output
        left = ask(dsn, "SELECT count() FROM events WHERE client_address = toIPv6('192.0.2.77')")
        assert wrongly_answered(dsn, {"DROP DATABASE otel_usage": NOT_GRANTED}) == {}

    assert failed == {}
    assert left == "0"
