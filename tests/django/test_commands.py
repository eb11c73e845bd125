"""`manage.py usage_migrate` and `usage_report` do what the commands of `otel-usage` do."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from otel_usage.cli import main
from otel_usage.clickhouse import ClickHouse
from otel_usage.reports import REPORTS
from otel_usage.schema import load_migrations
from tests.builders import NOON, build_event, build_stage, insert_events
from tests.serving import ServeProcess

ROOT = Path(__file__).parents[2]
PERIOD = ("--since", "2026-03-01", "--until", "2026-03-20")


@pytest.fixture
def dsn(usage: ClickHouse, serve: ServeProcess) -> str:
    """The database of a site with two requests and a counter in it."""
    insert_events(
        usage,
        [
            build_event("request", visit="first", path="/one"),
            build_event("request", visit="second", path="/two"),
            build_event(
                "counter", object_type="shop.Product", object_id="7", counter_name="n", counter_value=1
            ),
            build_stage(1, NOON, visit="second"),
        ],
    )
    return serve.dsn_of(usage.dsn.database)


def call(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("output_format", ["table", "json", "csv"])
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_is_what_the_command_line_prints(
    django_site: None, dsn: str, name: str, output_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["report", name, *PERIOD, "--format", output_format, "--dsn", dsn])
    expected = capsys.readouterr()

    out, err = call("usage_report", name, *PERIOD, "--format", output_format, "--dsn", dsn)

    assert out == expected.out
    assert err.replace("usage_report:", "otel-usage:") == expected.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "Unknown report 'nothing', must be one of: "),
        ([], "Which report? One of: "),
        (["browsers", "--funnel", "buy"], "The report 'browsers' takes no --funnel"),
        (["browsers", "--stage", "cart"], "The report 'browsers' takes no --stage"),
        (["browsers", "--trace", "f"], "The report 'browsers' takes no --trace"),
        (["spans", "--trace", "zzz"], "--trace is 'zzz', expected 32 hex digits"),
        (["browsers", "--bucket", "day"], "The report 'browsers' takes no --bucket"),
        (["browsers", "--bots", "no"], "invalid choice: 'no'"),
        (["browsers", "--since", "yesterday"], "'yesterday'"),
        (["browsers", "--limit", "0"], "'0', expected a whole number from 1 to 1000000"),
        (["browsers", "--limit", "9" * 5000], "expected a whole number from 1 to 1000000"),
        (["browsers", "--service", ""], "is empty, expected a name"),
        (["browsers", "--dsn", "ftp://nowhere"], "The DSN cannot be used, expected http"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(
    django_site: None, arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError) as caught:
        call("usage_report", *arguments)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_list_names_every_report(django_site: None) -> None:
    out, _ = call("usage_report", "--list")

    assert [line.split()[0] for line in out.splitlines()] == list(REPORTS)


def test_migrate_makes_the_schema_and_is_repeatable(
    django_site: None, serve: ServeProcess, database: ClickHouse
) -> None:
    dsn = serve.dsn_of(database.dsn.database)

    first, _ = call("usage_migrate", "--dsn", dsn)
    second, _ = call("usage_migrate", "--dsn", dsn)

    assert all(migration.name in first for migration in load_migrations())
    assert not any(migration.name in second for migration in load_migrations())


def test_a_dry_run_changes_nothing(django_site: None, serve: ServeProcess, database: ClickHouse) -> None:
    call("usage_migrate", "--dry-run", "--dsn", serve.dsn_of(database.dsn.database))

    assert database.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["usage_report", "nothing"], 2, "Unknown report"),
        (["usage_report", "browsers"], 1, "otel-usage serve"),
        (["usage_migrate"], 1, "otel-usage serve"),
    ],
)
def test_manage_py_ends_with_our_exit_codes_and_one_line(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.django.project.settings",
            "OTEL_USAGE_DSN": "http://127.0.0.1:9/nobody",
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
