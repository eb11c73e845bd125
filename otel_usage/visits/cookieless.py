"""The visit manager that sets no cookie and stores nothing on the client.

Visitors are told apart by a keyed hash of service, address and user agent, under a random salt that changes every
day and is then deleted. When a visitor was last seen stands in memory that the workers of the host share.
"""

from __future__ import annotations

import logging

from otel_usage.log_throttle import LogThrottle
from otel_usage.visits.manager import BaseVisitManager, VisitRequest, VisitState
from otel_usage.visits.salt import DAY_MS
from otel_usage.visits.shared_state import SharedState, SharedView, shared_state
from otel_usage.visits.visit import Visit
from otel_usage.visits.visit_table import OpenVisit, TableBrokenError

logger = logging.getLogger(__name__)

_START_PATIENCE_SECONDS = 1.0


class CookielessVisitManager(BaseVisitManager):
    """Finds or opens the visit of a request by address and user agent. Tickets are neither read nor given out.

    Parallel first requests of one visitor, on whichever workers of the host, belong to one visit, and one of them
    is new. Each host counts its own.
    """

    def create_model(self) -> None:
        """Load the salts and the visits that are under way, or make them; another thread does so, we wait for it."""
        self.needs_framework = False  # it is for tickets in forms
        self._no_address_log = LogThrottle(interval_seconds=3600.0)
        self._shared: SharedState = shared_state(self.service_name, self.timeout_ms, self.clock_ms)
        self._shared.wait_until_loaded(_START_PATIENCE_SECONDS)
        if self.timeout_ms > DAY_MS:
            logger.warning(
                "OTEL_USAGE_VISIT_TIMEOUT_SECONDS is %s, but without cookies a visit ends at the second midnight "
                "(UTC) at the latest.",
                self.settings.visit_timeout_seconds,
            )

    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        """Return the visit that this address and agent have under way, else a new one. Opens no file.

        Without a client address it is None: all visitors with one agent would be taken for one.
        """
        if not request.client_address:
            self._no_address_log.log(
                logger,
                logging.WARNING,
                "The client address is unknown, so a request has no visit. "
                "Behind a proxy or on a Unix socket, set OTEL_USAGE_TRUSTED_PROXIES.",
            )
            return None
        now = self.clock_ms()
        self._shared.ensure_thread()
        view = self._shared.view
        if request.is_speculative:
            return self._under_way(view, request, now)
        try:
            visit, is_new = self._find_or_open(view, request, now)
        except TableBrokenError:
            self._shared.drop_table(view.table)
            visit, is_new = self._find_or_open(self._shared.view, request, now)
        return VisitState(Visit(visit.key.hex(), is_new, visit.visitor_id.hex(), visit.started_ms))

    def ticket_for(self, visit: Visit) -> str:
        """Return no ticket: what a client brings along is not read."""
        return ""

    def refresh(self) -> None:
        """Rotate, share and delete salts as the clock asks for, now; the manager's thread does so by itself."""
        self._shared.refresh()

    def close(self, timeout_seconds: float | None = 5.0) -> None:
        """End the manager's thread; the visits stay for the other workers."""
        self._shared.close(timeout_seconds)
        super().close(timeout_seconds)

    def _under_way(self, view: SharedView, request: VisitRequest, now: int) -> VisitState | None:
        salt = view.salts.get(now // DAY_MS) or self._shared.salt_of(now // DAY_MS)
        visitor = salt.visitor_of(request.client_address, request.facts.user_agent)
        visit = view.table.continue_visit(visitor, now, self.timeout_ms)
        if visit is None:
            return None
        return VisitState(Visit(visit.key.hex(), False, visit.visitor_id.hex(), visit.started_ms))

    def _find_or_open(self, view: SharedView, request: VisitRequest, now: int) -> tuple[OpenVisit, bool]:
        address, user_agent = request.client_address, request.facts.user_agent
        day, ms_of_day = divmod(now, DAY_MS)
        salt = view.salts.get(day) or self._shared.salt_of(day)
        visitor = salt.visitor_of(address, user_agent)
        before = view.salts.get(day - 1) if ms_of_day < self.timeout_ms else None
        if before is None:
            return view.table.continue_or_open(visitor, now, self.timeout_ms)
        found = view.table.continue_visit(visitor, now, self.timeout_ms)
        if found is not None:
            return found, False
        visitor_before = before.visitor_of(address, user_agent)
        carried = view.table.continue_visit(visitor_before, now, self.timeout_ms)
        # Over one midnight only: else a client that never pauses would be known for ever.
        if carried is not None and carried.visitor_id != visitor_before:
            carried = None
        return view.table.continue_or_open(visitor, now, self.timeout_ms, carried)
