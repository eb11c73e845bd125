"""The command line as people run it: a process with arguments, an exit code, and what it prints."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner

import otel_usage
from otel_usage import attributes as names
from otel_usage.cli import cli
from otel_usage.clickhouse import ClickHouse
from otel_usage.instrumentation.address import AddressPolicy
from otel_usage.reports import REPORTS
from otel_usage.schema import migrate
from tests.builders import build_event, build_stage, insert_events, key_of
from tests.serving import ServeProcess


class Outcome:
    """What a run left behind."""

    def __init__(self, run: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = run.returncode, run.stdout, run.stderr

    @property
    def error_line(self) -> str:
        """The one line on stderr; more than one is a failure of the test."""
        assert self.err.count("\n") == 1, self.err
        assert self.out == ""
        return self.err.rstrip("\n")


def run(*arguments: str, **environ: str) -> Outcome:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HTTP"))}
    return Outcome(
        subprocess.run(
            [sys.executable, "-m", "otel_usage", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            env={**clean, **environ},
        )
    )


@pytest.fixture
def dsn(usage: ClickHouse, serve: ServeProcess) -> str:
    """The DSN of a database with the whole schema and no events."""
    return serve.dsn_of(usage.dsn.database)


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(["nonsense"], "No such command 'nonsense'", id="command"),
        pytest.param(["serve", "--nonsense"], "No such option", id="option"),
        pytest.param(["report"], f"Which report? One of: {', '.join(REPORTS)} (see: otel-usage report --help)", id="no report"),
        pytest.param(["report", "x"], f"Unknown report 'x', must be one of: {', '.join(REPORTS)} (see: otel-usage report --help)", id="report"),
        pytest.param(["report", "ips", "--since", "soon"], "'soon' is no time, expected 15m, 24h, 7d, 4w, or a date such as 2026-11-01 or 2026-11-01T12:00:00 (see: otel-usage report --help)", id="time"),
        pytest.param(["report", "ips", "--since", "1h", "--until", "2h"], "The period is empty: --since 1h does not lie before --until 2h (see: otel-usage report --help)", id="empty period"),
        pytest.param(["report", "ips", "--limit", "0"], "Invalid value for '--limit': '0', expected a whole number from 1 to 1000000 (see: otel-usage report --help)", id="limit"),
        pytest.param(["report", "ips", "--limit", "abc"], "Invalid value for '--limit': 'abc', expected a whole number from 1 to 1000000 (see: otel-usage report --help)", id="limit in words"),
        pytest.param(["report", "ips", "--since", "99999999d"], "'99999999d' is too far back, expected a time from 1970 on (see: otel-usage report --help)", id="too far back"),
        pytest.param(["report", "browsers", "--funnel", "x"], "The report 'browsers' takes no --funnel; only these do: funnel, dropped (see: otel-usage report --help)", id="option of another report"),
        pytest.param(["report", "pages", "--object-type", "x"], "The report 'pages' takes no --object-type; only these do: objects, counters (see: otel-usage report --help)", id="option of other reports"),
        pytest.param(["report", "funnel", "--stage", "x"], "The report 'funnel' takes no --stage; only this one does: dropped (see: otel-usage report --help)", id="stage of another report"),
        pytest.param(["report", "pages", "--trace", "x"], "The report 'pages' takes no --trace; only these do: spans, events (see: otel-usage report --help)", id="trace of another report"),
        pytest.param(["report", "spans", "--trace", "zzz"], "--trace is 'zzz', expected 32 hex digits; in a traceparent they are the second part (see: otel-usage report --help)", id="trace in other letters"),
        pytest.param(["report", "events", "--trace", f" {'f' * 32}"], f"--trace is ' {'f' * 32}', expected 32 hex digits; in a traceparent they are the second part (see: otel-usage report --help)", id="trace with a blank"),
        pytest.param(["report", "events", "--trace", f"00-{'f' * 32}-{'f' * 16}-01"], f"--trace is '00-{'f' * 32}-{'f' * 16}-01', expected 32 hex digits; in a traceparent they are the second part (see: otel-usage report --help)", id="traceparent"),
        pytest.param(["report", "users", "--bucket", "day"], "The report 'users' takes no --bucket; only these do: traffic, accounting, rejected (see: otel-usage report --help)", id="bucket of another report"),
        pytest.param(["report", "funnel", "--bots", "only"], "The report 'funnel' takes no --bots; only these do: browsers, ips, pages, activity, visits, objects, counters, traffic, acquisition, users, abuse, failures, summaries, events, access_log (see: otel-usage report --help)", id="robots of a funnel"),
        pytest.param(["report", "pages", "--bots", "no"], "Invalid value for '--bots': 'no' is not one of 'with', 'without', 'only'. (see: otel-usage report --help)", id="robots in other words"),
        pytest.param(["report", "--list", "browsers"], "--list names all reports and takes none: leave 'browsers' or --list away (see: otel-usage report --help)", id="list of one"),
        pytest.param(["report", "ips", "--service", ""], "Invalid value for '--service': is empty, expected a name (see: otel-usage report --help)", id="empty service"),
        pytest.param(["report", "funnel", "--funnel", ""], "Invalid value for '--funnel': is empty, expected a name (see: otel-usage report --help)", id="empty funnel"),
        pytest.param(["report", "ips", "--dsn", "http://localhost/a/b"], "The DSN has the path '/a/b', expected one name: the path of the DSN is one database name", id="path of two parts"),
        pytest.param(["doctor", "--dsn", "postgres://x"], "The DSN cannot be used, expected http(s)://user:password@host:port/database or chdb:///path/database", id="DSN of the doctor"),
        pytest.param(["serve", "--data", ""], "Invalid value for '--data': is empty, expected a directory (see: otel-usage serve --help)", id="no directory"),
        pytest.param(["serve", "--http-port", "7", "--otlp-port", "7"], "--http-port and --otlp-port are both 7. Choose another port with --otlp-port", id="one port"),
        pytest.param(["report", "ips", "--format", "xml"], "Invalid value for '--format': 'xml' is not one of 'table', 'json', 'csv', 'tsv', 'log'. (see: otel-usage report --help)", id="format"),
        pytest.param(["report", "ips", "--format", "log"], "The format 'log' is for the report 'access_log' alone, not for 'ips' (see: otel-usage report --help)", id="format of another report"),
        pytest.param(["report", "ips", "--dsn", "postgres://x"], "The DSN cannot be used, expected http(s)://user:password@host:port/database or chdb:///path/database", id="DSN"),
        pytest.param(["migrate", "--dsn", "http://localhost/a-b"], "The DSN names the database 'a-b', expected letters, digits and _ that do not begin with a digit", id="database"),
        pytest.param(["serve", "--http-port", "99999"], "Invalid value for '--http-port': '99999', expected a whole number from 0 to 65535 (see: otel-usage serve --help)", id="port"),
        pytest.param(["report", "browsers", "pages"], "Got unexpected extra argument", id="argument"),
        pytest.param(["report", "browsers", "--since"], "Option '--since' requires an argument. (see: otel-usage report --help)", id="no value"),
        pytest.param(["settings", "--format", "xml"], "Invalid value for '--format'", id="format of settings"),
        pytest.param(["doctor", "--dsn"], "Option '--dsn' requires an argument", id="no DSN"),
        pytest.param(["demo", "--requests", "0"], "Invalid value for '--requests'", id="no requests"),
        pytest.param(["demo", "--framework", "flask", "--asgi"], "--framework flask and --asgi do not go together: Flask is a WSGI framework. Expected --asgi alone, or with --framework django (see: otel-usage demo --help)", id="Flask by ASGI"),
        pytest.param(["demo", "--framework", "pyramid"], "Invalid value for '--framework': 'pyramid' is not one of", id="framework"),
        pytest.param(["demo", "--log", "/no/such/file"], "Invalid value for '--log': File '/no/such/file' does not exist. (see: otel-usage demo --help)", id="log file"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    outcome = run(*arguments)

    assert outcome.code == 2
    # The beginning: the end of some of them is click's, whose wording changes between versions.
    assert outcome.error_line.startswith(f"otel-usage: {line}")


@pytest.mark.parametrize("command", ["settings", "migrate", "doctor", "report browsers"])
def test_a_bad_setting_stops_every_command_with_one_line(command: str) -> None:
    outcome = run(*command.split(), OTEL_USAGE_DISABLED="perhaps")

    assert outcome.code == 2
    assert outcome.error_line == "otel-usage: OTEL_USAGE_DISABLED is 'perhaps', expected true or false"


def test_without_a_command_the_help_is_printed_and_the_code_is_2() -> None:
    outcome = run()

    assert outcome.code == 2
    assert outcome.err.startswith("Usage: otel-usage [OPTIONS] COMMAND")


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_no_error(option: str) -> None:
    outcome = run("report", option)

    assert (outcome.code, outcome.err) == (0, "")
    assert "--since" in outcome.out


def test_the_version_is_the_packages() -> None:
    assert run("--version").out == f"otel-usage {otel_usage.__version__}\n"


# Failures.


@pytest.mark.parametrize("command", ["migrate", "report browsers"])
def test_nobody_there_is_one_line_and_exit_code_1(command: str) -> None:
    outcome = run(*command.split(), "--dsn", "http://ann:secret@127.0.0.1:1/usage")

    assert outcome.code == 1
    assert outcome.error_line == (
        "otel-usage: http://127.0.0.1:1/usage does not answer: Connection refused. Is ClickHouse running? "
        "For a local one: otel-usage serve"
    )


@pytest.mark.parametrize("report", ["browsers", "events", "funnel"])
def test_a_database_that_is_not_ours_is_named_with_the_command_that_makes_it_ours(
    database: ClickHouse, serve: ServeProcess, report: str
) -> None:
    database.command("CREATE TABLE events (a UInt8) ENGINE = MergeTree ORDER BY a")
    dsn = serve.dsn_of(database.dsn.database)

    outcome = run("report", report, "--dsn", dsn)

    assert outcome.code == 1
    assert outcome.error_line == (
        f"otel-usage: The database {dsn} has no tables of otel-usage, or those of an older version. "
        f"Run: otel-usage migrate --dsn {dsn}"
    )


def test_a_database_that_is_not_there_is_named_without_the_password(serve: ServeProcess) -> None:
    place = serve.http_url.removeprefix("http://")

    outcome = run("report", "ips", "--dsn", f"http://default:@{place}/none_here?verify=false")

    assert outcome.code == 1
    assert outcome.error_line == (
        f"otel-usage: There is no database http://{place}/none_here. "
        f"Run: otel-usage migrate --dsn 'http://default:***@{place}/none_here?verify=false'"
    )


def test_a_port_that_speaks_no_tls_is_told(serve: ServeProcess) -> None:
    place = serve.http_url.removeprefix("http://")

    outcome = run("report", "ips", "--dsn", f"https://{place}/otel_usage")

    assert outcome.code == 1
    assert outcome.error_line == (
        f"otel-usage: https://{place}/otel_usage speaks no TLS; "
        "try http:// instead of https:// in the DSN, or its port for TLS"
    )


def test_an_embedded_database_that_serve_holds_is_one_line(serve: ServeProcess) -> None:
    outcome = run("report", "ips", "--dsn", f"chdb://{serve.data}/otel_usage")

    assert outcome.code == 1
    assert outcome.error_line == (
        f"otel-usage: The data directory {serve.data} is in use by process {serve.process.pid}. "
        "Ask that one by its http:// address if it is `otel-usage serve`, or stop it"
    )


def test_asking_an_embedded_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path}/none/usage"

    outcome = run("report", "ips", "--dsn", dsn)

    assert outcome.code == 1
    assert outcome.error_line == (
        f"otel-usage: {tmp_path}/none: no such data directory. To make it, run: otel-usage migrate --dsn {dsn}"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_embedded_database_is_not_made_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("precious")

    outcome = run("migrate", "--dsn", f"chdb://{tmp_path}/usage")

    assert outcome.code == 2
    assert "is not empty and no data directory; name another in the DSN" in outcome.error_line
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_missing_engine_is_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['chdb'] = None")

    outcome = run("migrate", "--dsn", f"chdb://{tmp_path}/new/usage", PYTHONPATH=str(tmp_path))

    assert outcome.code == 1
    assert outcome.error_line.endswith(
        "/new/usage needs the package chdb. Install it with: pip install 'otel-usage[serve]'"
    )


def test_output_that_cannot_be_written_is_no_bug() -> None:
    full = subprocess.run(
        f"'{sys.executable}' -m otel_usage report --list > /dev/full",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert full.returncode == 1
    assert full.stderr == (
        "otel-usage: Cannot write the output: no space left on device. Send it somewhere else\n"
    )


@pytest.mark.parametrize("place", [0, 1, 4], ids=["before", "within", "after"])
def test_debug_shows_the_traceback_wherever_it_stands_without_the_password(place: int) -> None:
    command = ["report", "browsers", "--dsn", "http://ann:swordfish@127.0.0.1:1/usage"]

    outcome = run(*command[:place], "--debug", *command[place:])

    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "swordfish" not in outcome.err
    assert outcome.err.splitlines()[-1].startswith("otel-usage: http://127.0.0.1:1/usage does not answer")


# The DSN.


def test_the_dsn_comes_from_the_option_then_the_environment(dsn: str) -> None:
    nowhere = "http://127.0.0.1:1/nowhere"

    by_option = run("report", "browsers", "--dsn", dsn, OTEL_USAGE_DSN=nowhere)
    by_environment = run("report", "browsers", OTEL_USAGE_DSN=dsn)

    assert (by_option.code, by_environment.code) == (0, 0)


# migrate.


def test_migrate_creates_the_database_and_can_be_repeated(serve: ServeProcess) -> None:
    dsn = serve.dsn_of("made_by_the_command_line")

    first, second = run("migrate", "--dsn", dsn), run("migrate", "--dsn", dsn, OTEL_USAGE_RETENTION_DAYS="90")

    assert (first.code, second.code) == (0, 0)
    assert first.out.splitlines()[0] == "applied 0001_create_events"
    assert second.out.splitlines() == [
        "the schema was up to date",
        "a batch that is sent twice counts once, in the views too",
        "events are deleted after 90 days, from now on",
        "summaries are kept for ever",
        "spans of a Collector are kept for ever",
    ]


def test_migrate_is_told_whether_to_keep_spans(database: ClickHouse, serve: ServeProcess) -> None:
    dsn = serve.dsn_of(database.dsn.database)

    null = run("migrate", "--dsn", dsn, "--otel-traces", "null")
    kept = run("migrate", "--dsn", dsn, "--otel-traces", "mergetree", OTEL_USAGE_TRACES_RETENTION_DAYS="14")

    assert null.out.endswith("\nspans of a Collector are not kept; what they say of usage is in events\n")
    assert kept.out.endswith("\nspans of a Collector are deleted after 14 days, from now on\n")


def test_a_dry_run_prints_sql_and_makes_nothing(database: ClickHouse, serve: ServeProcess) -> None:
    dsn = serve.dsn_of(database.dsn.database)

    outcome = run("migrate", "--dry-run", "--dsn", dsn)

    assert outcome.code == 0
    assert outcome.out.startswith("-- 0001_create_events\n")
    tables = "SELECT count() FROM system.tables WHERE database = currentDatabase()"
    assert database.query(tables).rows == [(0,)]


def test_a_dry_run_does_not_even_make_the_database(database: ClickHouse, serve: ServeProcess) -> None:
    outcome = run("migrate", "--dry-run", "--dsn", serve.dsn_of("that_does_not_exist"))

    assert outcome.code == 0
    assert outcome.out.startswith("-- 0001_create_events\n")
    assert ("that_does_not_exist",) not in database.query("SHOW DATABASES").rows


def test_a_cluster_that_the_server_does_not_know_is_told_beside_the_statements(
    database: ClickHouse, serve: ServeProcess
) -> None:
    dsns = (serve.dsn_of("that_does_not_exist"), serve.dsn_of(database.dsn.database))

    for dsn in dsns:
        outcome = run("migrate", "--dsn", dsn, "--cluster", "nosuch", "--dry-run")

        assert outcome.code == 0
        assert "ON CLUSTER 'nosuch'" in outcome.out
        assert outcome.err.startswith(
            "otel-usage: without --dry-run this would be refused: The server knows no cluster 'nosuch', only: "
        )


def test_a_cluster_that_is_refused_leaves_no_database_behind(
    database: ClickHouse, serve: ServeProcess
) -> None:
    outcome = run("migrate", "--dsn", serve.dsn_of("that_does_not_exist"), "--cluster", "nosuch")

    assert outcome.code == 1
    assert outcome.error_line.startswith("otel-usage: The server knows no cluster 'nosuch', only: ")
    assert ("that_does_not_exist",) not in database.query("SHOW DATABASES").rows


# report.


def test_all_reports_are_listed_with_what_they_say() -> None:
    outcome = run("report", "--list")

    assert [line.split()[0] for line in outcome.out.splitlines()] == list(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_printed_in_every_format(usage: ClickHouse, dsn: str, name: str) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    shared = {"visit": "v", "object_type": "t", "object_id": "1", "funnel": "f", "stage": "s"}
    insert_events(
        usage,
        [
            build_event(event, at=now, stage_index=1, counter_name="n", counter_value=1, **shared)  # type: ignore[arg-type]
            for event in ("request", "object_viewed", "counter", "stage_reached", "activity")
        ]
        + [
            build_event(at=now, visit="v", user_id="ann", status_code=500),
            build_event(at=now, is_bot=True),
            build_stage(2, at=now, visit="w", funnel="f"),
        ],
    )
    usage.command(f"INSERT INTO rejected_events VALUES ('{now}', 'too large', '', '')")
    usage.command(f"INSERT INTO otel_traces (Timestamp, TraceId) VALUES ('{now}', 't')")

    # In this process, because a new one for each costs more than all the reports.
    asked = ["report", name, "--dsn", dsn, "--until", "2200-01-01", "--format"]
    table, as_json, as_csv = (
        CliRunner().invoke(cli, [*asked, form]).stdout for form in ("table", "json", "csv")
    )

    objects = json.loads(as_json)
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    assert objects
    assert [list(row) for row in rows] == [list(row) for row in objects]
    assert table.split()[: len(objects[0])] == list(objects[0])


def test_the_json_has_the_numbers_of_the_view(usage: ClickHouse, dsn: str) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    insert_events(
        usage,
        [
            build_event(at=now, browser=name, os=name, visit=name, is_new=True)
            for name in ("Firefox", "Safari")
        ]
        + [build_event(at=now, browser="Firefox", os="iOS", is_bot=True)],
    )

    report = json.loads(run("report", "browsers", "--format", "json", "--dsn", dsn).out)

    expected = usage.query(
        "SELECT browser, sum(requests), sum(visits) FROM browsers_daily GROUP BY browser"
    ).rows
    assert {row["browser"]: (row["requests"], row["visits"]) for row in report} == {
        browser: (requests, visits) for browser, requests, visits in expected
    }


def test_a_hostile_path_cannot_steer_the_terminal_or_a_spreadsheet(usage: ClickHouse, dsn: str) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    insert_events(usage, [build_event(at=now, path="=1+1\x1b[2J\x07[red]\u202e")])

    table, as_csv = (
        run("report", "pages", "--dsn", dsn, "--format", format_) for format_ in ("table", "csv")
    )

    assert "=1+1\\x1b[2J\\x07[red]\\u202e" in table.out
    assert list(csv.DictReader(io.StringIO(as_csv.out)))[0]["path"].startswith("'=1+1\\x1b")


def test_what_a_client_sent_comes_back_whole_in_json(usage: ClickHouse, dsn: str) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    path = '/\0\x1b]0;owned\x07[red]\u202e"\n漢'
    insert_events(usage, [build_event(at=now, path=path)])

    outcome = run("report", "pages", "--format", "json", "--dsn", dsn)

    assert [row["path"] for row in json.loads(outcome.out)] == [path]
    assert outcome.out.isascii()
    assert outcome.out.replace("\n", "").isprintable()


def test_a_report_that_is_cut_says_so_beside_the_rows(usage: ClickHouse, dsn: str) -> None:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    insert_events(usage, [build_event(at=now, path=f"/{n}") for n in range(3)])

    outcome = run("report", "pages", "--limit", "2", "--format", "json", "--dsn", dsn)

    assert outcome.code == 0
    assert len(json.loads(outcome.out)) == 2
    assert outcome.err == "otel-usage: only the first 2 rows; ask for more with --limit\n"


def test_a_report_of_days_says_when_it_counts_more_than_was_asked(dsn: str) -> None:
    period = ("--since", "2026-03-09T23:00", "--until", "2026-03-10T01:00", "--dsn", dsn)

    two_days, one_day, whole, events = (
        run("report", *arguments)
        for arguments in (
            ("pages", *period),
            ("pages", "--since", "2026-03-09T23:00", "--until", "2026-03-10", "--dsn", dsn),
            ("pages", "--since", "2d", "--dsn", dsn),
            ("events", *period),
        )
    )

    assert two_days.err == "otel-usage: pages counts whole days in UTC: 2026-03-09 to 2026-03-10\n"
    assert one_day.err == "otel-usage: pages counts whole days in UTC: 2026-03-09\n"
    assert (whole.err, events.err) == ("", "")


def test_a_service_that_is_not_there_is_told_with_those_that_are(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(service=name) for name in ("shop", "blog")])

    outcome = run("report", "pages", "--service", "nosuch", "--since", "2026-03-01", "--dsn", dsn)

    assert outcome.err == "otel-usage: there is no service 'nosuch'; there are: blog, shop\n"


def test_a_funnel_that_is_not_there_is_told_with_those_that_are(usage: ClickHouse, dsn: str) -> None:
    before = run("report", "funnel", "--funnel", "nosuch", "--dsn", dsn)
    insert_events(usage, [build_stage(1, "2026-03-10T12:00:00", visit="v", funnel="buy")])

    after = run("report", "funnel", "--funnel", "nosuch", "--since", "2026-03-01", "--dsn", dsn)

    assert before.err == "otel-usage: there is no funnel yet\n"
    assert after.err == "otel-usage: there is no funnel 'nosuch'; there are: buy\n"


def test_a_stage_that_is_not_there_is_told_with_those_of_the_funnel_in_order(
    usage: ClickHouse, dsn: str
) -> None:
    at = "2026-03-10T12:00:00"
    buy = [build_stage(index, at, visit="v", funnel="buy") for index in (2, 1)]
    insert_events(usage, [*buy, build_stage(3, at, visit="v", funnel="join")])

    of_all, of_funnel, other, no_funnel, there = (
        run("report", "dropped", *options, "--dsn", dsn).err
        for options in (
            ("--stage", "nosuch"),
            ("--stage", "nosuch", "--funnel", "buy"),
            ("--stage", "stage 3", "--funnel", "buy"),
            ("--stage", "nosuch", "--funnel", "nosuch"),
            ("--stage", "stage 2"),
        )
    )

    assert of_all == "otel-usage: there is no stage 'nosuch'; there are: stage 1, stage 2, stage 3\n"
    assert of_funnel == "otel-usage: there is no stage 'nosuch'; there are: stage 1, stage 2\n"
    assert other == "otel-usage: there is no stage 'stage 3'; there are: stage 1, stage 2\n"
    assert no_funnel == "otel-usage: there is no funnel 'nosuch'; there are: buy, join\n"
    assert there == ""


def test_a_service_without_rows_in_the_period_is_not_called_missing(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(at="2020-01-01T00:00:00")])

    assert run("report", "pages", "--service", "shop", "--dsn", dsn).err == ""


def test_a_funnel_of_robots_alone_says_that_they_are_left_out(usage: ClickHouse, dsn: str) -> None:
    stages = [build_stage(1, "2026-03-10T12:00:00", visit=visit, is_bot=True) for visit in "ab"]
    insert_events(usage, stages)
    arguments = ("report", "funnel", "--since", "2026-03-01", "--dsn", dsn)

    robots = run(*arguments)
    insert_events(usage, [build_stage(1, "2026-03-10T12:00:00", visit="person")])
    with_a_person = run(*arguments)

    assert robots.err == "otel-usage: 2 visits of robots are left out\n"
    assert with_a_person.err == ""


def test_pages_that_were_not_found_are_named_in_the_table_only(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(path="/wp-admin", route="", status_code=404)])
    arguments = ("report", "pages", "--since", "2026-03-01", "--dsn", dsn)

    table, as_json = run(*arguments), run(*arguments, "--format", "json")

    assert table.out.splitlines()[1].split()[:2] == ["(not", "found)"]
    assert [(row["route"], row["path"]) for row in json.loads(as_json.out)] == [("", "")]


def test_an_empty_report_still_names_its_columns(dsn: str) -> None:
    outcome = run("report", "pages", "--format", "csv", "--dsn", dsn)

    assert outcome.out.startswith("route,path,requests,")


def test_a_reader_that_has_enough_is_no_failure_of_ours(usage: ClickHouse, dsn: str) -> None:
    now = datetime.now(timezone.utc)
    times = [(now - timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%S") for n in range(5000)]
    insert_events(usage, [build_event(at=at) for at in times])

    piped = subprocess.run(
        f"'{sys.executable}' -m otel_usage report events --limit 5000 --format csv --dsn {dsn} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )

    assert piped.stdout.startswith("timestamp,")
    assert piped.stderr == ""


# settings and doctor.


def test_settings_are_printed_with_secrets_masked() -> None:
    outcome = run(
        "settings", "--format", "json", OTEL_USAGE_DSN="http://ann:secret@db/x", OTEL_USAGE_SECRET="hush"
    )

    values = {row["setting"]: row["value"] for row in json.loads(outcome.out)}
    assert values["OTEL_USAGE_DSN"] == "http://ann:***@db/x"
    assert values["OTEL_USAGE_SECRET"] == "***"
    assert values["OTEL_USAGE_BATCH_SIZE"] == "5000"


FAULTY_FUNNELS = "[funnels.f]\nstages = []"


def test_settings_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "funnels.toml").write_text(FAULTY_FUNNELS)

    misspelt = run("settings", OTEL_USAGE_DNS="http://localhost/x", OTEL_USAGE_QQQ="1", OTEL_USAGE_EMPTY="")
    exporter = run("settings", OTEL_USAGE_EXPORTER="clickhaus")
    funnels = run("settings", OTEL_USAGE_FUNNELS=str(tmp_path / "funnels.toml"))

    assert misspelt.code == 0
    assert misspelt.err == (
        "otel-usage: OTEL_USAGE_DNS is no setting; did you mean OTEL_USAGE_DSN?\n"
        "otel-usage: OTEL_USAGE_QQQ is no setting; `otel-usage settings` names all that are\n"
    )
    assert (exporter.code, funnels.code) == (2, 2)
    assert exporter.error_line == (
        "otel-usage: OTEL_USAGE_EXPORTER is 'clickhaus', expected one of: clickhouse, otlp, console, none"
    )
    assert "funnel 'f': expected `stages` alone" in funnels.error_line


def test_the_doctor_looks_at_the_settings_too(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "funnels.toml").write_text(FAULTY_FUNNELS)

    outcome = run(
        "doctor",
        OTEL_USAGE_DSN=dsn,
        OTEL_USAGE_EXPORTER="clickhaus",
        OTEL_USAGE_FUNNELS=str(tmp_path / "funnels.toml"),
        OTEL_USAGE_VISIT_TIMEOUT="5",
    )

    lines = outcome.out.splitlines()
    assert outcome.code == 1
    assert [line.split()[0] for line in lines] == ["FAIL"] * 3 + ["ok"] * 5
    assert lines[0].endswith(
        "OTEL_USAGE_VISIT_TIMEOUT is no setting; did you mean OTEL_USAGE_VISIT_TIMEOUT_SECONDS?"
    )


def test_the_doctor_finds_a_healthy_database_healthy(dsn: str) -> None:
    outcome = run("doctor", "--dsn", dsn)

    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["ok"] * 6


def test_the_doctor_asks_where_the_app_sends(dsn: str) -> None:
    outcome = run(
        "doctor", "--dsn", dsn, OTEL_USAGE_EXPORTER="otlp", OTEL_USAGE_OTLP_ENDPOINT="http://127.0.0.1:1"
    )

    assert outcome.code == 1
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["ok", "FAIL"] + ["ok"] * 5


def test_the_doctors_event_is_stored_once_each_time(usage: ClickHouse, dsn: str) -> None:
    run("doctor", "--dsn", dsn)
    run("doctor", "--dsn", dsn)

    rows = usage.query("SELECT service_name, count() FROM events GROUP BY service_name").rows
    assert rows == [("otel-usage-doctor", 2)]


def test_the_doctor_names_the_cure_of_a_missing_schema(database: ClickHouse, serve: ServeProcess) -> None:
    dsn = serve.dsn_of(database.dsn.database)

    outcome = run("doctor", "--dsn", dsn)

    assert outcome.code == 1
    assert outcome.out.endswith(f"migrations have not been run. Run: otel-usage migrate --dsn {dsn}\n")


def test_the_doctor_says_that_nobody_answers() -> None:
    outcome = run("doctor", "--dsn", "http://127.0.0.1:1/usage")

    assert outcome.code == 1
    assert outcome.out == (
        "ok    the settings can be used\n"
        "FAIL  http://127.0.0.1:1/usage does not answer: Connection refused. Is ClickHouse running? "
        "For a local one: otel-usage serve\n"
    )


def test_the_doctor_sends_a_missing_database_to_migrate(serve: ServeProcess) -> None:
    dsn = serve.dsn_of("that_does_not_exist")

    outcome = run("doctor", "--dsn", dsn)

    assert outcome.code == 1
    assert outcome.out.endswith(f"There is no database {dsn}. Run: otel-usage migrate --dsn {dsn}\n")


def test_the_doctor_misses_the_result_of_the_probe(database: ClickHouse, serve: ServeProcess) -> None:
    migrate(database)
    database.command("DELETE FROM schema_migrations WHERE version = 0")

    dsn = serve.dsn_of(database.dsn.database)

    outcome = run("doctor", "--dsn", dsn)

    assert outcome.code == 1
    assert outcome.out.splitlines()[-1] == (
        f"FAIL  migrate has not seen this server deduplicate inserts. Run: otel-usage migrate --dsn {dsn}"
    )


def test_the_doctor_finds_events_that_a_client_sent_twice(usage: ClickHouse, dsn: str) -> None:
    event = build_event(at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"))
    insert_events(usage, [event])
    insert_events(usage, [event])

    outcome = run("doctor", "--dsn", dsn)

    assert outcome.code == 1
    assert "events are stored twice on: " in outcome.out.splitlines()[-1]


# forget, export-person and rebuild.


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(["--user", ""], "--user is '', expected the user's id as `events` has it", id="user"),
        pytest.param(["--visit", "x"], "--visit is 'x', expected 32 hex digits, as `visits` has them", id="visit"),
        pytest.param(["--visitor", "0" * 32], f"--visitor is '{'0' * 32}', expected 32 hex digits", id="visitor"),
        pytest.param(["--address", "here"], "--address is 'here', expected an IPv4 or IPv6 address", id="address"),
        pytest.param([], "Who? Expected one of: --user ID, --visit KEY, --visitor ID, --address IP", id="nobody"),
        pytest.param(["--user", "a", "--visit", "b"], "Who? Expected one of: --user ID", id="two"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["forget", "export-person"])
def test_a_person_that_nobody_can_be_is_wrong_usage(command: str, arguments: list[str], line: str) -> None:
    outcome = run(command, *arguments)

    assert outcome.code == 2
    assert outcome.error_line.startswith(f"otel-usage: {line}")


def test_without_a_terminal_nobody_is_forgotten_unless_yes_is_said(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(user_id="ann")])

    outcome = run("forget", "--user", "ann", "--dsn", dsn)

    assert outcome.code == 2
    assert "say --yes" in outcome.error_line
    assert usage.query("SELECT count() FROM events").rows == [(1,)]


def test_a_dry_run_counts_and_changes_nothing(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(user_id="ann")])

    outcome = run("forget", "--user", "ann", "--dry-run", "--dsn", dsn)

    assert (outcome.code, outcome.err) == (0, "")
    assert ["events", "1"] in [line.split() for line in outcome.out.splitlines()]
    assert usage.query("SELECT count() FROM events").rows == [(1,)]


def test_a_forgotten_person_is_counted_before_and_after(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(user_id="ann"), build_event()])

    outcome = run("forget", "--user", "ann", "--yes", "--dsn", dsn)

    assert (outcome.code, outcome.err) == (0, "")
    assert ["events", "1", "0"] in [line.split() for line in outcome.out.splitlines()]
    assert usage.query("SELECT count() FROM events").rows == [(1,)]


def test_one_visit_is_forgotten_by_its_key(usage: ClickHouse, dsn: str) -> None:
    insert_events(usage, [build_event(visit="gone"), build_event(visit="kept")])

    outcome = run("forget", "--visit", key_of("gone"), "--yes", "--dsn", dsn)

    assert (outcome.code, outcome.err) == (0, "")
    assert usage.query("SELECT visit_key FROM visits").rows == [(key_of("kept"),)]


def test_a_hashed_address_is_found_with_the_secret(usage: ClickHouse, dsn: str) -> None:
    hashed = AddressPolicy("hashed", "swordfish").apply("192.0.2.1").hashed
    insert_events(usage, [build_event()._replace(attributes={names.CLIENT_ADDRESS_HASH: hashed})])
    command = ("export-person", "--address", "192.0.2.1", "--dsn", dsn)

    without, found = run(*command), run(*command, OTEL_USAGE_SECRET="swordfish")

    assert without.out == ""
    assert without.err.startswith("otel-usage: OTEL_USAGE_SECRET is not set here")
    assert json.loads(found.out)["client_address_hash"] == hashed


def test_a_person_is_exported_into_a_file_for_its_owner(usage: ClickHouse, dsn: str, tmp_path: Path) -> None:
    insert_events(usage, [build_event(user_id="ann"), build_event()])
    path = tmp_path / "ann.jsonl"

    outcome = run("export-person", "--user", "ann", "--output", str(path), "--dsn", dsn)

    assert (outcome.code, outcome.out, outcome.err) == (0, "", "otel-usage: 1 rows written\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["user_id"] == "ann"


def test_an_export_of_nothing_says_so_and_is_no_failure(dsn: str) -> None:
    outcome = run("export-person", "--user", "ann", "--dsn", dsn)

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "otel-usage: nothing is held of this person\n"


def test_a_day_is_rebuilt(usage: ClickHouse, dsn: str) -> None:
    event = build_event()
    insert_events(usage, [event])
    insert_events(usage, [event])

    outcome = run("rebuild", "--day", "2026-03-10", "--dsn", dsn)

    assert (outcome.code, outcome.err) == (0, "")
    assert usage.query("SELECT requests FROM browsers_daily").rows == [(1,)]


# serve.


def test_a_directory_that_another_serve_holds_is_one_line(serve: ServeProcess) -> None:
    outcome = run("serve", "--data", str(serve.data), "--http-port", "0", "--otlp-port", "0")

    assert outcome.code == 1
    assert str(serve.data) in outcome.error_line


# Extras.


@pytest.mark.parametrize(("command", "extra"), [("serve", "serve"), ("demo", "demo")])
def test_a_missing_extra_is_named_with_the_line_that_installs_it(
    tmp_path: Path, command: str, extra: str
) -> None:
    # Python runs this first: packages that are not to be had.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules.update(dict.fromkeys(('uvicorn', 'starlette', 'gunicorn', 'flask')))"
    )

    outcome = run(command, PYTHONPATH=str(tmp_path))

    assert outcome.code == 1
    assert outcome.error_line.endswith(f". Install it with: pip install 'otel-usage[{extra}]'")


@pytest.mark.parametrize("day", ["2026-13-01", "today", "20260310", "2026-W10-2", ""])
def test_a_day_that_is_none_is_told_with_the_form_that_is(day: str) -> None:
    outcome = run("rebuild", "--day", day, "--dsn", "http://127.0.0.1:1/otel_usage")

    assert outcome.code == 2
    assert "is no day, expected YYYY-MM-DD" in outcome.err


def test_an_export_of_nothing_leaves_no_file(usage: ClickHouse, dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "nobody.jsonl"

    outcome = run("export-person", "--user", "nobody", "--output", str(path), "--dsn", dsn)

    assert (outcome.code, outcome.err) == (0, "otel-usage: nothing is held of this person\n")
    assert not path.exists()
