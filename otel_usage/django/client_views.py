"""The client API as views of Django."""

from __future__ import annotations

from functools import partial

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedHost
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from otel_usage.client_api.answer import ClientAnswer
from otel_usage.client_api.endpoint import ClientCall, answer_call
from otel_usage.client_api.script import FILTERED_SCRIPT, answer_script
from otel_usage.django.client_users import load_user
from otel_usage.django.middleware import tracked_of
from otel_usage.instrumentation.scope import include_where_asked


@include_where_asked
@non_atomic_requests
@login_not_required
@csrf_exempt
def log(request: HttpRequest) -> HttpResponse:
    """Record a page that only the browser knows. The origin of the call is checked, in the place of a CSRF token."""
    call = ClientCall(
        request.META,
        request.method or "",
        tracked_of(request),
        _own_host(request),
        request.is_secure(),
        partial(_read_body, request),
        partial(load_user, request),
    )
    return _response(answer_call(call))


@include_where_asked
@non_atomic_requests
@login_not_required
@require_safe
def script(request: HttpRequest) -> HttpResponse:
    """Serve the script for pages."""
    tracked = tracked_of(request)
    if tracked is not None:
        tracked.record_events_only(FILTERED_SCRIPT)
    return _response(answer_script(request.META.get("HTTP_IF_NONE_MATCH", "")))


def _response(answer: ClientAnswer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))
    if not answer.body:
        del response.headers["Content-Type"]
    return response


def _own_host(request: HttpRequest) -> str:
    try:
        return request.get_host()
    except DisallowedHost:
        return ""


def _read_body(request: HttpRequest, limit: int) -> bytes:
    if "_body" in request.__dict__:  # somebody has read all of it
        return request.body[:limit]
    pieces = []
    while limit > 0:
        piece = request.read(limit)
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
