"""Whatever is killed, and whenever: run again, a copy leaves everything once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.importers.journal import Entry, Journal
from otel_usage.schema import migrate
from tests.builders import build_event, insert_events
from tests.copying.running import assert_equal, assert_has_once, copy, line_of, run_copy, traffic
from tests.privacy.traffic import insert_batches
from tests.serving import start_serve, wait_for

_SERVICES, _MONTHS = 3, 2
EVENTS = _SERVICES * _MONTHS * 50
_MANY_BATCHES = f"""
INSERT INTO events (timestamp, event_name, service_name, trace_id_bytes, span_id_bytes, path, visit_key_bytes,
    visitor_id_bytes, visit_is_new, object_type, object_id, counter_name, counter_value, funnel, stage, stage_index)
SELECT addMonths(toDateTime64('2026-03-10 12:00:00', 9, 'UTC'), number % {_MONTHS}) + intDiv(number, 6) * 997,
    ['request', 'object_viewed', 'counter', 'stage_reached', 'activity'][number % 5 + 1],
    concat('shop', toString(number % {_SERVICES})), toFixedString(unhex(leftPad(hex(cityHash64(number)), 32, '0')), 16),
    toFixedString(unhex(leftPad(hex(number), 16, '0')), 8), concat('/', toString(number % 17)),
    toFixedString(unhex(leftPad(hex(number % 90 + 1), 32, '7')), 16), toFixedString(unhex(leftPad(hex(number % 60 + 1), 32, '8')), 16),
    number < 90, 'thing', toString(number % 5), 'likes', number % 7, 'buy', toString(number % 3), number % 3 + 1
FROM numbers({EVENTS})
"""


class Servers:
    """Two servers, each of which can be killed and started again at its address."""

    def __init__(self, directory: Path) -> None:
        self.processes = [start_serve(directory / name) for name in ("source", "target")]
        self.source = connect(self.processes[0].dsn)
        self.source.command(_MANY_BATCHES)
        self.target = self.source

    def begin(self) -> None:
        """Make a target without anything, also without the memory of batches that came before."""
        self.target = connect(self.processes[1].dsn_of(f"copy_{uuid4().hex}"), create_database=True)
        migrate(self.target)

    @property
    def dsns(self) -> tuple[str, str]:
        return self.source.dsn.masked, self.target.dsn.masked

    def kill(self, place: int) -> None:
        server = self.processes[place]
        with server.process:
            os.kill(server.process.pid, signal.SIGKILL)

    def start_again(self, place: int) -> None:
        server = self.processes[place]
        port = server.http_url.rpartition(":")[2]
        self.processes[place] = start_serve(server.data, "--http-port", port)

    def stop(self) -> None:
        self.source.close()
        for server in self.processes:
            server.stop()


@pytest.fixture(scope="module")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture
def servers(_servers: Servers) -> Iterator[Servers]:
    """A full source, and a target without anything."""
    _servers.begin()
    yield _servers
    _servers.target.close()


@contextmanager
def copying(servers: Servers) -> Iterator[subprocess.Popen[str]]:
    """Run a copy as a process of its own."""
    source, target = servers.dsns
    with subprocess.Popen(
        [sys.executable, "-m", "otel_usage", "copy", "--from", source, "--to", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def wait_for_batches(client: ClickHouse, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many batches are under way or stored, or the copy has ended."""

    def are_there() -> bool:
        rows = client.query("SELECT uniqExact(batch) FROM imports WHERE startsWith(batch, 'copy-')").rows
        return rows[0][0] >= number or process.poll() is not None

    wait_for(are_there, f"batch {number}")


def forget_that_batches_were_stored(client: ClickHouse) -> None:
    """Leave what a copy has noted before it sent its batches, and nothing else."""
    batches = client.query(
        "SELECT batch, attempt, days, events, block FROM imports FINAL WHERE startsWith(batch, 'copy-')"
    ).rows
    client.command("TRUNCATE TABLE imports")
    Journal(client).write(
        [
            Entry(batch, attempt, False, "shop", tuple(days), events, block, 0)
            for batch, attempt, days, events, block in batches
        ]
    )


