"""What a visit manager is: finds the visit of each request, or opens one.

The base class does all that managers share: it reads the signed ticket from the cookie or a form, keeps the
visit alive, and sends the cookie. A manager with a store of its own says with four methods how the store works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Protocol

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.cookie_header import CookieHeader
from otel_usage.visits.foreign_cookies import ForeignCookieLog
from otel_usage.visits.keys import key_generator
from otel_usage.visits.ticket import Ticket, TicketOffice
from otel_usage.visits.update_queue import UpdateQueue
from otel_usage.visits.visit import Visit

_RESEND_AFTER_MS = 60_000
_MAX_FORM_VALUES = 4


class FrameworkRequest(Protocol):
    """What only the framework can say of a request. Asked only by managers and sources that need it."""

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the framework's own session of the visitor, None when the app has none."""

    def form_values(self, name: str) -> Sequence[str]:
        """Return the values of a parameter of the query, then of a form in the body; the app can read both again."""


class VisitRequest(NamedTuple):
    """A request as a visit manager sees it."""

    facts: RequestFacts
    client_address: str = ""
    """The believed address, empty when it is unknown."""
    is_https: bool = False
    framework: FrameworkRequest | None = None
    """None unless the manager's `needs_framework` or the sources ask for it."""


class VisitState(NamedTuple):
    """The visit of one request, and the Set-Cookie value that its response needs, empty for none."""

    visit: Visit
    set_cookie: str = ""


