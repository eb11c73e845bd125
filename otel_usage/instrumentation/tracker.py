"""One tracked request, from its first byte to its annotated span.

An adapter calls `begin` when the request starts, `finish` when its answer is ready, and `leave` when the
framework is done with it. Everything costs microseconds and does no I/O. What these raise, the adapter
keeps from the app.
"""

from __future__ import annotations

import logging
import time

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind

from otel_usage import attributes as names
from otel_usage.instrumentation.address import AddressPolicy, AddressResolver
from otel_usage.instrumentation.consent import Consent, ConsentDesk
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.identity import UserReader
from otel_usage.instrumentation.redaction import secret_parameters
from otel_usage.instrumentation.request_attributes import Answer, RequestDescription
from otel_usage.instrumentation.scope import UNKNOWN_PLACE, Place, Scope
from otel_usage.instrumentation.span_attributes import set_attributes
from otel_usage.instrumentation.tracked import (
    IGNORED_USER,
    TrackedRequest,
    current_request,
    set_current_request,
)
from otel_usage.model import AttributeValue, RequestFacts
from otel_usage.pipeline.companion import Companion
from otel_usage.pipeline.sampler import without_trace
from otel_usage.visits.keys import SecretSource
from otel_usage.visits.manager import BaseVisitManager, FrameworkRequest, VisitRequest, VisitState
from otel_usage.visits.plugins import visit_plugins
from otel_usage.visits.visit import Visit
from otel_usage.wiring import Runtime

logger = logging.getLogger(__name__)

_SHOWN_ON_REQUEST = frozenset({names.OBJECT_VIEWED, names.STAGE_REACHED, names.COUNTER})
"""Events whose last one the request span carries too, for those who read traces."""


