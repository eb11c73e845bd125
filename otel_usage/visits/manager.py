"""What a visit manager is: finds the visit of each request, or opens one.

The base class does all that managers share: it reads the signed ticket from the cookie or a form, keeps the
visit alive, and sends the cookie. A manager with a store of its own says with four methods how the store works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, NamedTuple, Protocol

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.cookie_header import CookieHeader
from otel_usage.visits.foreign_cookies import ForeignCookieLog
from otel_usage.visits.keys import key_generator
from otel_usage.visits.store_access import StoreAccess, StoreDown
from otel_usage.visits.ticket import Ticket, TicketOffice
from otel_usage.visits.update_queue import UpdateQueue
from otel_usage.visits.visit import Visit

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RESEND_AFTER_MS = 60_000
_SHORTEST_INTERVAL_SECONDS = 0.2
_MAX_FORM_VALUES = 4


class FrameworkRequest(Protocol):
    """What only the framework can say of a request. Asked only by managers and sources that need it."""

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the framework's own session of the visitor, None when the app has none."""

    def form_values(self, name: str) -> Iterable[str]:
        """Give the values of a parameter of the query, then of a form in the body; the app can read both again."""


class VisitRequest(NamedTuple):
    """A request as a visit manager sees it."""

    facts: RequestFacts
    client_address: str = ""
    """The believed address, empty when it is unknown."""
    is_https: bool = False
    framework: FrameworkRequest | None = None
    """None unless the manager's `needs_framework` or the sources ask for it."""
    is_speculative: bool = False
    """The answer may never be shown, as that of a prefetch: the request may continue a visit, but opens none."""


class VisitState(NamedTuple):
    """The visit of one request, and the Set-Cookie value that its response needs, empty for none."""

    visit: Visit
    set_cookie: str = ""


def now_ms() -> int:
    """Return milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def to_datetime(moment_ms: int) -> datetime:
    """Return milliseconds since the epoch as a time in UTC, exactly."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


