"""What a copy says to databases that it cannot use, before anything is done; a password is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import load_migrations
from tests.copying.running import run_copy
from tests.serving import ServeProcess

_SECRET = "s3cr3t"


def with_password(dsn: str) -> str:
    return dsn.replace("http://", f"http://reader:{_SECRET}@")


def test_one_and_the_same_database_is_refused(source: ClickHouse) -> None:
    dsn = source.dsn.masked

    for other in (dsn, dsn.replace("127.0.0.1", "localhost")):
        ran = run_copy(dsn, other)

        assert ran.code == 2
        assert ran.errors.startswith("otel-usage: --from and --to are the same database, http://127.0.0.1:")


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        pytest.param("--from", (f"mysql://reader:{_SECRET}@db/x", "http://localhost/x"), id="source"),
        pytest.param("--to", ("http://localhost/x", f"http://reader:{_SECRET}@localhost/x/y"), id="target"),
    ],
)
def test_a_dsn_that_cannot_be_used_is_named_by_its_option(option: str, arguments: tuple[str, str]) -> None:
    ran = run_copy(*arguments)

    assert (ran.code, ran.output) == (2, "")
    assert ran.errors.startswith(f"otel-usage: {option}: The DSN ")
    assert _SECRET not in ran.errors


def test_two_directories_are_too_many_for_one_process(tmp_path: Path) -> None:
    ran = run_copy(f"chdb://{tmp_path}/one/otel_usage", f"chdb://{tmp_path}/two/otel_usage")

    assert ran.code == 2
    assert ran.errors.endswith("Run `otel-usage serve` on one of them\n")


def test_the_directory_of_a_running_serve_is_left_to_it(serve: ServeProcess, target: ClickHouse) -> None:
    ran = run_copy(f"chdb://{serve.data}/otel_usage", target.dsn.masked)

    assert ran.code == 1
    assert "is in use by process" in ran.errors


def test_a_target_that_is_missing_is_to_be_made(source: ClickHouse, serve: ServeProcess) -> None:
    absent = serve.dsn_of("nowhere")

    ran = run_copy(source.dsn.masked, absent)

    assert ran.code == 1
    assert f"There is no database {absent}. Run: otel-usage migrate" in ran.errors


def test_a_source_that_is_missing_is_not_to_be_made(
    serve: ServeProcess, target: ClickHouse, tmp_path: Path
) -> None:
    for absent in (serve.dsn_of("nowhere"), f"chdb://{tmp_path}/none/otel_usage"):
        ran = run_copy(absent, target.dsn.masked)

        assert ran.code == 1
        assert ran.errors == (
            f"otel-usage: --from: there is no database {absent}. Look at its name, the last part of the DSN\n"
        )


def test_an_account_that_is_refused_shows_no_password(source: ClickHouse, target: ClickHouse) -> None:
    ran = run_copy(with_password(source.dsn.masked), target.dsn.masked)

    assert ran.code == 1
    assert f"Look at user, password and rights in the DSN {source.dsn!r}" in ran.errors
    assert _SECRET not in ran.errors


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_side_whose_schema_is_old_is_told_to_migrate(
    source: ClickHouse, database: ClickHouse, side: str
) -> None:
    dsns = (database.dsn.masked, source.dsn.masked)

    ran = run_copy(*(dsns if side == "source" else reversed(dsns)))

    assert ran.code == 1
    assert f"The schema of the {side}, {database.dsn!r}, is old or missing" in ran.errors
    assert f"Run: otel-usage migrate --dsn {database.dsn.masked}" in ran.errors


def test_a_schema_that_is_newer_is_named_with_its_side(source: ClickHouse, target: ClickHouse) -> None:
    newer = load_migrations()[-1].version + 1
    target.command(f"INSERT INTO schema_migrations (version, name) VALUES ({newer}, 'to_come')")
    try:
        ran = run_copy(source.dsn.masked, target.dsn.masked)
    finally:
        target.command(
            f"ALTER TABLE schema_migrations DELETE WHERE version = {newer}", settings={"mutations_sync": 2}
        )

    assert ran.code == 1
    assert ran.errors.startswith(
        f"otel-usage: The target: The database '{target.dsn.database}' has migration {newer:04}"
    )
