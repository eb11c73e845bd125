"""What every visit manager must do, as tests that the author of another one can run on theirs.

Inherit in a test module and say how to build one; pytest finds the rest:

    from otel_usage.visits.conformance import VisitManagerConformance

    class TestMyManager(VisitManagerConformance):
        def build_manager(self) -> BaseVisitManager:
            return MyManager(url=...)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from itertools import count
from typing import Any

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, VisitState
from otel_usage.visits.visit import Visit

_TIMEOUTS_SECONDS = (0.05, 0.5, 2.75, 60.0, 1200.0, 25_000.5)
_ADDRESSES = count(1)


class FakeClock:
    """Milliseconds since the epoch, moved by hand."""

    def __init__(self, now_ms: float = 1_800_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Return whole milliseconds."""
        return int(self.now_ms)

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000


@dataclasses.dataclass
class FakeVisitor:
    """A browser: an address of its own, the cookies that it was given, and a session in the framework."""

    address: str = dataclasses.field(
        default_factory=lambda: "10.{}.{}.{}".format(*next(_ADDRESSES).to_bytes(3, "big"))
    )
    cookie: str = ""
    """The whole Cookie header."""
    parameters: tuple[str, ...] = ()
    """Values of the parameter that carries a ticket."""
    session_values: dict[str, Any] = dataclasses.field(default_factory=dict)

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the framework's session."""
        return self.session_values

    def form_values(self, name: str) -> Sequence[str]:
        """Return the values of the parameter."""
        return self.parameters

    def request(self) -> VisitRequest:
        """Return the next request."""
        facts = RequestFacts(
            "GET", "https", "conformance.example", "/", "", self.address, "Mozilla/5.0", cookie=self.cookie
        )
        return VisitRequest(facts, self.address, True, self)

    def state(self, manager: BaseVisitManager) -> VisitState:
        """Ask for the visit of the next request, and take the cookie."""
        state = manager.visit_for_request(self.request())
        assert state is not None, "a visitor with an address, cookies and a session can be followed"
        if state.set_cookie:
            ((name, morsel),) = SimpleCookie(state.set_cookie).items()
            self.cookie = f"{name}={morsel.value}"
        return state

    def visit(self, manager: BaseVisitManager) -> Visit:
        """Return the visit of the next request."""
        return self.state(manager).visit

    def credentials(self) -> list[str]:
        """Return what this browser could hand to another one."""
        texts = [self.cookie.partition("=")[2], *self.parameters]
        return [text for text in [*texts, *map(str, self.session_values.values())] if text]

    def sending(self, text: str, cookie_name: str = "otel_usage_visit") -> FakeVisitor:
        """Return another visitor, who sends this text wherever a credential is looked for."""
        names = self.session_values or {"otel_usage_visit": ""}
        return FakeVisitor(
            cookie=f"{cookie_name}={text}", parameters=(text,), session_values=dict.fromkeys(names, text)
        )


