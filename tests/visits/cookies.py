"""Cookie headers for the tests of visits: made by a real manager, then sent back, bent or broken."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.conformance import FakeClock
from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.manager import VisitRequest, VisitState

SECRET = "the app's own secret"
Clock = FakeClock


def build_manager(clock: Clock, secret: str | bytes = SECRET, **settings: object) -> CookieVisitManager:
    manager = CookieVisitManager()
    manager.set_up(Settings.load({}, **settings), secret, clock_ms=clock)
    return manager


def visit(manager: CookieVisitManager, header: str = "", peer: str = "192.0.2.1") -> VisitState:
    """Ask for the visit of a plain HTTP request with this Cookie header."""
    facts = RequestFacts("GET", "http", "shop.example", "/", "", peer, cookie=header)
    state = manager.visit_for_request(VisitRequest(facts))
    assert state is not None
    return state


def read(set_cookie: str) -> Morsel[str]:
    """Return the one cookie of a Set-Cookie value, as a browser reads it."""
    (morsel,) = SimpleCookie(set_cookie).values()
    return morsel


def returned(state: VisitState) -> str:
    """Return the Cookie header of a browser that took the cookie."""
    morsel = read(state.set_cookie)
    return f"{morsel.key}={morsel.value}"
