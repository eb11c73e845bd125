"""What the base does for every store, tried on the least that a store may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NoReturn

import pytest

from otel_usage.errors import SettingError
from otel_usage.settings import Settings
from otel_usage.visits.conformance import FakeVisitor
from otel_usage.visits.manager import BaseVisitManager, to_datetime
from otel_usage.visits.visit import Visit
from tests.visits.cookies import SECRET, Clock
from tests.visits.stores import DictManager


class FailingManager(DictManager):
    """A store that can be switched off, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.is_down = False
        self.asked = 0

    def _ask(self) -> None:
        self.asked += 1
        if self.is_down:
            raise ConnectionError("refused")

    def create_model(self) -> None:
        self._ask()

    def new_visit_with_key(self, key: str) -> Visit:
        self._ask()
        return super().new_visit_with_key(key)

    def visit_for_key(self, key: str) -> Visit | None:
        self._ask()
        return super().visit_for_key(key)

    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        self._ask()
        super().update_queued_visits(queue)

    def come_back(self) -> None:
        """Be up again, and let the next request try."""
        self.is_down = False
        self._store._down_until = 0.001


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> Iterator[FailingManager]:
    manager = set_up(FailingManager(), clock)
    yield manager
    manager.close()


def set_up(manager: FailingManager, clock: Clock, **settings: object) -> FailingManager:
    manager.set_up(Settings.load({}, **settings), SECRET, clock_ms=clock)
    return manager


def test_a_visit_that_was_opened_in_an_outage_is_stored_when_it_comes_back(
    manager: FailingManager, clock: Clock
) -> None:
    visitor = FakeVisitor()
    manager.is_down = True
    first = visitor.visit(manager)
    assert manager.rows == {}

    manager.come_back()

    assert visitor.visit(manager) == first._replace(is_new=False)
    assert manager.rows.keys() == {first.key}


def test_a_visit_whose_row_expired_in_an_outage_goes_on_where_its_ticket_was_seen(
    manager: FailingManager, clock: Clock
) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    manager.is_down = True
    for _ in range(5):
        clock.move(seconds=1000)
        assert visitor.visit(manager).key == first.key
    manager._updates._expiry_by_key.clear()  # as in a worker that was not there
    manager.come_back()

    assert visitor.visit(manager) == first._replace(is_new=False)
    assert manager.rows[first.key][1] == manager.expiry_from_now()


def test_a_row_that_is_gone_ends_the_visit_and_not_the_visitor(manager: FailingManager) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    manager.rows.clear()

    second = visitor.visit(manager)

    assert second.is_new
    assert second.key != first.key
    assert second.visitor_id == first.visitor_id


def test_a_store_is_asked_once_per_visit_and_interval(manager: FailingManager) -> None:
    visitor = FakeVisitor()
    visitor.visit(manager)
    visitor.visit(manager)
    asked = manager.asked

    for _ in range(100):
        visitor.visit(manager)
    assert manager.asked == asked

    manager.flush()
    for _ in range(100):
        visitor.visit(manager)
    assert manager.asked == asked + 2  # one write, one read


def test_the_queue_knows_how_long_a_visit_lasts_before_the_store_does(
    manager: FailingManager, clock: Clock
) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    for _ in range(5):
        clock.move(seconds=1199)
        assert visitor.visit(manager).key == first.key

    assert manager.rows[first.key][1] < to_datetime(clock())


@pytest.mark.parametrize(
    ("timeout_seconds", "interval_seconds"), [(1200, 30.0), (400, 20.0), (20, 1.0), (0.1, 0.2)]
)
def test_the_store_is_never_further_behind_than_a_ticket_may_be(
    clock: Clock, timeout_seconds: float, interval_seconds: float
) -> None:
    manager = set_up(FailingManager(), clock, visit_timeout_seconds=timeout_seconds)

    assert manager._updates._interval_seconds == interval_seconds
    manager.close()


def test_a_store_that_is_set_up_wrongly_is_told(clock: Clock) -> None:
    class Wrong(FailingManager):
        def create_model(self) -> NoReturn:
            raise SettingError("no such store")

    with pytest.raises(SettingError, match="no such store"):
        set_up(Wrong(), clock)


def test_a_ticket_of_a_form_says_too_that_the_store_is_down(clock: Clock) -> None:
    manager = set_up(FailingManager(), clock, visit_sources="form")
    manager.is_down = True
    visit = FakeVisitor().visit(manager)

    ticket = manager.ticket_for(visit)
    manager.come_back()

    assert FakeVisitor(parameters=(ticket,)).visit(manager) == visit._replace(is_new=False)
    assert manager.rows.keys() == {visit.key}
    manager.close()


def test_a_tickets_visitor_goes_before_the_stores(manager: FailingManager, clock: Clock) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    clock.move(seconds=1201)
    second = visitor.visit(manager)
    manager.flush()
    row, expiry = manager.rows[second.key]
    manager.rows[second.key] = row._replace(visitor_id="f" * 32), expiry

    assert visitor.visit(manager).visitor_id == first.visitor_id


def test_the_framework_is_asked_for_only_when_a_source_needs_it(clock: Clock) -> None:
    assert not set_up(FailingManager(), clock).needs_framework
    assert set_up(FailingManager(), clock, visit_sources="cookie,form").needs_framework


def test_a_manager_without_its_methods_says_so() -> None:
    with pytest.raises(NotImplementedError):
        BaseVisitManager().new_visit_with_key("0" * 32)
    with pytest.raises(NotImplementedError):
        BaseVisitManager().visit_for_key("0" * 32)