class RequestTracker:
    """Follows the requests of one app, with the secret of that app."""

    def __init__(
        self,
        runtime: Runtime,
        framework_secret: str | bytes | None,
        *,
        session_cookie: str = "",
        scope: Scope | None = None,
        follows_visitors: bool = True,
    ) -> None:
        """Make the tracker of an app.

        Args:
            runtime: what is in force.
            framework_secret: the app's own secret key, None or empty when it has none.
            session_cookie: name of the cookie in which the framework keeps the app's session.
            scope: what is tracked of this app; what the settings say by default.
            follows_visitors: whether visits are made.
        """
        self.runtime = runtime
        settings = runtime.settings
        secret = SecretSource(settings.secret).secret_for(framework_secret)
        self.scope = scope or Scope(settings)
        self.users = UserReader(settings.user)
        self._consent = ConsentDesk(settings.consent)
        self._visits = self._build_visit_manager(secret, session_cookie) if follows_visitors else None
        self.needs_framework = self._visits is not None and self._visits.needs_framework
        """Whether `begin` is to be given the framework's session and form."""
        self.needs_session = self._visits is not None and self._visits.needs_session
        """Whether it is to be given the session above all, and no visit can be found without."""
        self._resolver = AddressResolver(settings.trusted_proxies)
        self._geo = runtime.processor.geo if runtime.processor is not None else None
        self._hides_addresses = settings.ip != "full"
        self._description = RequestDescription(
            AddressPolicy(settings.ip, secret),
            # Who has the ticket has the visit.
            secret_parameters(settings.form_name),
        )

    def _build_visit_manager(self, secret: str | bytes, session_cookie: str) -> BaseVisitManager | None:
        if self.runtime.settings.cookie_name == session_cookie:
            logger.error(
                "OTEL_USAGE_COOKIE_NAME is the name of the app's own session cookie, which it would overwrite. "
                "Going on without visits. Choose another name."
            )
            return None
        return self.runtime.build_visit_manager(secret)

    def begin(
        self,
        facts: RequestFacts,
        framework: FrameworkRequest | None = None,
        *,
        place: Place = UNKNOWN_PLACE,
        request: object = None,
        start_ns: int = 0,
    ) -> TrackedRequest | None:
        """Open the request and make it current; None when it is a nested one.

        A request inside another, such as a test client called in a view, belongs to the outer one. One that is not
        to be tracked is opened all the same, with its `filter_reason`, so that nothing in it is recorded.

        Args:
            facts: what the request says of itself.
            framework: where `needs_framework` asks for it.
            place: the view that the request goes to.
            request: the framework's own request, for the functions of the app that settings name.
            start_ns: when it started, in nanoseconds since the epoch; 0 for now.
        """
        outer = current_request()
        if outer is not None and not outer.is_finished:
            return None
        reason = self.scope.reason_to_filter(facts.path, place)
        if reason:
            return self._begin_filtered(facts, reason)
        start_ns = start_ns or time.time_ns()
        address = self._resolver.client_address(facts)
        set_cookie = ""
        if self._consent.is_needed and not facts.opted_out:
            consent = self._consent.consent_of(request)
            if consent is not Consent.GIVEN:
                facts = facts._replace(opted_out=True)
            if consent is Consent.REFUSED:
                set_cookie = self._take_back(facts, address, framework)
        state = self._visit_of(facts, address, framework)
        tracked = TrackedRequest(facts, start_ns, address, state, self.runtime.tracer, self._visits)
        tracked.processor = self.runtime.processor
        # The worker looks up where an address is, and the span must not say the whole of it, nor who opted out.
        if self._geo is not None and self._geo.has_sources and (self._hides_addresses or facts.opted_out):
            tracked.companion = Companion(address, opted_out=facts.opted_out)
        if set_cookie:
            tracked.set_cookie = set_cookie
        set_current_request(tracked)
        if state is not None and visit_plugins.enabled:
            self._run_plugins(tracked, state.visit)
        return tracked

    def filter_at_place(self, tracked: TrackedRequest, place: Place) -> None:
        """Stop tracking a request that was opened before its place in the app was known, if the place is filtered."""
        if tracked.filter_reason:
            return
        reason = self.scope.reason_to_filter(tracked.facts.path, place)
        if reason:
            self.runtime.accounting.add_filtered(reason)
            for _ in tracked.collected:
                self.runtime.accounting.add_filtered(reason)
            tracked.collected.clear()
            tracked.filter_reason = reason

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
        if tracked.filter_reason:
            return ""
        try:
            self._annotate(tracked, answer, span)
        except Exception:
            self.runtime.accounting.add_refused("internal_error")
            raise
        return tracked.set_cookie if answer.allows_cookie and not tracked.facts.purpose else ""

    def leave(self, tracked: TrackedRequest) -> None:
        """Forget the request; what runs next in this thread belongs to another one."""
        if current_request() is tracked:
            set_current_request(None)

    def _begin_filtered(self, facts: RequestFacts, reason: str) -> TrackedRequest:
        self.runtime.accounting.add_filtered(reason)
        tracked = TrackedRequest(facts, 0, "", None, self.runtime.tracer)
        tracked.filter_reason = reason
        set_current_request(tracked)
        return tracked

    def _annotate(self, tracked: TrackedRequest, answer: Answer, span: Span | None) -> None:
        attributes = tracked.described = self._description.attributes_of(tracked, answer)
        if tracked.plugin_attributes:
            attributes = {**tracked.plugin_attributes, **attributes}
        if self.runtime.settings.ignore_users and names.USER_ID in tracked.inherited:
            for _ in range(tracked.ignore_stages()):
                self.runtime.accounting.add_filtered(IGNORED_USER)
        for event in tracked.collected:
            if event.name in _SHOWN_ON_REQUEST:
                attributes.update(event.attributes)
        if tracked.own_filter_reason:
            self._leave_own_event_out(tracked, attributes)
        if span is None:
            if tracked.own_filter_reason:
                tracked.span = self._caller_of(tracked)
            else:
                self._make_request_span(tracked, answer, attributes)
        else:
            self._description.hide_what_others_wrote(span, attributes)
            set_attributes(span, attributes)
            tracked.attach_companion(span)
            tracked.span = span
        tracked.make_collected_spans()

    def _leave_own_event_out(self, tracked: TrackedRequest, attributes: dict[str, AttributeValue]) -> None:
        """Leave a plain span of the request, which is no event, and hand on what its event alone would have said."""
        self.runtime.accounting.add_filtered(tracked.own_filter_reason)
        del attributes[names.EVENT_NAME]
        is_new = attributes.pop(names.VISIT_IS_NEW, False)
        for event in tracked.collected:
            if is_new and event.name == names.ACTIVITY:
                event.attributes[names.VISIT_IS_NEW] = True
                break

    def _caller_of(self, tracked: TrackedRequest) -> Span | None:
        """Return the span that the events of a request without one belong under, None for the current one."""
        if trace.get_current_span().get_span_context().is_valid or not tracked.facts.traceparent:
            return None
        return trace.get_current_span(propagate.extract({"traceparent": tracked.facts.traceparent}))

    def _run_plugins(self, tracked: TrackedRequest, visit: Visit) -> None:
        try:
            tracked.plugin_attributes = visit_plugins.run(visit)
        except Exception as error:
            report_error(error)
        except BaseException:
            # The server ends the worker, or the request: nobody will leave what `begin` has not returned.
            self.leave(tracked)
            raise

    def _visit_of(
        self, facts: RequestFacts, client_address: str, framework: FrameworkRequest | None
    ) -> VisitState | None:
        if facts.opted_out or self._visits is None or (self.needs_session and framework is None):
            return None
        if facts.traceparent and not facts.cookie and not facts.user_agent.startswith("Mozilla/"):
            return None  # another service calls, nobody visits
        try:
            state = self._visits.visit_for_request(self._visit_request(facts, client_address, framework))
        except Exception as error:  # of a visit store that is down: the request counts all the same
            report_error(error)
            return None
        # A manager of the app may open one all the same.
        return None if facts.purpose and state is not None and state.visit.is_new else state

    def _take_back(self, facts: RequestFacts, client_address: str, framework: FrameworkRequest | None) -> str:
        if self._visits is None:
            return ""
        try:
            return self._visits.take_back(self._visit_request(facts, client_address, framework))
        except Exception as error:  # of a manager or a session that is not ours
            report_error(error)
            return ""

    def _visit_request(
        self, facts: RequestFacts, client_address: str, framework: FrameworkRequest | None
    ) -> VisitRequest:
        is_https = self._resolver.client_scheme(facts) == "https"
        return VisitRequest(facts, client_address, is_https, framework, bool(facts.purpose))

    def _make_request_span(
        self, tracked: TrackedRequest, answer: Answer, attributes: dict[str, AttributeValue]
    ) -> None:
        """Make the span of a request that has none that records, back-dated to its start."""
        parent = None
        if not trace.get_current_span().get_span_context().is_valid and tracked.facts.traceparent:
            parent = propagate.extract({"traceparent": tracked.facts.traceparent})
        span = tracked.tracer.start_span(
            f"{attributes[names.METHOD]} {answer.route}".rstrip(),
            context=without_trace(parent) if tracked.is_untraced else parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=tracked.start_ns,
        )
        tracked.span = span
        tracked.attach_companion(span)
        span.end()
