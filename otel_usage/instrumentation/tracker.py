"""One tracked request, from its first byte to its annotated span.

An adapter calls `begin` when the request starts, `finish` when its answer is ready, and `leave` when the
framework is done with it. Everything costs microseconds and does no I/O. What these raise, the adapter
keeps from the app.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import NamedTuple
from uuid import UUID

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from otel_usage import attributes as names
from otel_usage.instrumentation.address import AddressPolicy, AddressResolver
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.redaction import (
    REDACTED,
    bounded,
    redact_query,
    redact_url,
    secret_parameters,
)
from otel_usage.instrumentation.span_attributes import set_attributes
from otel_usage.model import Attributes, AttributeValue, RequestFacts
from otel_usage.visits.keys import SecretSource
from otel_usage.visits.manager import BaseVisitManager, FrameworkRequest, VisitRequest, VisitState
from otel_usage.visits.plugins import visit_plugins
from otel_usage.visits.visit import Visit
from otel_usage.wiring import Runtime

MAX_EVENTS_PER_REQUEST = 1000

_SHOWN_ON_REQUEST = frozenset({names.OBJECT_VIEWED, names.STAGE_REACHED, names.COUNTER})
"""Events whose last one the request span carries too, for those who read traces."""

_OLD_NAMES_OF_ADDRESS = ("net.peer.ip", "net.sock.peer.addr")
_CAPTURED_ADDRESSES = (
    "http.request.header.x_forwarded_for",
    "http.request.header.forwarded",
    "http.request.header.x_real_ip",
)
"""As contrib writes the headers that it was told to capture."""
_OLD_NAMES_OF_URL = ("http.url", "http.target", "url.full")


class Answer(NamedTuple):
    """What an adapter knows when the response is ready."""

    status_code: int
    route: str = ""
    """The pattern that matched, empty for a 404."""
    endpoint: str = ""
    blueprint: str = ""
    view_arguments: Mapping[str, object] | None = None
    user_id: str = ""
    response_size: int | None = None
    """Bytes of the body, None when it is a stream."""
    allows_cookie: bool = True
    """False for responses that shared caches keep, and for those that cannot carry one."""


class _CollectedEvent(NamedTuple):
    name: str
    timestamp_ns: int
    attributes: dict[str, AttributeValue]


class TrackedRequest:
    """A request between `begin` and `leave`. Lives in a context variable, so that any code can find it."""

    __slots__ = (
        "client_address",
        "collected",
        "facts",
        "inherited",
        "is_finished",
        "is_left_at_close",
        "plugin_attributes",
        "span",
        "start_ns",
        "state",
        "tracer",
        "visits",
    )

    def __init__(
        self,
        facts: RequestFacts,
        start_ns: int,
        client_address: str,
        state: VisitState | None,
        tracer: Tracer,
        visits: BaseVisitManager | None = None,
    ) -> None:
        self.facts = facts
        self.client_address = client_address
        self.start_ns = start_ns
        self.state = state
        self.tracer = tracer
        self.visits = visits
        self.collected: list[_CollectedEvent] = []
        self.is_finished = False
        self.is_left_at_close = False
        """The body is a stream: the request is current until the server closes it."""
        self.inherited: dict[str, AttributeValue] = {}
        self.plugin_attributes: Attributes = {}
        """What plug-ins add to the request's own span."""
        self.span: Span | None = None

    @property
    def visit(self) -> Visit | None:
        """The visit, None for visitors that are not followed."""
        return self.state.visit if self.state else None

    def visit_ticket(self) -> str:
        """Return what a form or link carries to continue the visit, empty when there is none."""
        return self.visits.ticket_for(self.state.visit) if self.visits and self.state else ""

    def add_event(self, name: str, timestamp_ns: int, attributes: dict[str, AttributeValue]) -> bool:
        """Keep an event for the end of the request, or make it at once when that has passed (a streamed body).

        Returns False when the request has too many.
        """
        if self.is_finished:
            self._make_span(_CollectedEvent(name, timestamp_ns, attributes))
            return True
        if len(self.collected) >= MAX_EVENTS_PER_REQUEST:
            return False
        self.collected.append(_CollectedEvent(name, timestamp_ns, attributes))
        return True

    def make_collected_spans(self) -> None:
        """Make the spans of the events that were kept, back-dated to when they happened."""
        for event in self.collected:
            self._make_span(event)
        self.collected.clear()

    def _make_span(self, event: _CollectedEvent) -> None:
        make_event_span(
            self.tracer,
            event.name,
            event.timestamp_ns,
            {**self.inherited, **event.attributes},
            trace.set_span_in_context(self.span) if self.span is not None else None,
        )


_current_request: ContextVar[TrackedRequest | None] = ContextVar("otel_usage_request", default=None)


def current_request() -> TrackedRequest | None:
    """Return the request that is being served, None outside of one."""
    return _current_request.get()


