"""The middleware that follows a request through Django. The instrumentor puts it into each handler by itself."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, TypeAlias, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from otel_usage.django.request import DjangoRequest, facts_of, place_of
from otel_usage.django.users import signed_in_user
from otel_usage.instrumentation import api  # noqa: F401 - a view's first call must not read it from disk
from otel_usage.instrumentation.guard import never_raises, report_error
from otel_usage.instrumentation.request_attributes import Answer, allows_cookie
from otel_usage.instrumentation.request_span import find_request_span
from otel_usage.instrumentation.scope import Scope
from otel_usage.instrumentation.tracked import TrackedRequest
from otel_usage.instrumentation.tracker import RequestTracker
from otel_usage.instrumentation.wsgi import CountedBody
from otel_usage.settings import Settings
from otel_usage.wiring import Runtime, runtime

_GetResponse: TypeAlias = Callable[[HttpRequest], Any]

_OPENED = "_otel_usage"
"""Attribute of the request that holds what is open for it."""
_IS_SEEN = "_otel_usage_is_seen"
"""Attribute of a request that came as far as our middleware."""
_CONTRIB_SPAN_KEY = "opentelemetry-instrumentor-django.span_key"
"""Where contrib's middleware keeps the span of the request, in `META`."""
_CLIENT_CLOSED_REQUEST = 499
"""The status that servers write into their logs when the client has gone before its answer; no standard has one."""


