from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from otel_usage.errors import SettingError
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.conformance import FakeVisitor
from otel_usage.visits.database import SqlalchemyVisitManager
from otel_usage.visits.manager import VisitRequest
from otel_usage.visits.visit_row import VisitColumns
from tests.visits.cookies import SECRET, Clock
from tests.visits.databases import database_manager, rows, visit_database

__all__ = ["visit_database"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(visit_database: str, clock: Clock) -> Iterator[SqlalchemyVisitManager]:
    manager = database_manager(visit_database, clock)
    yield manager
    manager.close()


@contextmanager
def counted(manager: SqlalchemyVisitManager) -> Iterator[list[str]]:
    """Give the list of the verbs of statements that the database gets in the block."""
    verbs: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        verbs.append(statement.split()[0])

    engine = manager._database.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield verbs
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_a_new_visit_is_one_row_that_anybody_can_read(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    visit = FakeVisitor().visit(manager)

    (row,) = rows(visit_database)
    assert (row["visit_key"], row["visitor_id"]) == (visit.key, visit.visitor_id)
    assert row["created"] == "2027-01-15 08:00:00.000000"
    assert row["expiry"] == "2027-01-15 08:20:00.000000"


def test_a_new_visit_costs_one_statement(manager: SqlalchemyVisitManager) -> None:
    with counted(manager) as verbs:
        FakeVisitor().visit(manager)

    assert verbs == ["INSERT"]


def test_a_returning_visitor_costs_no_statement_within_the_interval(
    manager: SqlalchemyVisitManager, clock: Clock
) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    visitor.visit(manager)

    with counted(manager) as verbs:
        for _ in range(100):
            clock.move(seconds=100)
            assert visitor.visit(manager).key == first.key

    assert verbs == []


def test_a_returning_visitor_costs_one_read_in_each_interval(manager: SqlalchemyVisitManager) -> None:
    visitor = FakeVisitor()
    visitor.visit(manager)
    visitor.visit(manager)
    manager.flush()

    with counted(manager) as verbs:
        for _ in range(10):
            visitor.visit(manager)

    assert verbs == ["SELECT"]


def test_a_forged_ticket_never_reaches_the_database(manager: SqlalchemyVisitManager) -> None:
    visitor = FakeVisitor()
    visitor.visit(manager)
    forged = visitor.cookie[:-1] + ("A" if visitor.cookie[-1] != "A" else "B")

    with counted(manager) as verbs:
        FakeVisitor(cookie=forged).visit(manager)

    assert verbs == ["INSERT"]


def test_queued_expiry_times_are_written_in_one_transaction(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    visitors = [FakeVisitor() for _ in range(20)]
    for _ in range(2):
        for visitor in visitors:
            visitor.visit(manager)
    clock.move(seconds=600)
    for visitor in visitors:
        visitor.visit(manager)
    commits: list[object] = []
    sa.event.listen(manager._database.engine, "commit", commits.append)

    with counted(manager) as verbs:
        assert manager.flush()

    assert (verbs, len(commits)) == (["UPDATE"], 1)
    assert {row["expiry"] for row in rows(visit_database)} == {"2027-01-15 08:30:00.000000"}


def test_an_update_that_fails_half_way_changes_nothing(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    keys = sorted(FakeVisitor().visit(manager).key for _ in range(2))
    before = rows(visit_database)
    clock.move(seconds=600)
    with manager._database.transaction() as connection:
        connection.execute(
            sa.text(
                f"CREATE TRIGGER refuse BEFORE UPDATE ON otel_usage_visit WHEN NEW.visit_key = '{keys[1]}' "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )

    with pytest.raises(IntegrityError, match="refused"):
        manager.update_queued_visits(dict.fromkeys(keys, manager.expiry_from_now()))

    assert rows(visit_database) == before


def test_an_expiry_is_never_moved_back(manager: SqlalchemyVisitManager, visit_database: str) -> None:
    visit = FakeVisitor().visit(manager)
    before = rows(visit_database)

    manager.update_queued_visits({visit.key: datetime.fromisoformat("2027-01-15T08:10:00+00:00")})

    assert rows(visit_database) == before


def test_a_visit_whose_row_was_deleted_is_over(manager: SqlalchemyVisitManager, visit_database: str) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    with manager._database.transaction() as connection:
        connection.execute(sa.text("DELETE FROM otel_usage_visit"))

    again = visitor.visit(manager)

    assert again.is_new
    assert again.key != first.key
    assert again.visitor_id == first.visitor_id


def test_the_end_of_the_process_writes_what_waits(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    visitor = FakeVisitor()
    visitor.visit(manager)
    clock.move(seconds=600)
    visitor.visit(manager)

    manager.close()

    (row,) = rows(visit_database)
    assert row["expiry"] == "2027-01-15 08:30:00.000000"


def test_rows_are_deleted_a_day_after_their_visit_ended(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    for number in range(1500):  # more than are deleted at once
        manager.new_visit_with_key(f"{number:032x}")
    clock.move(seconds=1200 + 86_400)
    manager.tidy_up()
    assert len(rows(visit_database)) == 1500

    clock.move(seconds=3600)
    last = FakeVisitor().visit(manager)
    manager.tidy_up()

    assert [row["visit_key"] for row in rows(visit_database)] == [last.key]


def test_rows_are_looked_through_once_an_hour(manager: SqlalchemyVisitManager, clock: Clock) -> None:
    manager.tidy_up()

    with counted(manager) as verbs:
        for _ in range(59):
            clock.move(seconds=60)
            manager.tidy_up()

    assert verbs == []


# Parallel first requests.


def test_parallel_first_requests_of_one_visitor_are_one_visit_and_one_is_new(
    manager: SqlalchemyVisitManager, visit_database: str
) -> None:
    with ThreadPoolExecutor(8) as threads:
        visits = list(threads.map(lambda _: FakeVisitor("192.0.2.1").visit(manager), range(8)))

    assert len({visit.key for visit in visits}) == 1
    assert len({visit.visitor_id for visit in visits}) == 1
    assert sum(visit.is_new for visit in visits) == 1
    assert len(rows(visit_database)) == 1


def test_a_database_that_refuses_a_second_row_by_an_error_settles_ties_too(
    manager: SqlalchemyVisitManager, visit_database: str
) -> None:
    manager._database.engine.dialect.name = "another one"

    with ThreadPoolExecutor(8) as threads:
        visits = list(threads.map(lambda _: FakeVisitor("192.0.2.1").visit(manager), range(8)))

    assert len({visit.key for visit in visits}) == 1
    assert sum(visit.is_new for visit in visits) == 1
    assert len(rows(visit_database)) == 1


def test_parallel_first_requests_carry_on_the_same_visit(manager: SqlalchemyVisitManager) -> None:
    first, second = FakeVisitor("192.0.2.1"), FakeVisitor("192.0.2.1")
    opened = first.visit(manager)
    second.visit(manager)

    assert second.visit(manager) == first.visit(manager) == opened._replace(is_new=False)


def test_parallel_requests_after_a_pause_are_one_visit_of_the_same_visitor(
    manager: SqlalchemyVisitManager, clock: Clock
) -> None:
    visitor = FakeVisitor()
    earlier = visitor.visit(manager)
    clock.move(seconds=1201)

    # From two addresses: a phone that has just left the house.
    visits = [FakeVisitor(cookie=visitor.cookie).visit(manager) for _ in range(4)]

    assert len({visit.key for visit in visits} | {earlier.key}) == 2
    assert {visit.visitor_id for visit in visits} == {earlier.visitor_id}
    assert [visit.is_new for visit in visits] == [True, False, False, False]


@pytest.mark.parametrize(
    ("seconds", "is_one_visit"), [(0.0, True), (5.0, True), (5.001, False), (60.0, False)]
)
def test_first_requests_are_parallel_for_a_few_seconds(
    manager: SqlalchemyVisitManager, clock: Clock, seconds: float, is_one_visit: bool
) -> None:
    first = FakeVisitor("192.0.2.1").visit(manager)
    clock.move(seconds)

    second = FakeVisitor("192.0.2.1").visit(manager)

    assert (second.key == first.key) is is_one_visit
    assert second.is_new is not is_one_visit


def test_a_visit_whose_cookie_came_back_takes_nobody_in(manager: SqlalchemyVisitManager) -> None:
    first = FakeVisitor("192.0.2.1")
    confirmed = first.visit(manager)
    first.visit(manager)

    neighbour = FakeVisitor("192.0.2.1").visit(manager)

    assert neighbour.is_new
    assert neighbour.key != confirmed.key


def test_other_addresses_agents_and_languages_are_other_visitors(manager: SqlalchemyVisitManager) -> None:
    def key(address: str, agent: str, language: str, host: str = "shop.example") -> str:
        facts = RequestFacts("GET", "http", host, "/", "", "10.0.0.1", agent, accept_language=language)
        state = manager.visit_for_request(VisitRequest(facts, address))
        assert state is not None
        return state.visit.key

    keys = [
        key("192.0.2.1", "a", "de"),
        key("192.0.2.2", "a", "de"),
        key("192.0.2.1", "b", "de"),
        key("192.0.2.1", "a", "fr"),
        key("192.0.2.1", "a", "de", host="other.example"),
        key("192.0.2.1", "ade", ""),
    ]

    assert len(set(keys)) == len(keys)
    assert key("192.0.2.1", "a", "de") == keys[0]


def test_visitors_of_unknown_address_are_never_taken_for_one(manager: SqlalchemyVisitManager) -> None:
    assert FakeVisitor("").visit(manager).key != FakeVisitor("").visit(manager).key


def test_ties_can_be_left_alone(visit_database: str, clock: Clock) -> None:
    class Manager(SqlalchemyVisitManager):
        tie_seconds = 0.0

    manager = Manager(visit_database)
    manager.set_up(Settings.load({}), SECRET, clock_ms=clock)

    visits = [FakeVisitor("192.0.2.1").visit(manager) for _ in range(2)]

    assert all(visit.is_new for visit in visits)
    manager.close()


def test_nothing_of_the_visitor_stands_in_the_table(
    manager: SqlalchemyVisitManager, visit_database: str
) -> None:
    FakeVisitor("192.0.2.1").visit(manager)

    (row,) = rows(visit_database)
    text = str(row)
    assert "192.0.2.1" not in text
    assert "Mozilla" not in text
    assert len(bytes.fromhex(row["fingerprint"])) == 16


def test_a_fingerprint_says_nothing_without_the_secret(visit_database: str, clock: Clock) -> None:
    for secret in ("one", "another"):
        manager = database_manager(visit_database, clock, secret)
        FakeVisitor("192.0.2.1").visit(manager)
        manager.close()

    assert len({row["fingerprint"] for row in rows(visit_database)}) == 2


def test_fingerprints_are_forgotten_soon(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    FakeVisitor().visit(manager)
    clock.move(seconds=5.001)

    manager.tidy_up()

    assert [row["fingerprint"] for row in rows(visit_database)] == [None]


def test_a_robot_that_takes_no_cookies_does_not_fill_the_table(
    manager: SqlalchemyVisitManager, visit_database: str, clock: Clock
) -> None:
    for _ in range(50):
        FakeVisitor("192.0.2.1").visit(manager)
        clock.move(seconds=0.1)

    assert len(rows(visit_database)) == 1


# The table.


def test_the_table_is_created_at_the_start_and_may_be_created_again(
    manager: SqlalchemyVisitManager, visit_database: str
) -> None:
    FakeVisitor().visit(manager)

    manager.create_model()

    assert len(rows(visit_database)) == 1
    indexes = {
        index["name"] for index in sa.inspect(manager._database.engine).get_indexes("otel_usage_visit")
    }
    assert indexes == {"ix_otel_usage_visit_expiry"}


def test_the_app_may_bring_a_table_of_its_own(visit_database: str, clock: Clock) -> None:
    class Base(DeclarativeBase):
        pass

    class ShopVisit(VisitColumns, Base):
        __tablename__ = "shop_visit"
        campaign: Mapped[str | None] = mapped_column(sa.String(80))
        kind: Mapped[str] = mapped_column(sa.String(10), default="web")

    manager = database_manager(visit_database, clock, model=ShopVisit)
    visit = FakeVisitor().visit(manager)
    manager.close()

    (row,) = rows(visit_database, "SELECT visit_key, campaign, kind FROM shop_visit")
    assert row == {"visit_key": visit.key, "campaign": None, "kind": "web"}


def test_a_table_that_lacks_a_column_is_refused_with_the_name(visit_database: str, clock: Clock) -> None:
    table = sa.Table("visit", sa.MetaData(), sa.Column("visit_key", sa.String(32), primary_key=True))

    with pytest.raises(SettingError) as caught:
        database_manager(visit_database, clock, model=table)

    assert str(caught.value) == (
        "The table 'visit' cannot hold visits, it lacks: visitor_id, created, expiry, fingerprint. "
        "Let its class inherit from otel_usage.visits.visit_row.VisitColumns"
    )


@pytest.mark.parametrize("dialect", ["sqlite", "another one"])
def test_a_column_that_nobody_fills_is_an_error_and_not_a_tie(
    visit_database: str, clock: Clock, caplog: pytest.LogCaptureFixture, dialect: str
) -> None:
    class Base(DeclarativeBase):
        pass

    class StrictVisit(VisitColumns, Base):
        __tablename__ = "strict_visit"
        needed: Mapped[str] = mapped_column(sa.String(10))

    manager = database_manager(visit_database, clock, model=StrictVisit)
    manager._database.engine.dialect.name = dialect
    visitor = FakeVisitor()
    first = visitor.visit(manager)

    assert visitor.visit(manager) == first._replace(is_new=False), "by its ticket"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "IntegrityError" in caplog.records[0].getMessage()
    manager.close()


# The URL.


def test_the_setting_names_the_database(visit_database: str, clock: Clock) -> None:
    manager = SqlalchemyVisitManager()
    manager.set_up(Settings.load({"OTEL_USAGE_VISIT_DATABASE": visit_database}), SECRET, clock_ms=clock)
    FakeVisitor().visit(manager)
    manager.close()

    assert len(rows(visit_database)) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            None,
            "The sqlalchemy visit manager has no database. Set OTEL_USAGE_VISIT_DATABASE, for example to "
            "postgresql+psycopg://user:password@host/database",
        ),
        (
            "hunter2",
            "OTEL_USAGE_VISIT_DATABASE cannot be used (ArgumentError), expected a URL of SQLAlchemy's "
            "such as postgresql+psycopg://user:password@host/database",
        ),
        (
            "nosuchdb://me:hunter2@host/d",
            "OTEL_USAGE_VISIT_DATABASE cannot be used (NoSuchModuleError), expected a URL of SQLAlchemy's "
            "such as postgresql+psycopg://user:password@host/database",
        ),
        (
            "postgresql://me:hunter2@host:port/d",
            "OTEL_USAGE_VISIT_DATABASE cannot be used (ValueError), expected a URL of SQLAlchemy's "
            "such as postgresql+psycopg://user:password@host/database",
        ),
        (
            "sqlite+aiosqlite:///visits.db",
            "OTEL_USAGE_VISIT_DATABASE names 'sqlite+aiosqlite', a driver for asyncio; name one that is not",
        ),
        (
            "sqlite://",
            "OTEL_USAGE_VISIT_DATABASE is in the memory of one process, which workers do not share; name a file",
        ),
        (
            "sqlite:///:memory:",
            "OTEL_USAGE_VISIT_DATABASE is in the memory of one process, which workers do not share; name a file",
        ),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_password(
    url: str | None, message: str, clock: Clock
) -> None:
    with pytest.raises(SettingError) as caught:
        SqlalchemyVisitManager(url).set_up(Settings.load({}), SECRET, clock_ms=clock)

    assert str(caught.value) == message
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(clock: Clock) -> None:
    with pytest.raises(SettingError, match=r"needs the driver of 'mssql\+pymssql', which is not installed"):
        SqlalchemyVisitManager("mssql+pymssql://me:hunter2@host/d").set_up(Settings.load({}), SECRET)


def test_engine_options_of_the_app_go_before_ours(visit_database: str, clock: Clock) -> None:
    manager = database_manager(visit_database, clock, pool_recycle=7)

    assert manager._database.engine.pool._recycle == 7
    manager.close()


def test_a_connection_that_the_server_has_cut_is_replaced(
    manager: SqlalchemyVisitManager, visit_database: str
) -> None:
    FakeVisitor().visit(manager)
    failures = [sa.exc.OperationalError("INSERT", {}, OSError("server closed the connection"), True)]

    def break_once(*arguments: Any) -> None:
        if failures:
            failures[0].connection_invalidated = True
            raise failures.pop()

    sa.event.listen(manager._database.engine, "before_cursor_execute", break_once)
    visit = FakeVisitor().visit(manager)

    assert visit.key in {row["visit_key"] for row in rows(visit_database)}
    assert not manager._store.is_down


def test_the_path_of_the_database_may_hold_blanks(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "my data").mkdir()
    url = f"sqlite:///{tmp_path}/my data/visits.db"

    manager = SqlalchemyVisitManager()
    manager.set_up(Settings.load({"OTEL_USAGE_VISIT_DATABASE": url}), SECRET, clock_ms=clock)
    FakeVisitor().visit(manager)
    manager.close()

    assert len(rows(url)) == 1