class VisitManagerConformance:
    """The tests. A subclass says how to build a manager, and what it promises beyond the least."""

    def build_manager(self) -> BaseVisitManager:
        """Return a manager that is not set up; each one of a test sees the visits of the others."""
        raise NotImplementedError

    def tolerance_seconds(self, timeout_seconds: float) -> float:
        """Return how much too early a visit may end, counted from its last request. It must never end late."""
        return min(60.0, timeout_seconds / 20)

    def setup_method(self) -> None:
        """Set the clock; pytest calls this before each test."""
        self.clock = FakeClock()
        self._managers: list[BaseVisitManager] = []

    def teardown_method(self) -> None:
        """Close what was started; pytest calls this after each test."""
        for manager in self._managers:
            manager.close(10.0)

    def start(self, signing: str = "one secret", **settings: object) -> BaseVisitManager:
        """Return a manager that is ready, as one worker has it."""
        manager = self.build_manager()
        manager.set_up(
            Settings.load({}, **settings), signing, service_name="conformance", clock_ms=self.clock
        )
        self._managers.append(manager)
        return manager

    def test_a_first_request_opens_a_visit(self) -> None:
        visit = FakeVisitor().visit(self.start())

        assert visit.is_new
        assert len(visit.key) == 32
        assert len(bytes.fromhex(visit.key)) == 16
        assert visit.visitor_id
        assert visit.visitor_id != visit.key
        assert visit.started_ms == self.clock()

    def test_the_next_request_belongs_to_the_same_visit(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)
        self.clock.move(seconds=30)

        assert visitor.visit(manager) == first._replace(is_new=False)

    def test_a_visit_lasts_exactly_its_time_out(self) -> None:
        for timeout_seconds in _TIMEOUTS_SECONDS:
            manager = self.start(visit_timeout_seconds=timeout_seconds)
            stays, leaves = FakeVisitor(), FakeVisitor()
            stays_first, leaves_first = stays.visit(manager), leaves.visit(manager)

            self.clock.move(timeout_seconds)
            assert stays.visit(manager).key == stays_first.key, timeout_seconds

            self.clock.now_ms += 1
            assert leaves.visit(manager).key != leaves_first.key, timeout_seconds

    def test_a_visit_ends_its_time_out_after_the_last_request(self) -> None:
        for timeout_seconds in _TIMEOUTS_SECONDS:
            manager = self.start(visit_timeout_seconds=timeout_seconds)
            stays, leaves = FakeVisitor(), FakeVisitor()
            first = {visitor.address: visitor.visit(manager) for visitor in (stays, leaves)}
            # So short that a ticket need not be written anew.
            self.clock.move(timeout_seconds / 20)
            assert not stays.visit(manager).is_new
            assert not leaves.visit(manager).is_new

            self.clock.move(timeout_seconds - self.tolerance_seconds(timeout_seconds))
            assert stays.visit(manager).key == first[stays.address].key, timeout_seconds

            self.clock.now_ms += self.tolerance_seconds(timeout_seconds) * 1000 + 1
            assert leaves.visit(manager).key != first[leaves.address].key, timeout_seconds

    def test_a_visit_goes_on_for_as_long_as_requests_come(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)

        for _ in range(20):
            self.clock.move(seconds=1140)
            assert visitor.visit(manager) == first._replace(is_new=False)

    def test_a_visit_that_is_over_is_never_adopted(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        over = visitor.visit(manager)
        held = dataclasses.replace(visitor)
        self.clock.now_ms += 1_200_001

        next_visit = visitor.visit(manager)
        again = held.visit(manager)

        assert next_visit.is_new
        assert over.key not in (next_visit.key, again.key)

    def test_a_made_up_credential_is_never_adopted_and_never_an_error(self) -> None:
        manager, genuine = self.start(visit_sources="cookie,form"), FakeVisitor()
        key = genuine.visit(manager).key

        for text in _made_up(genuine.credentials()):
            visit = genuine.sending(text).visit(manager)
            assert visit.is_new, text[:100]
            assert visit.key not in (key, text), text[:100]

    def test_a_credential_that_another_secret_signed_is_never_adopted(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        foreign = visitor.visit(self.start(signing="another secret"))

        for text in visitor.credentials():
            visit = visitor.sending(text).visit(manager)
            assert visit.is_new
            assert visit.key != foreign.key
            assert visit.visitor_id != foreign.visitor_id

    def test_a_credential_sent_twice_is_no_error(self) -> None:
        manager, visitor = self.start(visit_sources="cookie,form"), FakeVisitor()
        first = visitor.visit(manager)

        for cookie in (f"{visitor.cookie}; {visitor.cookie}", f"otel_usage_visit=x; {visitor.cookie}"):
            again = dataclasses.replace(visitor, cookie=cookie, parameters=("x", "x"))
            assert again.visit(manager) == first._replace(is_new=False)

    def test_a_ticket_in_a_form_continues_the_visit(self) -> None:
        manager, visitor = self.start(visit_sources="form,cookie"), FakeVisitor()
        first = visitor.visit(manager)
        ticket = manager.ticket_for(first)
        if not ticket:
            return  # a manager that needs none

        without_cookies = FakeVisitor(parameters=("rubbish", ticket))

        assert without_cookies.visit(manager) == first._replace(is_new=False)

    def test_a_request_that_nobody_may_see_continues_a_visit_and_opens_none(self) -> None:
        manager, visitor = self.start(), FakeVisitor()

        assert manager.visit_for_request(visitor.request()._replace(is_speculative=True)) is None
        first = visitor.visit(manager)
        state = manager.visit_for_request(visitor.request()._replace(is_speculative=True))

        assert first.is_new
        assert state is not None
        assert state.visit == first._replace(is_new=False)

    def test_a_ticket_can_be_taken_back(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.state(manager)

        set_cookie = manager.take_back(visitor.request())

        assert bool(set_cookie) == bool(first.set_cookie)
        assert not set_cookie or "Max-Age=0" in set_cookie
        assert not visitor.session_values

    def test_two_workers_agree(self) -> None:
        one, other, visitor = self.start(), self.start(), FakeVisitor()
        first = visitor.visit(one)

        for _ in range(5):
            self.clock.move(seconds=1140)
            assert visitor.visit(other) == first._replace(is_new=False)
            assert visitor.visit(one) == first._replace(is_new=False)
            assert one.flush()
            assert other.flush()
        self.clock.now_ms += 1_200_001
        assert visitor.visit(other).key != first.key

    def test_what_was_flushed_is_still_there(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)

        for _ in range(3):
            self.clock.move(seconds=600)
            assert visitor.visit(manager) == first._replace(is_new=False)
            assert manager.flush()

    def test_the_model_may_be_created_again(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)

        manager.create_model()
        manager.create_model()

        assert visitor.visit(manager) == first._replace(is_new=False)

    def test_updates_of_nothing_and_of_unknown_visits_are_harmless(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)

        manager.update_queued_visits({})
        manager.update_queued_visits({"00" * 16: manager.expiry_from_now()})

        assert visitor.visit(manager) == first._replace(is_new=False)
        assert manager.flush()

    def test_closing_twice_is_nothing(self) -> None:
        manager = self.start()
        FakeVisitor().visit(manager)

        manager.close()
        manager.close(1.0)

    def test_a_request_after_the_end_is_no_error(self) -> None:
        manager, visitor = self.start(), FakeVisitor()
        first = visitor.visit(manager)
        manager.close()

        assert visitor.visit(manager) == first._replace(is_new=False)

    def test_a_request_that_says_nothing_of_itself_is_no_error(self) -> None:
        manager = self.start()

        state = manager.visit_for_request(VisitRequest(RequestFacts("", "", "", "", "", "")))

        assert state is None or state.visit.key

    def test_a_thousand_visitors_have_a_thousand_visits(self) -> None:
        manager = self.start()

        visits = [FakeVisitor().visit(manager) for _ in range(1000)]

        assert len({visit.key for visit in visits}) == len({visit.visitor_id for visit in visits}) == 1000
        assert all(visit.is_new for visit in visits)

    def test_visitors_in_parallel_threads_keep_their_visits(self) -> None:
        manager = self.start()

        def come_often(visitor: FakeVisitor) -> list[Visit]:
            return [visitor.visit(manager) for _ in range(25)]

        with ThreadPoolExecutor(8) as threads:
            visits_by_visitor = list(threads.map(come_often, [FakeVisitor() for _ in range(16)]))

        assert all(len({visit.key for visit in visits}) == 1 for visits in visits_by_visitor)
        assert all(
            [visit.is_new for visit in visits] == [True] + [False] * 24 for visits in visits_by_visitor
        )
        assert len({visits[0].key for visits in visits_by_visitor}) == 16


def _made_up(genuine: Sequence[str]) -> Iterator[str]:
    """Yield texts that are no credentials, some of them nearly one."""
    for text in genuine:
        for position in range(0, len(text), 7):
            changed = "A" if text[position] != "A" else "B"
            yield text[:position] + changed + text[position + 1 :]
        yield from (text[:-1], text[1:], text[:40], text * 2, text + "=", text + "\0", text.swapcase())
    yield from ("", "0", "null", "None", "A" * 83, "A" * 82, "!" * 83, "=" * 83, "é" * 83, "\udcff" * 83)
    yield from ("\0" * 83, "0" * 32, "f" * 40, "{}", "[]", '{"key": "0"}', "-1", "9" * 400, "%00", "../../x")
    yield "A" * 10_000_000
