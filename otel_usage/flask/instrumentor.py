"""The Flask adapter: listens to Flask's signals, which fire for every app whatever its class or load order."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import (
    Flask,
    Response,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)
from flask.ctx import RequestContext
from flask.globals import _cv_request
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy 2.4 loses the name

from otel_usage.flask.extension import EXTENSION, WAIT_KEY, ModeError
from otel_usage.flask.request import FlaskRequest
from otel_usage.flask.scope import place_of
from otel_usage.flask.users import signed_in_user
from otel_usage.instrumentation import api  # noqa: F401 - a view's first call must not read it from disk
from otel_usage.instrumentation.guard import never_raises, report_error
from otel_usage.instrumentation.request_attributes import Answer, allows_cookie
from otel_usage.instrumentation.request_span import find_request_span
from otel_usage.instrumentation.tracked import TrackedRequest
from otel_usage.instrumentation.tracker import RequestTracker
from otel_usage.instrumentation.wsgi import CountedBody, read_wsgi_request
from otel_usage.wiring import runtime

if TYPE_CHECKING:
    from otel_usage.flask.app_usage import AppUsage

_EXTENSION = "otel_usage"
_ENVIRON_KEY = "otel_usage.request"
_CONTRIB_SPAN_KEY = "opentelemetry-flask.span_key"
"""Where contrib's Flask instrumentation keeps the span of the request."""
_CONTRIB_START_KEY = "opentelemetry-flask.starttime_key"
"""Where it keeps the start of each request that it sees, also of those that it is told not to trace."""


class FlaskUsageInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Tracks the requests of all Flask apps of the process, those made earlier too.

    The launcher finds it by its entry point. By hand: `FlaskUsageInstrumentor().instrument()`, with
    `otel_usage.configure()` for settings that are not in the environment.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of Flask that we work with."""
        return ("flask >= 2.2",)

    def _instrument(self, **kwargs: Any) -> None:
        # Strong references: blinker forgets receivers that nobody holds.
        request_started.connect(_request_started, weak=False)
        request_finished.connect(_request_finished, weak=False)
        got_request_exception.connect(_got_request_exception, weak=False)
        request_tearing_down.connect(_request_tearing_down, weak=False)

    def _uninstrument(self, **kwargs: Any) -> None:
        request_started.disconnect(_request_started)
        request_finished.disconnect(_request_finished)
        got_request_exception.disconnect(_got_request_exception)
        request_tearing_down.disconnect(_request_tearing_down)


def _request_started(sender: Flask, **extra: Any) -> None:
    usage: AppUsage | None = sender.extensions.get(EXTENSION)
    if usage is not None:
        # Not guarded: a test of the app shall see that its extension is misused.
        usage.prepare_request(sender.testing)
    _open_or_report(sender)


@never_raises
def _open_or_report(app: Flask) -> None:
    _open(app)


def _open(app: Flask) -> _Opened | None:
    tracker = _tracker_of(app)
    if tracker is None:
        return None
    context: RequestContext = _cv_request.get()
    request = context.request
    environ = request.environ
    tracked = tracker.begin(
        read_wsgi_request(environ, tracker.runtime.settings),
        FlaskRequest(context) if tracker.needs_framework else None,
        place=place_of(app, request.url_rule),
        request=request,
    )
    if tracked is None:
        return None
    # With the context that opened it: a copied context of the same environ must not close it.
    opened = environ[_ENVIRON_KEY] = _Opened(tracker, tracked, context)
    return opened


@never_raises
def _request_finished(sender: Flask, response: Response, **extra: Any) -> None:
    opened = _opened_here()
    if opened is None or opened.tracked.is_finished:
        return
    size = _body_size(response) if not opened.tracked.filter_reason else None
    cookie = _finish(opened, response, size)
    if cookie:
        response.headers.add("Set-Cookie", cookie)
    # A file that the server sends by itself has no close that we would hear of.
    if response.is_streamed and not response.direct_passthrough:
        # What the body's generator records still belongs to this request.
        opened.tracked.is_left_at_close = True
        body = _count_body(response) if size is None and not opened.tracked.filter_reason else None
        response.call_on_close(lambda: _leave(opened, body))
    _wait_for_storages(opened)


@never_raises
def _got_request_exception(sender: Flask, exception: Exception | None = None, **extra: Any) -> None:
    if isinstance(exception, ModeError):
        return  # nobody knows whether it is to be tracked
    # With debug or testing on, the exception goes on to the server and request_finished never fires.
    propagates = sender.config["PROPAGATE_EXCEPTIONS"]
    # What fails before `request_started`, such as the session, is a request all the same.
    opened = _opened_here() or _open(sender)
    if opened is not None and (propagates or (propagates is None and (sender.testing or sender.debug))):
        _finish(opened, None, None)


@never_raises
def _request_tearing_down(sender: Flask, **extra: Any) -> None:
    opened = _opened_here()
    if opened is not None:
        # Left in, it would close a circle with the context, and each request would wait for the garbage collector.
        del opened.context.request.environ[_ENVIRON_KEY]
        try:
            _finish(opened, None, None)
        finally:
            # Whatever happens: the next request of this thread would be taken for one inside this one.
            if not opened.tracked.is_left_at_close:
                opened.tracker.leave(opened.tracked)
        # By now contrib has ended its span.
        _wait_for_storages(opened)


class _Opened(NamedTuple):
    """What `request_started` leaves in the environment for the signals that follow."""

    tracker: RequestTracker
    tracked: TrackedRequest
    context: RequestContext


def _opened_here() -> _Opened | None:
    # Looked up once and used directly: going through `flask.request` costs a microsecond each time.
    context: RequestContext | None = _cv_request.get(None)
    if context is None:
        return None
    opened: _Opened | None = context.request.environ.get(_ENVIRON_KEY)
    return opened if opened is not None and opened.context is context else None


def tracked_here() -> TrackedRequest | None:
    """Return the tracked request of the current request context, None where that is not tracked by itself."""
    opened = _opened_here()
    return opened.tracked if opened is not None else None


def _wait_for_storages(opened: _Opened) -> None:
    """Under TESTING, let the storages have the request before its test goes on."""
    tracked, environ = opened.tracked, opened.context.request.environ
    if WAIT_KEY in environ and tracked.span is not None and not tracked.span.is_recording():
        environ.pop(WAIT_KEY).wait(opened.tracker.runtime.processor)


@never_raises
def _leave(opened: _Opened, body: CountedBody | None) -> None:
    if not opened.tracked.is_left_at_close:
        return  # closed twice
    opened.tracked.is_left_at_close = False
    try:
        if body is not None:
            opened.tracked.add_response_sent(body.bytes_sent)
    finally:
        opened.tracker.leave(opened.tracked)


def _count_body(response: Response) -> CountedBody:
    body = response.response = CountedBody(response.response)
    return body


def _finish(opened: _Opened, response: Response | None, size: int | None) -> str:
    """Annotate a request once, and return the cookie to set; without a response it failed."""
    tracker, tracked, context = opened
    if tracked.is_finished:
        return ""
    environ = context.request.environ
    # Contrib makes its span INTERNAL where an outer one is there.
    span = find_request_span(environ.get(_CONTRIB_SPAN_KEY))
    tracked.is_untraced = span is None and _CONTRIB_START_KEY in environ and _CONTRIB_SPAN_KEY not in environ
    usage: AppUsage | None = context.app.extensions.get(EXTENSION)
    if usage is not None and not tracked.filter_reason:
        usage.describe(tracked, context, tracker.runtime.settings)
    return tracker.finish(tracked, _answer(opened, response, size), span)


def _tracker_of(app: Flask) -> RequestTracker | None:
    active = runtime()
    if active is None:
        return None
    tracker: RequestTracker | None = app.extensions.get(_EXTENSION)
    if tracker is None or tracker.runtime is not active:
        usage: AppUsage | None = app.extensions.get(EXTENSION)
        tracker = app.extensions[_EXTENSION] = RequestTracker(
            active,
            app.secret_key,
            session_cookie=str(app.config.get("SESSION_COOKIE_NAME", "")),
            scope=usage.scope(active.settings) if usage is not None else None,
            follows_visitors=usage is None or usage.follows_visitors,
        )
    return tracker


def forget_tracker(app: Flask) -> None:
    """Let the next request of an app look anew at what is tracked of it."""
    app.extensions.pop(_EXTENSION, None)


def _answer(opened: _Opened, response: Response | None, size: int | None) -> Answer:
    tracker, tracked, context = opened
    request = context.request
    rule = request.url_rule
    endpoint = rule.endpoint if rule is not None else ""
    return Answer(
        500 if response is None else response.status_code,
        rule.rule if rule is not None else "",
        endpoint,
        endpoint.rpartition(".")[0],
        request.view_args,
        "" if tracked.facts.opted_out else _user_id(tracker, context),
        size,
        response is not None and _allows_cookie(response),
    )


def _user_id(tracker: RequestTracker, context: RequestContext) -> str:
    return signed_in_user(context) if tracker.users.is_passive else tracker.users.user_id(context.request)


def _body_size(response: Response) -> int | None:
    # Error pages and files are streams too, of a size that their header knows.
    try:
        return response.content_length if response.is_streamed else response.calculate_content_length()
    except Exception as error:  # of a response class of the app
        report_error(error)
        return None


def _allows_cookie(response: Response) -> bool:
    # Not `headers.get`: werkzeug builds an exception for a header that is not there.
    cache_control = ""
    for name, value in response.headers:
        if len(name) == 13 and name.lower() == "cache-control":
            cache_control += value
    return allows_cookie(response.status_code, cache_control)
