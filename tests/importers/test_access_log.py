"""`otel-usage import access-log`, with real files into a real database."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.importers.journal import Journal
from otel_usage.schema.retention import set_retention
from tests.builders import build_event, insert_events
from tests.importers.importing import assert_each_event_once, count, rows, run_import
from tests.importers.logs import combined, common, many, write_log
from tests.importers.test_log_events import REAL_LOG
from tests.importers.test_log_json import CADDY, NGINX
from tests.serving import start_serve, wait_for


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_each_line_is_a_request(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", [combined("/a"), combined("/b")])

    ran = run_import(usage, "access-log", log)

    assert ran.code == 0, ran.errors
    assert ran.output == f"{log}: 2 lines: 2 stored, 0 already there, 0 refused\n"
    assert sorted(rows(usage, "event_name, service_name, path, browser")) == [
        ("request", "shop", "/a", "Firefox"),
        ("request", "shop", "/b", "Firefox"),
    ]
    assert_each_event_once(usage)


def test_a_log_that_is_imported_twice_counts_once(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(1000))
    run_import(usage, "access-log", log)

    ran = run_import(usage, "access-log", log)

    assert ran.output == f"{log}: 1,100 lines: 0 stored, 1,100 already there, 0 refused\n"
    assert count(usage) == 1100
    assert_each_event_once(usage)


def test_lines_that_are_the_same_are_as_many_events(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", [combined(), combined(), combined()])

    run_import(usage, "access-log", log)

    assert count(usage) == 3


def test_a_log_that_has_grown_adds_what_is_new(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(500))
    run_import(usage, "access-log", log)
    write_log(log, many(800))

    ran = run_import(usage, "access-log", log)

    assert ran.output == f"{log}: 880 lines: 330 stored, 550 already there, 0 refused\n"
    assert_each_event_once(usage)


def test_copies_overlaps_and_compressed_files_count_once(usage: ClickHouse, tmp_path: Path) -> None:
    lines = many(1000)
    first = write_log(tmp_path / "access.log.1", lines[:700])
    second = write_log(tmp_path / "access.log", lines[400:])
    packed = tmp_path / "all.log.gz"
    packed.write_bytes(gzip.compress(b"".join(line.encode() + b"\r\n" for line in lines)))

    for log in (second, first, packed):
        run_import(usage, "access-log", log)

    assert count(usage) == len(lines)
    assert_each_event_once(usage)


def test_rotated_files_in_one_command_hold_each_line_once(usage: ClickHouse, tmp_path: Path) -> None:
    lines = many(100)
    logs = [write_log(tmp_path / f"{part}.log", lines[part * 55 : part * 55 + 55]) for part in range(2)]

    ran = run_import(usage, "access-log", *logs)

    assert [line.partition(": ")[2] for line in ran.output.splitlines()] == [
        "55 lines: 55 stored, 0 already there, 0 refused"
    ] * 2


def test_standard_input_is_read_too(
    usage: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write_log(tmp_path / "access.log", many(10))
    with log.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", type("Input", (), {"buffer": file}))

        ran = run_import(usage, "access-log", "-")

    assert ran.output == "standard input: 11 lines: 11 stored, 0 already there, 0 refused\n"


@pytest.mark.parametrize(
    ("lines", "host"),
    [
        pytest.param([common()], "", id="common"),
        pytest.param([combined()], "", id="combined"),
        pytest.param(["shop.example:443 " + combined()], "shop.example", id="vhost-combined"),
        pytest.param([json.dumps(NGINX)], "shop.example", id="nginx-json"),
        pytest.param([json.dumps(CADDY)], "shop.example", id="caddy-json"),
    ],
)
def test_the_format_of_a_file_is_found_out(
    usage: ClickHouse, tmp_path: Path, lines: list[str], host: str
) -> None:
    log = write_log(tmp_path / "access.log", ["garbage", *lines * 3])

    ran = run_import(usage, "access-log", log)

    assert (ran.code, count(usage)) == (0, 3)
    assert ran.output.splitlines()[0].endswith(": 4 lines: 3 stored, 0 already there, 1 refused")
    assert rows(usage, "DISTINCT host, toUnixTimestamp(timestamp) IN (1773144000, 1773143999)") == [(host, 1)]


def test_a_file_that_is_no_log_is_named(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "error.log", ["[error] something"])

    ran = run_import(usage, "access-log", log)

    assert (ran.code, ran.errors) == (
        1,
        f"otel-usage: {log}: its first 1 lines are in none of the known formats, which are: vhost-combined, combined, "
        "common, nginx-json, caddy-json. Leave the file out, or say the format with --format\n",
    )


def test_hostile_lines_are_counted_with_reasons_and_never_shown(usage: ClickHouse, tmp_path: Path) -> None:
    good = combined("/good").encode()
    lines = [
        good,
        b"\0" * 300,
        b"x" * (10 << 20),
        b"\xff\xfe broken \xc3(",
        combined(at="32/Foo/2026:99:99:99 +9999").encode(),
        combined(size="9" * 100).encode(),
        combined("/static/x.css").encode(),
        b"",
        combined(agent="\xff\xfe\0").encode("latin-1"),
        good,
    ]
    log = write_log(tmp_path / "access.log", lines)

    ran = run_import(usage, "access-log", log)

    assert ran.code == 0
    assert ran.output.splitlines() == [
        f"{log}: 9 lines: 3 stored, 0 already there, 6 refused",
        "  3 refused: not in the format combined (line 2, line 4, line 6)",
        "  1 refused: longer than 65,536 bytes (line 3)",
        "  1 refused: no time that can be read (line 5)",
        "  1 refused: a path that OTEL_USAGE_EXCLUDED_URLS excludes (line 7)",
    ]
    assert_each_event_once(usage)


def test_the_last_line_of_a_log_that_is_being_written_waits(usage: ClickHouse, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(f"{combined('/a')}\n{combined('/b')[:-30]}")
    first = run_import(usage, "access-log", log)
    write_log(log, [combined("/a"), combined("/b")])

    run_import(usage, "access-log", log)

    assert (
        "1 refused: without an end: the last line, which may still be being written (line 2)" in first.output
    )
    assert count(usage) == 2


def test_a_damaged_archive_gives_what_stands_before_the_damage(usage: ClickHouse, tmp_path: Path) -> None:
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(write_log(tmp_path / "a", many(30_000)).read_bytes())[:-5000])

    ran = run_import(usage, "access-log", packed)

    assert ran.code == 1
    assert "is damaged or cut off" in ran.errors
    assert count(usage) > 10_000
    assert_each_event_once(usage)


def test_a_dry_run_counts_and_stores_nothing(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(10))
    run_import(usage, "access-log", log)
    write_log(log, many(20))

    ran = run_import(usage, "access-log", log, "--dry-run")

    assert ran.output == f"{log}: 22 lines: 11 new, 11 already there, 0 refused\n"
    assert count(usage) == 11


def test_only_a_period_is_imported_when_one_is_named(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "access.log", [combined(at=f"{day}/Mar/2026:12:00:00 +0000") for day in (10, 11, 12)]
    )

    ran = run_import(usage, "access-log", log, "--since", "2026-03-11", "--until", "2026-03-12")

    assert ran.output.splitlines()[1] == "  2 refused: outside of --since and --until (line 1, line 3)"
    assert rows(usage, "toString(toDate(timestamp))") == [("2026-03-11",)]


def test_lines_reach_the_stages_of_the_funnel_file(
    usage: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    funnels = tmp_path / "funnels.toml"
    funnels.write_text(
        '[funnels.buy]\nstages = [{name = "cart", paths = ["/cart"]}, {name = "paid", paths = ["/paid"]}]'
    )
    monkeypatch.setenv("OTEL_USAGE_FUNNELS", str(funnels))
    log = write_log(
        tmp_path / "access.log", [combined("/"), combined("/cart?a=b"), combined("/paid", status=500)]
    )

    first, again = (run_import(usage, "access-log", log) for _ in range(2))

    assert "1 further events stored" in first.output
    assert "further" not in again.output
    assert rows(usage, "funnel, stage, browser", "event_name = 'stage_reached'") == [
        ("buy", "cart", "Firefox")
    ]


def test_lines_that_retention_would_delete_are_refused(database: ClickHouse, tmp_path: Path) -> None:
    from otel_usage.schema import migrate

    migrate(database)
    set_retention(database, 30)
    log = write_log(tmp_path / "access.log", many(3))

    ran = run_import(database, "access-log", log)

    assert ran.output.splitlines()[1] == (
        "  4 refused: older than the 30 days for which events are kept (OTEL_USAGE_RETENTION_DAYS)"
    )


def test_events_that_were_deleted_since_come_back(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(10))
    run_import(usage, "access-log", log)
    usage.command("ALTER TABLE events DELETE WHERE 1", settings={"mutations_sync": 2})

    ran = run_import(usage, "access-log", log)

    assert ran.output == f"{log}: 11 lines: 11 stored, 0 already there, 0 refused\n"
    assert count(usage) == 11


def test_an_import_needs_the_schema(database: ClickHouse, tmp_path: Path) -> None:
    ran = run_import(database, "access-log", write_log(tmp_path / "access.log", many(1)))

    assert ran.code == 1
    assert "Run: otel-usage migrate" in ran.errors


def test_views_that_a_crash_left_behind_are_mended(usage: ClickHouse, tmp_path: Path) -> None:
    """The events of a batch are there, its states are not, and nobody noted that it was stored."""
    log = write_log(tmp_path / "access.log", many(100))
    definition = usage.query(
        "SELECT create_table_query FROM system.tables WHERE name = 'pages_daily_mv' AND database = currentDatabase()"
    ).rows[0][0]
    usage.command("DROP TABLE pages_daily_mv SYNC")
    run_import(usage, "access-log", log)
    usage.command(definition)
    usage.command("ALTER TABLE imports DELETE WHERE is_stored = 1", settings={"mutations_sync": 2})
    assert len(Journal(usage).unfinished()) == 1

    run_import(usage, "access-log", log)

    assert Journal(usage).unfinished() == {}
    assert_each_event_once(usage)


def test_states_are_made_anew_when_the_token_may_be_forgotten(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(100))
    run_import(usage, "access-log", log)
    usage.command("TRUNCATE TABLE pages_daily_state")
    usage.command("ALTER TABLE imports DELETE WHERE is_stored = 1", settings={"mutations_sync": 2})
    usage.command("ALTER TABLE imports UPDATE block = 10000000 WHERE 1", settings={"mutations_sync": 2})

    ran = run_import(usage, "access-log", log)

    assert (
        ran.errors
        == "otel-usage: The states of 2026-03-10 were made anew, because an import was killed there\n"
    )
    assert Journal(usage).unfinished() == {}
    assert_each_event_once(usage)


def test_an_import_works_beside_live_traffic(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(45_000))
    stopping = threading.Event()
    live = 0

    def write() -> None:
        nonlocal live
        writer = connect(usage.dsn.masked)
        while not stopping.is_set():
            insert_events(writer, [build_event(service="shop") for _ in range(50)])
            live += 50
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    ran = run_import(usage, "access-log", log)
    stopping.set()
    thread.join()

    assert ran.code == 0
    assert live > 0
    assert count(usage) == 49_500 + live
    assert_each_event_once(usage)


def start_import(log: Path, dsn: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "otel_usage", "import", "access-log", str(log)]
    return subprocess.Popen([*command, "--service", "shop", "--dsn", dsn], stdout=subprocess.DEVNULL)


def wait_for_events(client: ClickHouse, events: int, process: subprocess.Popen[bytes]) -> None:
    wait_for(lambda: count(client) >= events or process.poll() is not None, "an insert")


def test_an_import_that_is_killed_goes_on_and_counts_once(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(120_000))
    for events in (1, 40_000, 80_000):
        process = start_import(log, usage.dsn.masked)
        wait_for_events(usage, events, process)
        process.kill()
        process.wait()
    before = count(usage)

    ran = run_import(usage, "access-log", log)

    assert 0 < before < 132_000
    assert ran.code == 0, ran.errors
    assert count(usage) == 132_000
    assert Journal(usage).unfinished() == {}
    assert_each_event_once(usage)


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(60_000))
    server = start_serve(tmp_path / "data")
    port = server.http_url.rpartition(":")[2]
    client = connect(server.dsn)
    process = start_import(log, server.dsn)
    wait_for_events(client, 20_000, process)
    client.close()
    server.process.kill()
    server.process.communicate()

    server = start_serve(tmp_path / "data", "--http-port", port)

    assert process.wait(timeout=180) == 0
    client = connect(server.dsn)
    assert count(client) == 66_000
    assert_each_event_once(client)
    client.close()
    server.stop()


def test_two_imports_of_one_log_at_once_count_once(usage: ClickHouse, tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", many(60_000))

    processes = [start_import(log, usage.dsn.masked) for _ in range(2)]

    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert count(usage) == 66_000
    assert_each_event_once(usage)


def test_a_real_log_is_taken_whole(usage: ClickHouse) -> None:
    if not REAL_LOG.exists():
        pytest.skip(f"{REAL_LOG} is not on this machine")

    ran = run_import(usage, "access-log", REAL_LOG)

    assert ran.output == f"{REAL_LOG}: 5,000 lines: 5,000 stored, 0 already there, 0 refused\n"
    assert_each_event_once(usage)
