"""What a WSGI environment says of its request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_usage.model import RequestFacts
from otel_usage.settings import Settings


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
    )


def _decoded(text: str) -> str:
    """Undo the latin-1 that WSGI puts around the bytes of a header (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")
