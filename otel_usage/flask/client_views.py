"""The client API as a blueprint."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException, SecurityError

from otel_usage.client_api.answer import ClientAnswer
from otel_usage.client_api.endpoint import ClientCall, answer_call
from otel_usage.client_api.script import FILTERED_SCRIPT, answer_script
from otel_usage.flask.instrumentor import tracked_here
from otel_usage.instrumentation.scope import include_where_asked

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def client_api(name: str = "otel_usage") -> Blueprint:
    """Return a new blueprint with the log call (`log/`) and the script for pages (`client.js`).

    Register it where it shall be: `app.register_blueprint(client_api(), url_prefix="/usage")`. Where the app has
    Flask-WTF's `CSRFProtect`, exempt it: the call checks its origin instead.

    Args:
        name: of the blueprint, in endpoints such as `otel_usage.activity_detail`.
    """
    blueprint = Blueprint(name, __name__)
    blueprint.add_url_rule(
        "/log/",
        "activity_detail",
        include_where_asked(_log),
        methods=_METHODS,
        provide_automatic_options=False,
        strict_slashes=False,
    )
    blueprint.add_url_rule("/client.js", "client_script", include_where_asked(_script))
    return blueprint


def _log() -> Response:
    return _response(
        answer_call(
            ClientCall(
                request.environ,
                request.method,
                tracked_here(),
                _own_host(),
                request.is_secure,
                _read_body,
                _load_user,
            )
        )
    )


def _script() -> Response:
    tracked = tracked_here()
    if tracked is not None:
        tracked.record_events_only(FILTERED_SCRIPT)
    return _response(answer_script(request.headers.get("If-None-Match", "")))


def _response(answer: ClientAnswer) -> Response:
    response = Response(answer.body, answer.status, answer.headers)
    if not answer.body:
        response.headers.pop("Content-Type", None)
    return response


def _own_host() -> str:
    try:
        return request.host
    except SecurityError:  # none of the app's trusted hosts
        return ""


def _read_body(limit: int) -> bytes:
    try:
        return _read_stream(limit)
    except HTTPException:  # larger than the app allows, or the client has gone
        raise OSError from None


def _read_stream(limit: int) -> bytes:
    pieces = []
    while limit > 0:
        piece = request.stream.read(limit)
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _load_user() -> None:
    """Let Flask-Login load the user, where the app uses it."""
    if getattr(current_app, "login_manager", None) is None:
        return
    from flask_login import current_user

    current_user.is_authenticated  # noqa: B018 - a look at it loads the user
