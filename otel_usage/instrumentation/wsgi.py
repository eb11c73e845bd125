"""What WSGI says of a request and of its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otel_usage.instrumentation.identity import basic_auth_user
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings

_PURPOSES = ("prerender", "prefetch", "preview")
_LONGEST_PURPOSE = 256


def read_wsgi_request(environ: Mapping[str, Any], settings: Settings) -> RequestFacts:
    """Return the facts of a request. Reads dictionary entries only: the body is the app's."""
    get = environ.get
    host = get("HTTP_HOST") or get("SERVER_NAME", "")
    return RequestFacts(
        get("REQUEST_METHOD", ""),
        get("wsgi.url_scheme", ""),
        host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0],
        _decoded(get("SCRIPT_NAME", "") + get("PATH_INFO", "")),
        _decoded(get("QUERY_STRING", "")),
        get("REMOTE_ADDR") or "",
        _decoded(get("HTTP_USER_AGENT", "")),
        _decoded(get("HTTP_REFERER", "")),
        get("HTTP_ACCEPT_LANGUAGE", ""),
        get("HTTP_COOKIE", ""),
        get("HTTP_X_FORWARDED_FOR", ""),
        get("HTTP_X_FORWARDED_PROTO", ""),
        "HTTP_AUTHORIZATION" in environ,
        (settings.respect_gpc and get("HTTP_SEC_GPC") == "1")
        or (settings.respect_dnt and get("HTTP_DNT") == "1"),
        get("HTTP_TRACEPARENT", ""),
        get("HTTP_FORWARDED", ""),
        _purpose(
            get("HTTP_SEC_PURPOSE") or get("HTTP_PURPOSE") or get("HTTP_X_PURPOSE") or get("HTTP_X_MOZ")
        ),
        basic_auth_user(get("HTTP_AUTHORIZATION", "")) if settings.basic_auth_users else "",
    )


def _purpose(header: str | None) -> str:
    """Return what a browser asks for in advance, by the header of today or one of those before it."""
    if not header:
        return ""
    # A prerender says `prefetch;prerender`.
    words = header[:_LONGEST_PURPOSE].lower()
    return next((purpose for purpose in _PURPOSES if purpose in words), "")


def _decoded(text: str) -> str:
    """Undo the latin-1 that WSGI puts around the bytes of a header (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")


class CountedBody:
    """The body of a streamed response, with the bytes that the server has taken of it."""

    def __init__(self, body: Iterable[Any]) -> None:
        """Take the place of a body.

        Args:
            body: yields bytes, or texts that the framework encodes as UTF-8.
        """
        # A response that is sent again must not be counted through its first counter.
        self._body: Iterable[Any] = body._body if isinstance(body, CountedBody) else body
        self.bytes_sent = 0

    def __iter__(self) -> Iterator[Any]:
        for part in self._body:
            # Before the server has it, because it may never come back for the next one.
            if part.__class__ is bytes or (part.__class__ is str and part.isascii()):
                self.bytes_sent += len(part)
            else:
                self.bytes_sent += _size(part)
            yield part

    def close(self) -> None:
        """Close the body, as PEP 3333 asks for."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _size(part: Any) -> int:
    try:
        return len(part.encode()) if isinstance(part, str) else len(part)
    except (TypeError, ValueError):  # nothing that can be sent; the server says so
        return 0
