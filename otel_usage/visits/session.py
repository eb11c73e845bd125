"""The visit manager that keeps the visit in the framework's own session, and sets no cookie of its own."""

from __future__ import annotations

import logging

from otel_usage.log_throttle import LogThrottle
from otel_usage.visits.keys import key_generator
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, VisitState
from otel_usage.visits.visit import Visit

logger = logging.getLogger(__name__)

SESSION_KEY = "otel_usage_visit"
"""The one name that we use in the session. Its value is a ticket, so that nobody can make one up, wherever the
session is kept and whoever may write to it."""


class SessionVisitManager(BaseVisitManager):
    """Finds or opens the visit of a request by the ticket in its session.

    The session is written when a visit opens, and again when the time of its last request is older than the
    tolerance; how long it lasts, and what writing it costs, is up to the framework's session. An app that clears
    the session ends the visit. Without a session there is no visit.
    """

    needs_framework = True
    needs_session = True

    def __init__(self) -> None:
        self._no_session_log = LogThrottle(interval_seconds=3600.0)

    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        """Return the visit of the session while it lasts, else a new one; None when there is no session."""
        session = request.framework.session() if request.framework is not None else None
        if session is None:
            self._no_session_log.log(
                logger,
                logging.ERROR,
                "There is no session to keep the visit in, so there are no visits. In Flask, set SECRET_KEY; in Django, "
                "add SessionMiddleware",
            )
            return None
        now = self.clock_ms()
        text = session.get(SESSION_KEY)
        ticket = self._tickets.read(text) if isinstance(text, str) else None
        is_over = ticket is None or not ticket.is_authentic or not self._is_fresh(ticket, now)
        if is_over and request.is_speculative:
            return None
        if ticket is None or not ticket.is_authentic:
            visit = Visit(key_generator.new_key().hex(), True, key_generator.new_key().hex(), now)
        elif not self._is_fresh(ticket, now):
            visit = Visit(key_generator.new_key().hex(), True, ticket.visitor.hex(), now)
        else:
            visit = Visit(ticket.visit.hex(), False, ticket.visitor.hex(), ticket.started_ms)
            if now - ticket.seen_ms <= self._resend_after_ms or request.is_speculative:
                return VisitState(visit)
        session[SESSION_KEY] = self._ticket(visit, now, is_provisional=False)
        return VisitState(visit)

    def take_back(self, request: VisitRequest) -> str:
        """Remove the visit from the session, and a cookie that another manager has left."""
        session = request.framework.session() if request.framework is not None else None
        if session is not None:
            session.pop(SESSION_KEY, None)
        return super().take_back(request)

    def ticket_for(self, visit: Visit) -> str:
        """Return nothing: forms are not read, the session finds its visit itself."""
        return ""
