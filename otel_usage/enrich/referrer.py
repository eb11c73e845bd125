"""The site that sent the visitor."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from otel_usage import attributes as names
from otel_usage.model import Attributes, Event

_NOTHING: Attributes = {}


def read_referrer_domain(event: Event) -> Attributes:
    """Return the domain of the referrer; a page of the same host is not where a visitor came from."""
    referrer = event.attributes.get(names.REFERRER_URL)
    if not isinstance(referrer, str) or not referrer:
        return _NOTHING
    domain = _domain(referrer[: names.MAX_TEXT])
    if not domain or domain == _without_www(str(event.attributes.get(names.HOST, "")).lower()):
        return _NOTHING
    return {names.REFERRER_DOMAIN: domain}


@lru_cache(maxsize=8192)
def _domain(referrer: str) -> str:
    try:
        parts = urlsplit(referrer)
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https", "android-app"):
        return ""
    return _without_www(host)[: names.MAX_NAME]


def _without_www(host: str) -> str:
    return host.removeprefix("www.")