class UsageMiddleware:
    """Opens the usage of a request, and closes it with the response, inside of contrib's span."""

    sync_capable = True
    async_capable = True

    contrib_excludes: Callable[[HttpRequest], bool] | None = None
    """Whether contrib is told not to trace a request; None where contrib is absent. Set by the instrumentor."""

    def __init__(self, get_response: _GetResponse) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        self._trackers: tuple[Runtime, RequestTracker] | None = None
        if self._is_async:
            markcoroutinefunction(self)
            # Django would run a plain function in a thread, for each request.
            self.process_view = self._process_view_async  # type: ignore[method-assign]

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._call_async(request)
        opened = _Opened()
        self._enter(opened, request)
        try:
            response = self._get_response(request)
        except BaseException:
            self._leave_without_answer(opened, request, 500)
            raise
        self._leave(opened, request, response)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        opened = _Opened()
        self._enter(opened, request)
        try:
            response: HttpResponseBase = await self._get_response(request)
        except BaseException as error:
            is_gone = isinstance(error, asyncio.CancelledError)
            self._leave_without_answer(opened, request, _CLIENT_CLOSED_REQUEST if is_gone else 500)
            raise
        self._leave(opened, request, response)
        return response

    def process_view(self, request: HttpRequest, view: object, arguments: object, by_name: object) -> Any:
        """Open what had to wait for the view, or for the session."""
        self._reach_view(request)

    async def _process_view_async(
        self, request: HttpRequest, view: object, arguments: object, by_name: object
    ) -> None:
        try:
            opened = _opened_of(request)
            if opened is None or opened.tracker is None:
                return
            if opened.tracker.needs_session and opened.tracked is None:
                # The session may ask its database, which Django forbids here.
                await sync_to_async(self._reach_view)(request)
            else:
                self._reach_view(request)
        except Exception as error:
            report_error(error)

    def add_unreached(self, request: HttpRequest, response: HttpResponseBase, start_ns: int) -> None:
        """Track a request that another middleware answered before it could come here."""
        if _IS_SEEN in request.__dict__:
            return
        opened = _Opened()
        opened.start_ns = start_ns
        self._enter(opened, request)
        self._leave(opened, request, response)

    @never_raises
    def _enter(self, opened: _Opened, request: HttpRequest) -> None:
        request.__dict__[_IS_SEEN] = True
        tracker = opened.tracker = self._tracker()
        if tracker is None:
            return
        opened.start_ns = opened.start_ns or time.time_ns()
        request.__dict__[_OPENED] = opened
        if not (tracker.needs_session or tracker.scope.needs_place):
            self._begin(opened, request, DjangoRequest(request) if tracker.needs_framework else None)

    @never_raises
    def _reach_view(self, request: HttpRequest) -> None:
        opened = _opened_of(request)
        if opened is None or opened.tracker is None:
            return
        if opened.tracked is None and not opened.is_nested:
            self._begin(opened, request, DjangoRequest(request))
        elif opened.tracked is not None and opened.tracker.scope.needs_place:
            # The views were loaded by this very request, and some are marked.
            opened.tracker.filter_at_place(opened.tracked, place_of(request))

    def _begin(self, opened: _Opened, request: HttpRequest, framework: DjangoRequest | None) -> None:
        tracker = opened.tracker
        if tracker is None:
            return
        opened.tracked = tracker.begin(
            facts_of(request, tracker.runtime.settings),
            framework,
            place=place_of(request),
            request=request,
            start_ns=opened.start_ns,
        )
        opened.is_nested = opened.tracked is None

    @never_raises
    def _leave(self, opened: _Opened, request: HttpRequest, response: HttpResponseBase) -> None:
        tracker, tracked = self._closing(opened, request)
        if tracker is None or tracked is None:
            return
        try:
            size = None if tracked.filter_reason else _body_size(response)
            status = response.status_code
            cache_control = response.headers.get("Cache-Control", "")
            answer = self._answer(
                tracker, tracked, request, status, size, allows_cookie(status, cache_control)
            )
            cookie = tracker.finish(tracked, answer, self._span(tracked, request))
            if cookie:
                response.cookies.load(cookie)
            if (
                isinstance(response, StreamingHttpResponse)
                and getattr(response, "file_to_stream", None) is None
            ):
                # What the body's generator records still belongs to this request.
                tracked.is_left_at_close = True
                is_counted = size is None and not tracked.filter_reason
                body = _count_body(response) if is_counted else None
                vars(response)["_resource_closers"].append(lambda: _leave_at_close(tracker, tracked, body))
        finally:
            # Whatever happens: the next request of this thread would be taken for one inside this one.
            if not tracked.is_left_at_close:
                tracker.leave(tracked)

    @never_raises
    def _leave_without_answer(self, opened: _Opened, request: HttpRequest, status: int) -> None:
        tracker, tracked = self._closing(opened, request)
        if tracker is None or tracked is None:
            return
        try:
            answer = self._answer(tracker, tracked, request, status, None, False)
            tracker.finish(tracked, answer, self._span(tracked, request))
        finally:
            tracker.leave(tracked)

    def _closing(
        self, opened: _Opened, request: HttpRequest
    ) -> tuple[RequestTracker | None, TrackedRequest | None]:
        """Return what is open for the request; one that no view was found for is opened now."""
        tracker = opened.tracker
        if tracker is None:
            return None, None
        # Left in, it would close a circle with the request, which then waits for the garbage collector.
        request.__dict__.pop(_OPENED, None)
        if opened.tracked is None and not opened.is_nested:
            # The session has been written already.
            has_framework = tracker.needs_framework and not tracker.needs_session
            self._begin(opened, request, DjangoRequest(request) if has_framework else None)
        return tracker, opened.tracked

    def _answer(
        self,
        tracker: RequestTracker,
        tracked: TrackedRequest,
        request: HttpRequest,
        status: int,
        size: int | None,
        may_set_cookie: bool,
    ) -> Answer:
        user_id = ""
        if not tracked.facts.opted_out and not tracked.filter_reason:
            user_id = signed_in_user(request) if tracker.users.is_passive else tracker.users.user_id(request)
        match = request.resolver_match
        if match is None:
            return Answer(status, user_id=user_id, response_size=size, allows_cookie=may_set_cookie)
        return Answer(
            status,
            # As contrib writes it; only that the front page has one too, or it would count as not found.
            match.route or "/",
            match.view_name or "",
            match.namespace,
            match.kwargs or dict(zip(map(str, range(len(match.args))), match.args, strict=True)),
            user_id,
            size,
            may_set_cookie,
        )

    def _span(self, tracked: TrackedRequest, request: HttpRequest) -> Any:
        of_contrib = request.META.get(_CONTRIB_SPAN_KEY)
        span = find_request_span(of_contrib)
        if span is None and of_contrib is None and self.contrib_excludes is not None:
            tracked.is_untraced = self.contrib_excludes(request)
        return span

    def _tracker(self) -> RequestTracker | None:
        active = runtime()
        if active is None:
            return None
        if self._trackers is None or self._trackers[0] is not active:
            tracker = RequestTracker(
                active,
                _secret_key(),
                session_cookie=django_settings.SESSION_COOKIE_NAME,
                scope=Scope(_with_static_url(active.settings)),
            )
            self._trackers = (active, tracker)
        return self._trackers[1]


