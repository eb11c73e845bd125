"""The request that is being served, where any code of the app finds it, and the events that happen in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from otel_usage import attributes as names
from otel_usage.model import Attributes, AttributeValue, RequestFacts
from otel_usage.pipeline.companion import NO_COMPANION
from otel_usage.pipeline.processor import UsageSpanProcessor
from otel_usage.pipeline.sampler import without_trace
from otel_usage.visits.manager import BaseVisitManager, VisitState
from otel_usage.visits.visit import Visit

MAX_EVENTS_PER_REQUEST = 1000

IGNORED_USER = "ignored_user"
"""Why a stage that a signed-in user reached is not recorded."""


_SUMMED_BY = (names.STATUS_CODE, names.SCHEME, names.HOST, names.QUERY, names.LANGUAGE)
"""Of the request alone, and what the bytes of its answer are summed by as well."""


class CollectedEvent(NamedTuple):
    """An event that waits for the end of its request."""

    name: str
    timestamp_ns: int
    attributes: dict[str, AttributeValue]


class TrackedRequest:
    """A request between `begin` and `leave`. Lives in a context variable, so that any code can find it."""

    __slots__ = (
        "client_address",
        "collected",
        "companion",
        "described",
        "facts",
        "filter_reason",
        "ignores_stages",
        "inherited",
        "is_finished",
        "is_left_at_close",
        "is_untraced",
        "own_filter_reason",
        "plugin_attributes",
        "processor",
        "set_cookie",
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
        self.set_cookie = state.set_cookie if state is not None else ""
        self.collected: list[CollectedEvent] = []
        self.filter_reason = ""
        """Why the request is not tracked, and no event in it; empty when it is."""
        self.own_filter_reason = ""
        """Why the request's own event is not recorded, while those in it are; empty when it is."""
        self.ignores_stages = False
        """Whether it is the request of a user who is left out of the funnels."""
        self.is_finished = False
        self.is_left_at_close = False
        """The body is a stream: the request is current until the server closes it."""
        self.is_untraced = False
        """The app's user wants no trace of it, so the spans that we make must not show."""
        self.inherited: dict[str, AttributeValue] = {}
        self.described: Attributes = {}
        """What the request's own span says, once that is known."""
        self.processor: UsageSpanProcessor | None = None
        """Which takes companions of the spans that are made; None where there are none."""
        self.companion = NO_COMPANION
        """What travels with the request's own span, in memory only."""
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

    def reason_to_filter(self, name: str) -> str:
        """Return why an event of this name is not recorded here, empty when it is."""
        if self.filter_reason:
            return self.filter_reason
        return IGNORED_USER if self.ignores_stages and name == names.STAGE_REACHED else ""

    def add_event(self, name: str, timestamp_ns: int, attributes: dict[str, AttributeValue]) -> bool:
        """Keep an event for the end of the request, or make it at once when that has passed (a streamed body).

        Returns False when the request has too many.
        """
        if self.is_finished:
            self._make_span(CollectedEvent(name, timestamp_ns, attributes))
            return True
        if len(self.collected) >= MAX_EVENTS_PER_REQUEST:
            return False
        self.collected.append(CollectedEvent(name, timestamp_ns, attributes))
        return True

    def add_response_sent(self, bytes_sent: int) -> None:
        """Tell how many bytes of a streamed body were sent, now that it is closed."""
        summed_by = {name: self.described[name] for name in _SUMMED_BY if name in self.described}
        self.add_event(names.RESPONSE_SENT, time.time_ns(), {**summed_by, names.RESPONSE_SIZE: bytes_sent})

    def record_events_only(self, reason: str) -> None:
        """Record no event for the request itself, only those that happen in it; its visit and cookie stay.

        For a view that is no page but tells of one. The first reason counts.

        Args:
            reason: under which the request is counted as filtered.
        """
        self.own_filter_reason = self.own_filter_reason or reason

    def ignore_stages(self) -> int:
        """Drop the stages that were reached, and those to come; return how many there were."""
        self.ignores_stages = True
        kept = [event for event in self.collected if event.name != names.STAGE_REACHED]
        dropped = len(self.collected) - len(kept)
        self.collected = kept
        return dropped

    def make_collected_spans(self) -> None:
        """Make the spans of the events that were kept, back-dated to when they happened."""
        for event in self.collected:
            self._make_span(event)
        self.collected.clear()

    def _make_span(self, event: CollectedEvent) -> None:
        parent = trace.set_span_in_context(self.span) if self.span is not None else None
        make_event_span(
            self.tracer,
            event.name,
            event.timestamp_ns,
            {**self.inherited, **event.attributes},
            without_trace(parent) if self.is_untraced else parent,
            on_start=self._attach_address if self.companion.client_address else None,
        )

    def attach_companion(self, span: Span) -> None:
        """Let what belongs to the request travel with its own span."""
        # A span that is no event is never asked for what travels with it.
        if self.processor is not None and self.companion is not NO_COMPANION and not self.own_filter_reason:
            self.processor.attach(span, self.companion)

    def _attach_address(self, span: Span) -> None:
        if self.processor is not None:
            self.processor.attach(span, self.companion._replace(on_event=None))


_current_request: ContextVar[TrackedRequest | None] = ContextVar("otel_usage_request", default=None)


def current_request() -> TrackedRequest | None:
    """Return the request that is being served, None outside of one."""
    return _current_request.get()


def set_current_request(tracked: TrackedRequest | None) -> None:
    """Make a request the current one of this context."""
    _current_request.set(tracked)


def make_event_span(
    tracer: Tracer,
    name: str,
    timestamp_ns: int,
    attributes: dict[str, AttributeValue],
    parent: Context | None = None,
    on_start: Callable[[Span], None] | None = None,
) -> None:
    """Make the zero-length span of an event, and call `on_start` with it before it ends."""
    attributes[names.EVENT_NAME] = name
    # With the attributes at the start, because the sampler decides by them.
    span = tracer.start_span(
        name, context=parent, kind=SpanKind.INTERNAL, attributes=attributes, start_time=timestamp_ns
    )
    if on_start is not None:
        on_start(span)
    span.end(end_time=timestamp_ns)