def now_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class BaseVisitManager:
    """Base of all visit managers; a subclass with a store implements the four methods below.

    The client holds a signed ticket with the visit's key, so that the store is never asked for a key that we
    did not give out. For a visit that was here within the last `update_interval_seconds` the store is not asked
    at all; its expiry waits in memory, and is written with others.

    A manager without a store, such as `cookieless`, overrides `visit_for_request` instead.
    """

    update_interval_seconds = 30.0
    """Longest time until an expiry reaches `update_queued_visits`."""
    needs_framework = False
    """Whether `visit_for_request` reads `VisitRequest.framework`."""

    def set_up(
        self,
        settings: Settings,
        secret: str | bytes,
        *,
        service_name: str = "",
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """Take what is in force. Called once, before the first request.

        Args:
            settings: in force in this process.
            secret: signs tickets and keys hashes; the app's own.
            service_name: of the resource.
            clock_ms: milliseconds since the epoch.
        """
        self.settings = settings
        self.service_name = service_name
        self.clock_ms = clock_ms
        self.timeout_ms = settings.visit_timeout_seconds * 1000
        self._resend_after_ms = min(_RESEND_AFTER_MS, self.timeout_ms / 20)
        self._tickets = TicketOffice(secret)
        self._cookie = CookieHeader(settings)
        self.needs_framework = self.needs_framework or "form" in settings.visit_sources
        self._foreign_cookies = ForeignCookieLog()
        self._updates = UpdateQueue(self.update_queued_visits, self.update_interval_seconds)
        self.create_model()

    # What a store implements.

    def create_model(self) -> None:
        """Make the store ready, for example create its table. May be called again, also by several processes."""

    def new_visit_with_key(self, key: str) -> Visit:
        """Store a new visit and return it, with `is_new`; the store expires it after the time-out.

        Args:
            key: 32 hex digits, random.
        """
        raise NotImplementedError

    def visit_for_key(self, key: str) -> Visit | None:
        """Return the stored visit of a key, None when there is none or it has expired."""
        raise NotImplementedError

    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        """Store expiry times, UTC, by visit key, all or none. What it raises is logged, and all are tried again."""

    # What a store may refine.

    def visit_for_first_request(self, key: str, request: VisitRequest) -> Visit:
        """Open the visit of a request that brings none.

        A store that can tell parallel first requests of one visitor apart from strangers returns the visit that
        the first of them has opened.
        """
        return self.new_visit_with_key(key)

    def expiry_from_now(self) -> datetime:
        """Return when a visit that is seen now will expire, UTC."""
        return datetime.fromtimestamp(self.clock_ms() / 1000, timezone.utc) + timedelta(
            milliseconds=self.timeout_ms
        )

    # What the base does for all.

    def visit_for_request(self, request: VisitRequest) -> VisitState:
        """Return the visit that the request's ticket names while it lasts, else a new one."""
        now = self.clock_ms()
        visitor: bytes | None = None
        foreign: Ticket | None = None
        for ticket in self._tickets_of(request):
            if ticket.is_authentic:
                visit = self._continue(ticket, now)
                if visit is not None:
                    if now - ticket.seen_ms <= self._resend_after_ms:
                        return VisitState(visit)
                    return self._state(visit, now, request.is_https)
                visitor = ticket.visitor
            elif ticket.key_id != self._tickets.key_id and self._is_fresh(ticket, now):
                foreign = ticket
        if foreign is not None and visitor is None:
            self._foreign_cookies.note(foreign.visitor)
            # Another service's visit: replacing its cookie would end it, and ours with the next answer.
            return VisitState(self._open(request, None, now).visit)
        return self._open(request, visitor, now)

    def ticket_for(self, visit: Visit) -> str:
        """Return a ticket of the visit, for a form or a link of a client that takes no cookie.

        Empty when no source would read it back: who has a ticket has the visit, so none is given out for nothing.
        """
        if "form" not in self.settings.visit_sources:
            return ""
        return self._tickets.write(
            bytes.fromhex(visit.visitor_id), bytes.fromhex(visit.key), visit.started_ms, self.clock_ms()
        )

    def flush(self) -> bool:
        """Write the expiry times that wait, and return whether the store took them."""
        return self._updates.flush()

    def close(self, timeout_seconds: float | None = None) -> None:
        """Write the expiry times that wait, and end the thread that does so."""
        self._updates.close(timeout_seconds)

    def _tickets_of(self, request: VisitRequest) -> Iterator[Ticket]:
        """Return the tickets that a request brings, source by source, each read only when it is asked for."""
        for source in self.settings.visit_sources:
            for text in self._texts_of(source, request):
                ticket = self._tickets.read(text)
                if ticket is not None:
                    yield ticket

    def _texts_of(self, source: str, request: VisitRequest) -> Iterable[str]:
        if source == "cookie":
            return self._cookie.values(request.facts.cookie)
        if request.framework is None:
            return ()
        return request.framework.form_values(self.settings.form_name)[:_MAX_FORM_VALUES]

    def _is_fresh(self, ticket: Ticket, now: int) -> bool:
        return abs(now - ticket.seen_ms) <= self.timeout_ms

    def _continue(self, ticket: Ticket, now: int) -> Visit | None:
        """Return the visit of an authentic ticket, None when it is over."""
        key = ticket.visit.hex()
        expiry = self._updates.expiry_of(key)
        if expiry is None:
            visit = self.visit_for_key(key)
            if visit is None:
                return None
            visit = visit._replace(is_new=False, visitor_id=visit.visitor_id or ticket.visitor.hex())
        elif expiry.timestamp() * 1000 < now:
            return None
        else:
            visit = Visit(key, False, ticket.visitor.hex(), ticket.started_ms)
        self._updates.put(key, self.expiry_from_now())
        return visit

    def _open(self, request: VisitRequest, visitor: bytes | None, now: int) -> VisitState:
        visit = self.visit_for_first_request(key_generator.new_key().hex(), request)
        if not visit.visitor_id:
            visit = visit._replace(visitor_id=(visitor or key_generator.new_key()).hex())
        return self._state(visit, now, request.is_https)

    def _state(self, visit: Visit, now: int, is_https: bool) -> VisitState:
        ticket = self._tickets.write(
            bytes.fromhex(visit.visitor_id), bytes.fromhex(visit.key), visit.started_ms, now
        )
        return VisitState(visit, self._cookie.write(ticket, now, is_https))
