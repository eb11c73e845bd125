"""The default visit manager: all there is to know of a visit stands in its signed cookie; no store behind it."""

from __future__ import annotations

from otel_usage.visits.keys import key_generator
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, VisitState
from otel_usage.visits.ticket import Ticket
from otel_usage.visits.visit import Visit


class CookieVisitManager(BaseVisitManager):
    """Finds or opens the visit of a request by its ticket alone. Holds nothing per visitor.

    Parallel first requests of one visitor each open a visit; the cookie that arrives last wins, and the
    other visits stay unconfirmed, because their cookies never come back.
    """

    def new_visit_with_key(self, key: str) -> Visit:
        """Return a new visit of a new visitor; nothing is stored."""
        return Visit(key, True, key_generator.new_key().hex(), self.clock_ms())

    def visit_for_key(self, key: str) -> Visit | None:
        """Return None: a key says nothing without its ticket."""
        return None

    def _continue(self, ticket: Ticket, now: int, is_https: bool) -> VisitState | None:
        if not self._is_fresh(ticket, now):
            return None
        visit = Visit(ticket.visit.hex(), False, ticket.visitor.hex(), ticket.started_ms)
        if now - ticket.seen_ms <= self._resend_after_ms:
            return VisitState(visit)
        return self._state(visit, now, is_https)

    def _open(self, request: VisitRequest, visitor: bytes | None, now: int) -> VisitState:
        key = key_generator.new_key()
        visitor = visitor or key_generator.new_key()
        visit = Visit(key.hex(), True, visitor.hex(), now)
        if not self._uses_cookie:
            return VisitState(visit)
        ticket = self._tickets.write(visitor, key, now, now)
        return VisitState(visit, self._cookie.write(ticket, now, request.is_https))