def test_a_copy_that_is_killed_again_and_again_ends_with_everything_once(servers: Servers) -> None:
    source, target = servers.source, servers.target
    for batches in (1, 3, 5):
        with copying(servers) as process:
            wait_for_batches(target, batches, process)
            process.kill()

    ran = run_copy(*servers.dsns)

    assert ran.code == 0
    assert line_of(ran, "events")[0] == line_of(ran, "events")[3] == EVENTS
    assert_equal(source, target)


@pytest.mark.parametrize("place", [0, 1], ids=["source", "target"])
def test_a_copy_outlasts_a_server_that_is_killed(servers: Servers, place: int) -> None:
    source, target = servers.source, servers.target
    with copying(servers) as process:
        wait_for_batches(target, 3, process)
        servers.kill(place)
        servers.start_again(place)
        _, errors = process.communicate()

    assert (process.returncode, "NOT EQUAL" in errors) == (0, False), errors
    assert run_copy(*servers.dsns).code == 0
    assert_equal(source, target)


def test_of_two_copies_at_once_one_waits_for_the_other(servers: Servers) -> None:
    source, target = servers.source, servers.target
    with copying(servers) as one, copying(servers) as other:
        ended = [process.communicate() for process in (one, other)]

    copied = [int(output.split("events", 1)[1].split()[1]) for output, _ in ended]
    assert (one.returncode, other.returncode) == (0, 0), ended
    assert sorted(copied) == [0, EVENTS]
    assert any("Another copy into this database is running" in errors for _, errors in ended)
    assert_equal(source, target)


def test_events_that_come_while_a_copy_runs_are_taken_by_it_or_by_the_next_one(servers: Servers) -> None:
    source, target = servers.source, servers.target
    with copying(servers) as process:
        wait_for_batches(target, 1, process)
        insert_batches(source, traffic(4, people=["ann"]), size=5)
        _, errors = process.communicate()
    assert process.returncode == 0, errors

    ran = run_copy(*servers.dsns)

    assert ran.code == 0
    assert_equal(source, target)


def test_a_batch_that_never_comes_again_has_its_days_made_anew(
    source: ClickHouse, target: ClickHouse
) -> None:
    """Killed with the server between events and views, and the source has got more events of that time since."""
    insert_events(source, [build_event(at=f"2026-03-{day}T10:00:00") for day in (30, 31)])
    copy(source, target)
    target.command("TRUNCATE TABLE ips_daily_state")
    forget_that_batches_were_stored(target)
    insert_events(source, [build_event(at="2026-03-31T09:00:00")])

    ran = copy(source, target)

    assert "The states of 2026-03-30 were made anew, because an import was killed there" in ran.errors
    assert ran.code == 0
    assert_equal(source, target)


def test_a_server_that_does_not_come_back_is_given_up_with_what_to_do(tmp_path: Path) -> None:
    server = start_serve(tmp_path / "data")
    server.stop()

    ran = run_copy(server.dsn, server.dsn_of("other"))

    assert ran.code == 1
    assert "does not answer: Connection refused. Is ClickHouse running?" in ran.errors


def test_the_directory_of_a_stopped_serve_is_a_source_too(servers: Servers, tmp_path: Path) -> None:
    stopped = start_serve(tmp_path / "data")
    events = traffic(5)
    with closing(connect(stopped.dsn)) as client:
        insert_batches(client, events, size=60)
    stopped.stop()

    # In a process of its own, because the engine stays in it.
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "otel_usage",
            "copy",
            "--from",
            f"chdb://{stopped.data}/otel_usage",
            "--to",
            servers.dsns[1],
        ],
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    assert_has_once(servers.target, events)
