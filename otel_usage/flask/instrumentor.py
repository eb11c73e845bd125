"""The Flask adapter: listens to Flask's signals, which fire for every app whatever its class or load order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import flask
from flask import (
    Flask,
    Response,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)
from flask.globals import request_ctx
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy 2.4 loses the name
from opentelemetry.trace import Span, SpanKind

from otel_usage.instrumentation.guard import never_raises
from otel_usage.instrumentation.tracker import Answer, RequestTracker, TrackedRequest
from otel_usage.instrumentation.wsgi import read_wsgi_request
from otel_usage.wiring import runtime

_EXTENSION = "otel_usage"
_ENVIRON_KEY = "otel_usage.request"
_CONTRIB_SPAN_KEY = "opentelemetry-flask.span_key"
"""Where contrib's Flask instrumentation keeps the span of the request."""
_NOT_MODIFIED = 304


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


@never_raises
def _request_started(sender: Flask, **extra: Any) -> None:
    tracker = _tracker_of(sender)
    if tracker is None:
        return
    environ = flask.request.environ
    tracked = tracker.begin(read_wsgi_request(environ, tracker.runtime.settings))
    if tracked is not None:
        # With the context that opened it: a copied context of the same environ must not close it.
        environ[_ENVIRON_KEY] = (tracker, tracked, id(request_ctx._get_current_object()))  # type: ignore[attr-defined]


@never_raises
def _request_finished(sender: Flask, response: Response, **extra: Any) -> None:
    opened = _opened_here()
    if opened is None:
        return
    tracker, tracked = opened
    cookie = tracker.finish(tracked, _answer(response), _request_span())
    if cookie:
        response.headers.add("Set-Cookie", cookie)
    if response.is_streamed:
        # What the body's generator records still belongs to this request.
        tracked.is_left_at_close = True
        response.call_on_close(lambda: tracker.leave(tracked))


@never_raises
def _got_request_exception(sender: Flask, **extra: Any) -> None:
    # With debug or testing on, the exception goes on to the server and request_finished never fires.
    if sender.config["PROPAGATE_EXCEPTIONS"] or (
        sender.config["PROPAGATE_EXCEPTIONS"] is None and (sender.testing or sender.debug)
    ):
        _finish_with_error()


@never_raises
def _request_tearing_down(sender: Flask, **extra: Any) -> None:
    opened = _opened_here()
    if opened is not None:
        _finish_with_error()
        tracker, tracked = opened
        if not tracked.is_left_at_close:
            tracker.leave(tracked)


def _finish_with_error() -> None:
    """Close a request that never got a response; one that has is left as it is."""
    opened = _opened_here()
    if opened is not None:
        tracker, tracked = opened
        tracker.finish(tracked, _answer(None), _request_span())


def _tracker_of(app: Flask) -> RequestTracker | None:
    tracker: RequestTracker | None = app.extensions.get(_EXTENSION)
    active = runtime()
    if active is None or (tracker is not None and tracker.runtime is active):
        return tracker if active is not None else None
    tracker = app.extensions[_EXTENSION] = RequestTracker(active, app.secret_key)
    return tracker


def _opened_here() -> tuple[RequestTracker, TrackedRequest] | None:
    if not flask.has_request_context():
        return None
    opened = flask.request.environ.get(_ENVIRON_KEY)
    if opened is None or opened[2] != id(request_ctx._get_current_object()):  # type: ignore[attr-defined]
        return None
    return opened[0], opened[1]


def _request_span() -> Span | None:
    """Return the recording span of this request: contrib's, or that of a WSGI middleware around the app."""
    span: Span = flask.request.environ.get(_CONTRIB_SPAN_KEY) or trace.get_current_span()
    if not span.is_recording():
        return None
    is_own = _CONTRIB_SPAN_KEY in flask.request.environ or getattr(span, "kind", None) is SpanKind.SERVER
    return span if is_own else None


def _answer(response: Response | None) -> Answer:
    request = flask.request
    rule = request.url_rule
    if response is None:
        return Answer(
            500, rule.rule if rule else "", request.endpoint or "", request.blueprint or "", request.view_args
        )
    return Answer(
        response.status_code,
        rule.rule if rule else "",
        request.endpoint or "",
        request.blueprint or "",
        request.view_args,
        _signed_in_user(),
        None if response.is_streamed else response.calculate_content_length(),
        _allows_cookie(response),
    )


def _allows_cookie(response: Response) -> bool:
    """Return False where a shared cache would hand one visitor's cookie to others."""
    if response.status_code == _NOT_MODIFIED:
        return False
    cache_control = response.headers.get("Cache-Control")
    return not cache_control or not ("public" in cache_control.lower() or "s-maxage" in cache_control.lower())


def _signed_in_user() -> str:
    """Return the user that Flask-Login has loaded already; looking it up would be a query of ours."""
    user = flask.g.get("_login_user")
    if user is None or not user.is_authenticated:
        return ""
    return str(user.get_id() or "")