class OutermostMiddleware:
    """Sees what contrib's middleware does not let through: it refuses a request for a host that is not allowed."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _GetResponse) -> None:
        self._get_response = get_response
        self._usage = UsageMiddleware(get_response)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._call_async(request)
        start_ns = time.time_ns()
        response = self._get_response(request)
        self._usage.add_unreached(request, response, start_ns)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        start_ns = time.time_ns()
        response: HttpResponseBase = await self._get_response(request)
        self._usage.add_unreached(request, response, start_ns)
        return response


class _Opened:
    """What is open for one request."""

    __slots__ = ("is_nested", "start_ns", "tracked", "tracker")

    def __init__(self) -> None:
        self.tracker: RequestTracker | None = None
        self.tracked: TrackedRequest | None = None
        self.start_ns = 0
        self.is_nested = False
        """It belongs to another request, inside of which it is made."""


def _opened_of(request: HttpRequest) -> _Opened | None:
    opened: _Opened | None = request.__dict__.get(_OPENED)
    return opened


def tracked_of(request: HttpRequest) -> TrackedRequest | None:
    """Return what is tracked of a request that is being served, None where that is not tracked by itself."""
    opened = _opened_of(request)
    return opened.tracked if opened is not None else None


def _secret_key() -> str | None:
    try:
        key: str = django_settings.SECRET_KEY
    except ImproperlyConfigured:  # Django asks for one only where it needs one
        return None
    return key


def _with_static_url(settings: Settings) -> Settings:
    """Return the settings with Django's own static files excluded too, where nothing else is asked for."""
    static = django_settings.STATIC_URL
    if settings.excluded_urls != Settings().excluded_urls or not static or not static.startswith("/"):
        return settings
    return dataclasses.replace(
        settings, excluded_urls=(*settings.excluded_urls, re.compile("^" + re.escape(static)))
    )


def _body_size(response: HttpResponseBase) -> int | None:
    try:
        if not response.streaming:
            return len(response.content)  # type: ignore[attr-defined]
        length = response.headers.get("Content-Length")
        return int(length) if length is not None else None
    except Exception as error:  # of a response class of the site
        report_error(error)
        return None


class _CountedAsyncBody:
    """The body of an asynchronously streamed response, with the bytes that the server has taken of it."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.bytes_sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            self.bytes_sent += len(part)
            yield part


def _count_body(response: StreamingHttpResponse) -> CountedBody | _CountedAsyncBody:
    # Django's own getter encodes the parts.
    body: Any = response.streaming_content
    counted = _CountedAsyncBody(body) if response.is_async else CountedBody(cast(Iterable[bytes], body))
    response.streaming_content = counted
    return counted


@never_raises
def _leave_at_close(
    tracker: RequestTracker, tracked: TrackedRequest, body: CountedBody | _CountedAsyncBody | None
) -> None:
    if not tracked.is_left_at_close:
        return  # closed twice
    tracked.is_left_at_close = False
    try:
        if body is not None:
            tracked.add_response_sent(body.bytes_sent)
    finally:
        tracker.leave(tracked)