class BaseVisitManager:
    """Base of all visit managers; a subclass with a store implements the four methods below.

    The client holds a signed ticket with the visit's key, so that the store is never asked for a key that we
    did not give out. For a visit that was here within the last `update_interval_seconds` the store is not asked
    at all; its expiry waits in memory, and is written with others.

    While the store is down, visits go by what their tickets say, and each request waits at most once for it.
    The store learns of visits that were opened or went on meanwhile when their next request comes.

    A manager without a store, such as `cookieless`, overrides `visit_for_request` instead.
    """

    update_interval_seconds = 30.0
    """Longest time until an expiry reaches `update_queued_visits`; shorter when visits are short."""
    store_timeout_seconds: float | None = None
    """Longest time that a request waits for the store, which is then asked in threads of ours. None asks it in
    the request's own thread, for stores that bound the wait themselves or whose connections belong to threads."""
    needs_framework = False
    """Whether `visit_for_request` reads `VisitRequest.framework`."""
    needs_session = False
    """Whether it is the session that it reads. Some frameworks open one shortly before the view alone."""

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
        self._uses_cookie = "cookie" in settings.visit_sources
        self.needs_framework = self.needs_framework or "form" in settings.visit_sources
        self._foreign_cookies = ForeignCookieLog()
        self._store = StoreAccess(self.create_model, self.store_timeout_seconds)
        # Another worker finds the store as far behind as the tickets are, and no further.
        interval_seconds = max(self._resend_after_ms / 1000, _SHORTEST_INTERVAL_SECONDS)
        self._updates = UpdateQueue(
            lambda queue: self._store.write(lambda: self.update_queued_visits(queue)),
            min(self.update_interval_seconds, interval_seconds),
            lambda: self._store.write(self.tidy_up),
        )
        self._store.prepare()

    # What a store implements.

    def create_model(self) -> None:
        """Make the store ready, for example create its table.

        May be called again, also by several processes at once. If it raises, it is tried again later.
        """

    def new_visit_with_key(self, key: str) -> Visit:
        """Store a new visit and return it, with `is_new`; the store expires it after the time-out.

        Args:
            key: 32 hex digits, random.

        Returns:
            The visit; its `visitor_id` may be left empty.
        """
        raise NotImplementedError

    def visit_for_key(self, key: str) -> Visit | None:
        """Return the stored visit of a key, None when there is none or it has expired.

        A visit has expired when its expiry has passed; at that very moment it still lasts.
        """
        raise NotImplementedError

    def update_queued_visits(self, queue: Mapping[str, datetime]) -> None:
        """Store expiry times, UTC, by visit key, all or none. What it raises is logged, and all are tried again.

        A key that the store does not have is passed over, and an expiry that is earlier than the stored one, too:
        another worker knew better.
        """

    # What a store may refine.

    def visit_for_first_request(self, key: str, request: VisitRequest, visitor_id: str) -> Visit:
        """Open the visit of a request that brings none.

        A store that can tell parallel first requests of one visitor apart from strangers returns the visit that
        the first of them has opened, without `is_new`.

        Args:
            key: of the new visit, 32 hex digits.
            request: the request.
            visitor_id: of the visitor's earlier visit, empty for someone new.
        """
        visit = self.new_visit_with_key(key)
        return visit._replace(visitor_id=visitor_id) if visitor_id else visit

    def keep_visit(self, visit: Visit) -> None:
        """Store a visit that was opened, or went on, while the store was down."""
        self.update_queued_visits({visit.key: self.expiry_from_now()})
        if self.visit_for_key(visit.key) is None:
            self.new_visit_with_key(visit.key)

    def tidy_up(self) -> None:
        """Do what the store needs done now and then, such as deleting what has expired; called in the background."""

    def expiry_from_now(self) -> datetime:
        """Return when a visit that is seen now will expire, UTC."""
        return to_datetime(self.clock_ms()) + timedelta(milliseconds=self.timeout_ms)

    # What the base does for all.

    def visit_for_request(self, request: VisitRequest) -> VisitState | None:
        """Return the visit that the request's ticket names while it lasts, else a new one.

        None is for managers that cannot follow the request; then it has no visit.
        """
        now = self.clock_ms()
        visitor: bytes | None = None
        foreign: Ticket | None = None
        for source in self.settings.visit_sources:
            for text in self._texts_of(source, request):
                ticket = self._tickets.read(text)
                if ticket is None:
                    continue
                if ticket.is_authentic:
                    state = self._continue(ticket, now, request.is_https)
                    if state is not None:
                        if source != "cookie" and not state.set_cookie:
                            return self._state(state.visit, now, request.is_https)
                        return state
                    if source == "cookie":  # a link with an old ticket may be in anybody's hands
                        visitor = ticket.visitor
                elif ticket.key_id != self._tickets.key_id and self._is_fresh(ticket, now):
                    foreign = ticket
        if request.is_speculative:
            return None
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
        return self._ticket(visit, self.clock_ms(), self._store.is_down)

    def take_back(self, request: VisitRequest) -> str:
        """Return the Set-Cookie value that deletes the ticket of a visitor who refuses it; empty when it has none."""
        has_cookie = next(iter(self._cookie.values(request.facts.cookie)), None) is not None
        return self._cookie.expire(request.is_https) if has_cookie else ""

    def flush(self) -> bool:
        """Write the expiry times that wait, and return whether the store took them."""
        return self._updates.flush()

    def close(self, timeout_seconds: float | None = 5.0) -> None:
        """Write the expiry times that wait, and end the thread that does so; closing again is nothing.

        Args:
            timeout_seconds: longest wait for a store that hangs; None waits as long as it takes.
        """
        self._updates.close(timeout_seconds)

    def _texts_of(self, source: str, request: VisitRequest) -> Iterable[str]:
        """Return what may be tickets, of one source; it is read only when those before it gave no visit."""
        if source == "cookie":
            return self._cookie.values(request.facts.cookie)
        if request.framework is None:
            return ()
        return islice(request.framework.form_values(self.settings.form_name), _MAX_FORM_VALUES)

    def _is_fresh(self, ticket: Ticket, now: int) -> bool:
        return abs(now - ticket.seen_ms) <= self.timeout_ms

    def _continue(self, ticket: Ticket, now: int, is_https: bool) -> VisitState | None:
        """Return the visit of an authentic ticket, None when it is over."""
        key = ticket.visit.hex()
        waiting = self._updates.expiry_of(key)
        is_provisional = ticket.is_provisional or self._store.is_down
        visit: Visit | None
        if waiting is not None and waiting >= to_datetime(now) and not is_provisional:
            visit = Visit(key, False, ticket.visitor.hex(), ticket.started_ms)
        else:
            visit, is_provisional = self._stored_visit(ticket, now)
            if visit is None:
                return None
        self._updates.put(key, self.expiry_from_now())
        if now - ticket.seen_ms <= self._resend_after_ms and is_provisional == ticket.is_provisional:
            return VisitState(visit)
        return self._state(visit, now, is_https, is_provisional)

    def _stored_visit(self, ticket: Ticket, now: int) -> tuple[Visit | None, bool]:
        """Return the visit of an authentic ticket, and whether that is only what the ticket says."""
        key = ticket.visit.hex()
        visitor_id = ticket.visitor.hex()
        by_ticket = Visit(key, False, visitor_id, ticket.started_ms) if self._is_fresh(ticket, now) else None

        def find() -> Visit | None:
            visit = self.visit_for_key(key)
            if visit is None and ticket.is_provisional and by_ticket is not None:
                self.keep_visit(by_ticket)
                return by_ticket
            return visit

        try:
            visit = self._store.ask(find)
        except StoreDown:
            return by_ticket, True
        # The visitor is the client's for longer than any visit, so its ticket knows best.
        return visit and visit._replace(is_new=False, visitor_id=visitor_id), False

    def _open(self, request: VisitRequest, visitor: bytes | None, now: int) -> VisitState:
        key = key_generator.new_key().hex()
        visitor_id = visitor.hex() if visitor else ""
        is_provisional = False
        try:
            visit = self._store.ask(lambda: self.visit_for_first_request(key, request, visitor_id))
        except StoreDown:
            visit = Visit(key, True, visitor_id, now)
            is_provisional = True
        if not visit.visitor_id:
            visit = visit._replace(visitor_id=key_generator.new_key().hex())
        self._updates.ensure_thread()
        return self._state(visit, now, request.is_https, is_provisional)

    def _state(self, visit: Visit, now: int, is_https: bool, is_provisional: bool = False) -> VisitState:
        if not self._uses_cookie:
            return VisitState(visit)
        return VisitState(visit, self._cookie.write(self._ticket(visit, now, is_provisional), now, is_https))

    def _ticket(self, visit: Visit, now: int, is_provisional: bool) -> str:
        return self._tickets.write(
            bytes.fromhex(visit.visitor_id), bytes.fromhex(visit.key), visit.started_ms, now, is_provisional
        )
