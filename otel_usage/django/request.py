"""What Django says of a request: its facts, its place among the views, its session and form."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, RawPostDataException

from otel_usage.instrumentation.forms import is_small_form, values_of_field
from otel_usage.instrumentation.scope import UNKNOWN_PLACE, Place
from otel_usage.instrumentation.wsgi import read_wsgi_request
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings


def facts_of(request: HttpRequest, settings: Settings) -> RequestFacts:
    """Return the facts of a request, however it came."""
    facts = read_wsgi_request(request.META, settings)
    scope: dict[str, Any] | None = getattr(request, "scope", None)
    if scope is None:
        # Django has decoded the path in `META`, where it stands as bytes under other frameworks.
        return facts if request.path.isascii() else facts._replace(path=request.path)
    # Under ASGI, Django builds `META` by itself: texts are decoded there already, and some entries are missing.
    query = scope.get("query_string", b"")
    return facts._replace(
        scheme=scope.get("scheme") or "http",
        path=request.path,
        query=query.decode("utf-8", "replace") if isinstance(query, bytes) else str(query),
    )


def place_of(request: HttpRequest) -> Place:
    """Return the view that the request goes to, as far as Django has found it."""
    match = request.resolver_match
    return Place(match.func) if match is not None else UNKNOWN_PLACE


class DjangoRequest:
    """A Django request behind the `FrameworkRequest` protocol."""

    __slots__ = ("_request",)

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the session, None for a site without `SessionMiddleware`, and before that has run.

        It is a `SessionBase`, which has all that managers use of a mapping.
        """
        session: MutableMapping[str, Any] | None = getattr(self._request, "session", None)
        return session

    def form_values(self, name: str) -> Iterator[str]:
        """Yield the values in the query, then those in a small URL-encoded body.

        Django keeps a body that was read whole, so that the view finds it as if nobody had.
        """
        yield from self._request.GET.getlist(name)
        try:
            length = int(self._request.META.get("CONTENT_LENGTH") or 0)
            if is_small_form(self._request.content_type or "", length):
                yield from values_of_field(self._request.body, name)
        except (ValueError, OSError, RawPostDataException, RequestDataTooBig):
            return  # no length, a client that has gone, or a body that the view must not take either
