from __future__ import annotations

from typing import Any

import pytest

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.conformance import FakeVisitor
from otel_usage.visits.manager import VisitRequest
from otel_usage.visits.session import SESSION_KEY, SessionVisitManager
from tests.visits.cookies import SECRET, Clock


class NotedSession(dict[str, Any]):
    """A session that counts how often it is written."""

    writes = 0

    def __setitem__(self, key: str, value: Any) -> None:
        self.writes += 1
        super().__setitem__(key, value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> SessionVisitManager:
    manager = SessionVisitManager()
    manager.set_up(Settings.load({}), SECRET, clock_ms=clock)
    return manager


def test_the_session_is_written_when_the_visit_opens_and_after_the_tolerance(
    manager: SessionVisitManager, clock: Clock
) -> None:
    session = NotedSession()
    visitor = FakeVisitor(session_values=session)
    writes = []
    for seconds in (0, 30, 30, 0.001, 60, 1, 1201):
        clock.move(seconds)
        visitor.visit(manager)
        writes.append(session.writes)

    assert writes == [1, 1, 1, 2, 2, 3, 4]


def test_one_text_of_the_session_is_ours(manager: SessionVisitManager) -> None:
    visitor = FakeVisitor(session_values={"user": "me"})

    state = visitor.state(manager)

    assert state.set_cookie == ""
    assert visitor.session_values.keys() == {"user", SESSION_KEY}
    assert len(visitor.session_values[SESSION_KEY]) == 83


def test_nothing_in_the_session_tells_address_or_agent(manager: SessionVisitManager, clock: Clock) -> None:
    first, session = FakeVisitor("192.0.2.1"), {}
    first.visit(manager)
    clock.move(seconds=100)

    for address in ("192.0.2.1", "2001:db8::1"):
        session[address] = dict(first.session_values)
        FakeVisitor(address, session_values=session[address]).visit(manager)

    assert session["192.0.2.1"] == session["2001:db8::1"]


@pytest.mark.parametrize(
    "value", [None, 7, 1.5, True, b"x" * 83, [], {}, {"key": "a" * 32}, "", "A" * 83, object()]
)
def test_whatever_else_stands_in_the_session_opens_a_new_visit(
    manager: SessionVisitManager, value: object
) -> None:
    visitor = FakeVisitor(session_values={SESSION_KEY: value})

    first = visitor.visit(manager)

    assert first.is_new
    assert visitor.visit(manager) == first._replace(is_new=False)


def test_the_visitor_stays_over_several_visits(manager: SessionVisitManager, clock: Clock) -> None:
    visitor = FakeVisitor()
    first = visitor.visit(manager)
    clock.move(seconds=1201)

    second = visitor.visit(manager)

    assert second.is_new
    assert second.key != first.key
    assert second.visitor_id == first.visitor_id


def test_without_a_session_there_is_no_visit(manager: SessionVisitManager) -> None:
    class Sessionless(FakeVisitor):
        def session(self) -> None:
            return None

    request = VisitRequest(RequestFacts("GET", "http", "shop.example", "/", "", "192.0.2.1"))

    assert manager.visit_for_request(request) is None
    assert manager.visit_for_request(request._replace(framework=Sessionless())) is None


def test_the_framework_is_asked_for(manager: SessionVisitManager) -> None:
    assert manager.needs_framework


def test_no_ticket_is_given_out(clock: Clock) -> None:
    manager = SessionVisitManager()
    manager.set_up(Settings.load({}, visit_sources="form"), SECRET, clock_ms=clock)

    assert manager.ticket_for(FakeVisitor().visit(manager)) == ""
