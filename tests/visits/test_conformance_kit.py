"""The tests for managers, tested: a manager of a third party passes them, and one that breaks a promise does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime

import pytest

from otel_usage.visits.conformance import FakeVisitor, VisitManagerConformance
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, VisitState
from otel_usage.visits.visit import Visit
from tests.visits.stores import DictManager


class TestDictManager(VisitManagerConformance):
    def setup_method(self) -> None:
        super().setup_method()
        self.rows: dict[str, tuple[Visit, datetime]] = {}

    def build_manager(self) -> BaseVisitManager:
        return DictManager(self.rows)


class ForgetsWhatItFlushes(DictManager):
    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        for key in queue:
            self.rows.pop(key, None)


class NeverEnds(CookieVisitManager):
    def _is_fresh(self, *arguments: object) -> bool:
        return True


class EndsEarly(CookieVisitManager):
    def set_up(self, *arguments: object, **options: object) -> None:
        super().set_up(*arguments, **options)  # type: ignore[arg-type]
        self.timeout_ms -= 1


class DoesNotSlide(CookieVisitManager):
    def set_up(self, *arguments: object, **options: object) -> None:
        super().set_up(*arguments, **options)  # type: ignore[arg-type]
        self._resend_after_ms = 10**12


class TakesAnyKey(CookieVisitManager):
    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        found = request.facts.cookie.partition("=")[2]
        if len(found) == 32:
            return VisitState(Visit(found, False, "v" * 32, self.clock_ms()))
        return super().visit_for_request(request)


class AlwaysNew(CookieVisitManager):
    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        state = super().visit_for_request(request)
        return state and state._replace(visit=state.visit._replace(is_new=True))


class OneForAll(CookieVisitManager):
    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        return VisitState(Visit("0" * 32, not request.facts.cookie, "1" * 32, self.clock_ms()), "a=b")


class ChokesOnDetails(CookieVisitManager):
    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        request.facts.cookie.encode("ascii")
        return super().visit_for_request(request)


class WritesNothingTwice(DictManager):
    is_closed = False

    def close(self, timeout_seconds: float | None = 5.0) -> None:
        if self.is_closed:
            raise RuntimeError("closed already")
        self.is_closed = True


class KeepsRowsToItself(DictManager):
    def __init__(self, rows: dict[str, tuple[Visit, datetime]]) -> None:
        super().__init__({})


class StumblesOverUnknownKeys(DictManager):
    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        for key, expiry in queue.items():
            self.rows[key] = self.rows[key][0], expiry


class DropsItsTable(DictManager):
    def create_model(self) -> None:
        self.rows.clear()


@pytest.mark.parametrize(
    ("build", "test"),
    [
        (ForgetsWhatItFlushes, "test_what_was_flushed_is_still_there"),
        (NeverEnds, "test_a_visit_lasts_exactly_its_time_out"),
        (NeverEnds, "test_a_visit_that_is_over_is_never_adopted"),
        (EndsEarly, "test_a_visit_lasts_exactly_its_time_out"),
        (DoesNotSlide, "test_a_visit_goes_on_for_as_long_as_requests_come"),
        (TakesAnyKey, "test_a_made_up_credential_is_never_adopted_and_never_an_error"),
        (ChokesOnDetails, "test_a_made_up_credential_is_never_adopted_and_never_an_error"),
        (AlwaysNew, "test_the_next_request_belongs_to_the_same_visit"),
        (OneForAll, "test_a_thousand_visitors_have_a_thousand_visits"),
        (OneForAll, "test_a_credential_that_another_secret_signed_is_never_adopted"),
        (WritesNothingTwice, "test_closing_twice_is_nothing"),
        (KeepsRowsToItself, "test_two_workers_agree"),
        (StumblesOverUnknownKeys, "test_updates_of_nothing_and_of_unknown_visits_are_harmless"),
        (DropsItsTable, "test_the_model_may_be_created_again"),
    ],
)
def test_a_manager_that_breaks_a_promise_fails_the_test_of_it(
    build: Callable[..., BaseVisitManager], test: str
) -> None:
    rows: dict[str, tuple[Visit, datetime]] = {}

    class Broken(VisitManagerConformance):
        def build_manager(self) -> BaseVisitManager:
            return build(rows) if issubclass(build, DictManager) else build()  # type: ignore[arg-type]

    judge = Broken()
    judge.setup_method()

    with pytest.raises((AssertionError, RuntimeError, UnicodeError, KeyError)):
        getattr(judge, test)()


def test_a_visitor_takes_the_cookie_that_it_is_given() -> None:
    judge = TestDictManager()
    judge.setup_method()
    visitor = FakeVisitor()

    visitor.visit(judge.start())

    assert visitor.cookie.startswith("otel_usage_visit=")
    assert visitor.credentials() == [visitor.cookie.partition("=")[2]]
    judge.teardown_method()


def test_the_tests_do_not_need_pytest_to_be_imported() -> None:
    code = "import sys, otel_usage.visits.conformance; print('pytest' in sys.modules)"

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "False"
