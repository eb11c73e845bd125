from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from otel_usage.settings import Settings
from otel_usage.visits import store_access
from otel_usage.visits.conformance import FakeVisitor
from otel_usage.visits.database import SqlalchemyVisitManager
from otel_usage.visits.ticket import Ticket
from tests.serving import wait_for
from tests.visits.cookies import SECRET, Clock
from tests.visits.databases import database_manager, rows, visit_database

__all__ = ["visit_database"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(visit_database: str) -> str:
    return f"{visit_database}?timeout=0.01"  # of SQLite's wait for a lock


@pytest.fixture
def workers(url: str, clock: Clock) -> Iterator[list[SqlalchemyVisitManager]]:
    workers = [database_manager(url, clock) for _ in range(2)]
    yield workers
    for worker in workers:
        worker.close()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Let nobody read or write the database in the block."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def end_pause(*workers: SqlalchemyVisitManager) -> None:
    """Let the next request of each worker try the store, as it would some seconds later."""
    for worker in workers:
        if worker._store._down_until:
            worker._store._down_until = 0.001


def is_down(worker: SqlalchemyVisitManager) -> bool:
    return worker._store.is_down


def ticket_of(visitor: FakeVisitor, manager: SqlalchemyVisitManager) -> Ticket:
    ticket = manager._tickets.read(visitor.cookie.partition("=")[2])
    assert ticket is not None
    return ticket


def test_nobody_loses_a_visit_by_an_outage(
    workers: list[SqlalchemyVisitManager], url: str, clock: Clock
) -> None:
    visitors = [FakeVisitor() for _ in range(5)]
    keys = [visitor.visit(workers[0]).key for visitor in visitors]

    with locked(url):
        visitors += [FakeVisitor() for _ in range(5)]
        keys += [visitor.visit(workers[1]).key for visitor in visitors[5:]]
        for _ in range(6):  # two hours, each pause nearly as long as a visit may pause
            clock.move(seconds=1199)
            for number, visitor in enumerate(visitors):
                assert visitor.visit(workers[number % 2]).key == keys[number]

    clock.move(seconds=1199)
    end_pause(*workers)
    third = database_manager(url, clock)  # one that has started only now
    for number, visitor in enumerate(visitors):
        assert visitor.visit([*workers, third][number % 3]).key == keys[number]
    third.close()
    for worker in workers:
        assert worker.flush()
    stored = {row["visit_key"]: row["expiry"] for row in rows(url)}
    assert stored.keys() == set(keys)
    assert len(set(stored.values())) == 1, "all were seen at the same time"


def test_the_rows_of_visits_that_were_opened_in_an_outage_say_when_that_was(
    workers: list[SqlalchemyVisitManager], url: str, clock: Clock
) -> None:
    visitor = FakeVisitor()
    with locked(url):
        first = visitor.visit(workers[0])
    clock.move(seconds=600)
    end_pause(*workers)

    assert visitor.visit(workers[1]) == first._replace(is_new=False)

    (row,) = rows(url)
    assert (row["visit_key"], row["visitor_id"]) == (first.key, first.visitor_id)
    assert (row["created"], row["expiry"]) == ("2027-01-15 08:00:00.000000", "2027-01-15 08:30:00.000000")


def test_a_ticket_says_for_as_long_as_the_outage_that_the_store_does_not_know(
    workers: list[SqlalchemyVisitManager], url: str
) -> None:
    worker, visitor = workers[0], FakeVisitor()
    visitor.visit(worker)
    assert not ticket_of(visitor, worker).is_provisional

    with locked(url):
        visitor.visit(worker)
        assert ticket_of(visitor, worker).is_provisional
        assert visitor.state(worker).set_cookie == "", "once is enough"
    end_pause(worker)
    visitor.visit(worker)

    assert not ticket_of(visitor, worker).is_provisional
    assert visitor.state(worker).set_cookie == ""


def test_a_visit_that_is_over_is_not_revived_by_an_outage(
    workers: list[SqlalchemyVisitManager], url: str, clock: Clock
) -> None:
    visitor = FakeVisitor()
    with locked(url):
        first = visitor.visit(workers[0])
        clock.now_ms += 1_200_001
        second = visitor.visit(workers[0])
    end_pause(*workers)

    assert second.is_new
    assert second.key != first.key
    assert visitor.visit(workers[1]).key == second.key
    assert [row["visit_key"] for row in rows(url)] == [second.key]


def test_a_database_that_is_down_at_the_start_is_made_ready_later(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path}/later/visits.db"
    manager, visitor = database_manager(url, clock), FakeVisitor()
    first = visitor.visit(manager)

    (tmp_path / "later").mkdir()
    end_pause(manager)

    assert visitor.visit(manager) == first._replace(is_new=False)
    assert [row["visit_key"] for row in rows(url)] == [first.key]
    manager.close()


def test_the_background_finds_out_that_the_database_is_up_again(
    url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlalchemyVisitManager, "update_interval_seconds", 0.01)
    monkeypatch.setattr(store_access, "PAUSE_SECONDS", 3600.0)
    manager, visitor = database_manager(url, clock), FakeVisitor()
    visitor.visit(manager)
    with locked(url):
        visitor.visit(manager)
        wait_for(lambda: is_down(manager), "the outage")

    wait_for(lambda: not is_down(manager), "the end of the outage, before that of the pause")
    manager.close()


def test_while_the_database_is_down_only_one_request_waits_for_it(
    workers: list[SqlalchemyVisitManager], url: str
) -> None:
    attempts: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        attempts.append(statement)

    sa.event.listen(workers[0]._database.engine, "before_cursor_execute", note)

    with locked(url):
        for _ in range(100):
            assert FakeVisitor().visit(workers[0]).is_new

    assert len(attempts) == 1


class HastyManager(SqlalchemyVisitManager):
    store_timeout_seconds = 0.2


@pytest.fixture
def hanging(visit_database: str, clock: Clock) -> Iterator[HastyManager]:
    """A manager whose database takes statements and answers none of them, until the end of the test."""
    manager = HastyManager(visit_database)
    manager.set_up(Settings.load({}), SECRET, clock_ms=clock)
    may_go_on = threading.Event()

    def hang(*arguments: object) -> None:
        may_go_on.wait(60)

    sa.event.listen(manager._database.engine, "before_cursor_execute", hang)
    yield manager
    may_go_on.set()
    manager.close()


def test_a_database_that_hangs_holds_a_request_up_for_a_moment_and_once(hanging: HastyManager) -> None:
    visitor = FakeVisitor()
    before = time.monotonic()

    first = visitor.visit(hanging)
    visits = [visitor.visit(hanging) for _ in range(100)]

    # Less than if each had waited.
    assert time.monotonic() - before < 15
    assert first.is_new
    assert set(visits) == {first._replace(is_new=False)}


def test_requests_in_parallel_are_held_up_no_longer(hanging: HastyManager) -> None:
    visits = []
    threads = [
        threading.Thread(target=lambda: visits.append(FakeVisitor().visit(hanging))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len({visit.key for visit in visits}) == 16


def test_the_end_of_the_process_does_not_wait_for_a_database_that_hangs(hanging: HastyManager) -> None:
    visitor = FakeVisitor()
    visitor.visit(hanging)
    visitor.visit(hanging)
    before = time.monotonic()

    hanging.close(0.05)
    hanging.close(0.05)

    assert time.monotonic() - before < 15


def run_workers(url: str, how: str) -> list[tuple[str, bool, str]]:
    output = subprocess.run(
        [sys.executable, "-m", "tests.visits.database_workers", url, how],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert output.stderr == ""
    return [tuple(json.loads(line)) for line in output.stdout.splitlines()]


def test_eight_processes_create_the_table_at_once_and_settle_a_tie(tmp_path: Path) -> None:
    visits = run_workers(f"sqlite:///{tmp_path}/visits.db", "parallel")

    assert len(visits) == 8
    assert len({(key, visitor_id) for key, _, visitor_id in visits}) == 1
    assert sum(is_new for _, is_new, _ in visits) == 1


def test_a_forked_worker_has_connections_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/visits.db"

    visits = run_workers(url, "forked")

    assert len(visits) == 8
    assert len({key for key, _, _ in visits}) == 1
    assert not any(is_new for _, is_new, _ in visits)
    assert len(rows(url)) == 1 + 8 + 10