def make_event_span(
    tracer: Tracer,
    name: str,
    timestamp_ns: int,
    attributes: dict[str, AttributeValue],
    parent: Context | None = None,
) -> None:
    """Make the zero-length span of an event."""
    attributes[names.EVENT_NAME] = name
    # With the attributes at the start, because the sampler decides by them.
    span = tracer.start_span(
        name, context=parent, kind=SpanKind.INTERNAL, attributes=attributes, start_time=timestamp_ns
    )
    span.end(end_time=timestamp_ns)


def _argument_text(value: object) -> str:
    """Return a view argument as text; an object that a converter loaded gives its type alone.

    Its text may take a query to make, and may say more of it than the URL did.
    """
    is_plain = isinstance(value, (str, int, float, Decimal, UUID, date, PurePath))
    return bounded(str(value) if is_plain else type(value).__name__, names.MAX_TEXT)


class RequestTracker:
    """Follows the requests of one app, with the secret of that app."""

    def __init__(self, runtime: Runtime, framework_secret: str | bytes | None) -> None:
        self.runtime = runtime
        settings = runtime.settings
        secret = SecretSource(settings.secret).secret_for(framework_secret)
        self._excluded = settings.excluded_urls
        self._included = settings.included_urls
        # Who has the ticket has the visit.
        self._secrets = secret_parameters(settings.form_name)
        self._visits = runtime.build_visit_manager(secret)
        self.needs_framework = self._visits is not None and self._visits.needs_framework
        """Whether `begin` is to be given the framework's own request."""
        self._resolver = AddressResolver(settings.trusted_proxies)
        self._policy = AddressPolicy(settings.ip, secret)

    def begin(self, facts: RequestFacts, framework: FrameworkRequest | None = None) -> TrackedRequest | None:
        """Open the request and make it current; None when the settings exclude it or it is a nested one.

        A request inside another, such as a test client called in a view, belongs to the outer one.
        """
        outer = _current_request.get()
        if outer is not None and not outer.is_finished:
            return None
        reason = self._reason_to_filter(facts.path)
        if reason:
            self.runtime.accounting.add_filtered(reason)
            return None
        start_ns = time.time_ns()
        address = self._resolver.client_address(facts)
        state = self._visit_of(facts, address, framework)
        tracked = TrackedRequest(facts, start_ns, address, state, self.runtime.tracer, self._visits)
        _current_request.set(tracked)
        if state is not None and visit_plugins.enabled:
            self._run_plugins(tracked, state.visit)
        return tracked

    def finish(self, tracked: TrackedRequest, answer: Answer, span: Span | None) -> str:
        """Annotate the span of the request, make one where it has none, and return the cookie to set, or nothing.

        Args:
            tracked: what `begin` returned; only the first call for it has an effect.
            answer: what the adapter knows of the response.
            span: the request's own span, None if it has none that records.
        """
        if tracked.is_finished:
            return ""
        tracked.is_finished = True
        try:
            self._annotate(tracked, answer, span)
        except Exception:
            self.runtime.accounting.add_refused("internal_error")
            raise
        return tracked.state.set_cookie if tracked.state and answer.allows_cookie else ""

    def _annotate(self, tracked: TrackedRequest, answer: Answer, span: Span | None) -> None:
        attributes = self._request_attributes(tracked, answer)
        if tracked.plugin_attributes:
            attributes = {**tracked.plugin_attributes, **attributes}
        for event in tracked.collected:
            if event.name in _SHOWN_ON_REQUEST:
                attributes.update(event.attributes)
        if span is None:
            self._make_request_span(tracked, answer, attributes)
        else:
            self._hide_what_others_wrote(span, attributes)
            set_attributes(span, attributes)
            tracked.span = span
        tracked.make_collected_spans()

    def leave(self, tracked: TrackedRequest) -> None:
        """Forget the request; what runs next in this thread belongs to another one."""
        if _current_request.get() is tracked:
            _current_request.set(None)

    def _run_plugins(self, tracked: TrackedRequest, visit: Visit) -> None:
        try:
            tracked.plugin_attributes = visit_plugins.run(visit)
        except Exception as error:
            report_error(error)
        except BaseException:
            # The server ends the worker, or the request: nobody will leave what `begin` has not returned.
            self.leave(tracked)
            raise

    def _reason_to_filter(self, path: str) -> str:
        for pattern in self._excluded:
            if pattern.search(path):
                return "excluded_url"
        if self._included and not any(pattern.search(path) for pattern in self._included):
            return "not_included_url"
        return ""

    def _visit_of(
        self, facts: RequestFacts, client_address: str, framework: FrameworkRequest | None
    ) -> VisitState | None:
        if facts.opted_out or self._visits is None:
            return None
        if facts.traceparent and not facts.cookie and not facts.user_agent.startswith("Mozilla/"):
            return None  # another service calls, nobody visits
        is_https = self._resolver.client_scheme(facts) == "https"
        try:
            return self._visits.visit_for_request(VisitRequest(facts, client_address, is_https, framework))
        except Exception as error:  # of a visit store that is down: the request counts all the same
            report_error(error)
            return None

    def _request_attributes(self, tracked: TrackedRequest, answer: Answer) -> dict[str, AttributeValue]:
        facts = tracked.facts
        inherited = tracked.inherited = self._identity_attributes(tracked, answer)
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.REQUEST,
            **inherited,
            names.METHOD: bounded(facts.method, 32),
            names.STATUS_CODE: answer.status_code,
            names.SCHEME: facts.scheme,
            names.HOST: bounded(facts.host, names.MAX_NAME),
            names.PATH: bounded(facts.path, names.MAX_TEXT),
        }
        if tracked.state:
            attributes[names.VISIT_IS_NEW] = tracked.state.visit.is_new
        if facts.query:
            attributes[names.QUERY] = bounded(redact_query(facts.query, self._secrets), names.MAX_TEXT)
        if facts.referrer:
            attributes[names.REFERRER_URL] = bounded(
                redact_url(facts.referrer, self._secrets), names.MAX_TEXT
            )
        if facts.accept_language:
            first = facts.accept_language.partition(",")[0].partition(";")[0]
            attributes[names.LANGUAGE] = bounded(first.strip(), 35)
        if facts.has_authorization:
            attributes[names.HAS_AUTHORIZATION] = True
        if answer.route:
            attributes[names.ROUTE] = answer.route
        if answer.endpoint:
            attributes[names.ENDPOINT] = answer.endpoint
        if answer.blueprint:
            attributes[names.BLUEPRINT] = answer.blueprint
        if answer.response_size is not None:
            attributes[names.RESPONSE_SIZE] = answer.response_size
        if answer.view_arguments:
            for name, value in list(answer.view_arguments.items())[: names.MAX_PROPERTIES]:
                attributes[names.VIEW_ARGUMENT_PREFIX + name] = _argument_text(value)
        if self._policy.keeps_everything:
            attributes[names.PEER_ADDRESS] = facts.peer_address
            claimed = facts.forwarded_for or facts.forwarded
            if claimed:
                attributes[names.FORWARDED_FOR] = bounded(claimed, names.MAX_TEXT)
        return attributes

    def _identity_attributes(self, tracked: TrackedRequest, answer: Answer) -> dict[str, AttributeValue]:
        """Return what the events of the request share with it."""
        facts = tracked.facts
        kept = self._policy.apply(tracked.client_address)
        attributes: dict[str, AttributeValue] = {
            names.CLIENT_ADDRESS: kept.address,
            names.USER_AGENT: bounded(facts.user_agent, names.MAX_TEXT),
        }
        if kept.hashed:
            attributes[names.CLIENT_ADDRESS_HASH] = kept.hashed
        if tracked.state:
            attributes[names.VISIT_KEY] = tracked.state.visit.key
            attributes[names.VISITOR_ID] = tracked.state.visit.visitor_id
        if answer.user_id and not facts.opted_out:
            attributes[names.USER_ID] = bounded(answer.user_id, names.MAX_NAME)
        return attributes

    def _hide_what_others_wrote(self, span: Span, attributes: dict[str, AttributeValue]) -> None:
        """Overwrite the address and the URL that the framework's instrumentation put on the span in full."""
        if self._policy.keeps_everything and names.QUERY not in attributes:
            return
        present: Mapping[str, object] = getattr(span, "attributes", None) or {}
        if not self._policy.keeps_everything:
            attributes[names.PEER_ADDRESS] = attributes[names.CLIENT_ADDRESS]
            for name in _OLD_NAMES_OF_ADDRESS:
                if name in present:
                    attributes[name] = attributes[names.CLIENT_ADDRESS]
            for name in _CAPTURED_ADDRESSES:
                if name in present:
                    attributes[name] = (REDACTED,)
        # Short of a secret in it, the URL that others wrote is the one that we keep, and may stay.
        if names.QUERY in attributes:
            for name in _OLD_NAMES_OF_URL:
                if name in present:
                    attributes[name] = redact_url(str(present[name]), self._secrets)

    def _make_request_span(
        self, tracked: TrackedRequest, answer: Answer, attributes: dict[str, AttributeValue]
    ) -> None:
        """Make the span of a request that has none that records, back-dated to its start."""
        parent = None
        if not trace.get_current_span().get_span_context().is_valid and tracked.facts.traceparent:
            parent = propagate.extract({"traceparent": tracked.facts.traceparent})
        span = tracked.tracer.start_span(
            f"{attributes[names.METHOD]} {answer.route}".rstrip(),
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=tracked.start_ns,
        )
        tracked.span = span
        span.end()
