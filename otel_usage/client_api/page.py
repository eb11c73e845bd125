"""The page that a call is about: its address, split as that of a request is."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from otel_usage import attributes as names
from otel_usage.enrich.stages import PAGE_FRAGMENT as PAGE_FRAGMENT
from otel_usage.instrumentation.redaction import bounded, redact_query, redact_url

PAGE_URL = names.PROPERTY_PREFIX + "url"

_SCHEMES = ("http", "https")


class Page(NamedTuple):
    """The address of a page; parts that it does not have are empty. Texts are unbounded and untrusted."""

    url: str
    scheme: str
    host: str
    """Without a port, as that of requests."""
    path: str
    """Decoded, as that of requests."""
    query: str
    fragment: str

    def attributes(self, secrets: re.Pattern[str]) -> dict[str, str]:
        """Return the page as attributes of an event, bounded and without the values of secret parameters."""
        attributes = {
            names.PATH: bounded(self.path, names.MAX_TEXT),
            PAGE_URL: bounded(redact_url(self.url, secrets), names.MAX_TEXT),
        }
        if self.scheme:
            attributes[names.SCHEME] = self.scheme
        if self.host:
            attributes[names.HOST] = bounded(self.host, names.MAX_NAME)
        if self.query:
            attributes[names.QUERY] = bounded(redact_query(self.query, secrets), names.MAX_TEXT)
        if self.fragment:
            attributes[PAGE_FRAGMENT] = bounded(redact_query(self.fragment, secrets), names.MAX_TEXT)
        return attributes


def read_page(address: str, base: str) -> Page:
    """Return the page that a client names.

    Args:
        address: a whole URL, a path, or one that is relative to `base`, such as `#/cart`; anything else, such as
            the screen of a native app, is kept as a path.
        base: URL of the page that calls, or of the site.
    """
    try:
        parts = urlsplit(_absolute(address, base))
        host = parts.hostname or ""
    except ValueError:  # brackets that hold no address
        return Page(address, "", "", address, "", "")
    if parts.scheme not in _SCHEMES or not host:
        return Page(address, "", "", address, "", "")
    return Page(
        parts.geturl(),
        parts.scheme,
        f"[{host}]" if ":" in host else host,
        unquote(parts.path, errors="replace") or "/",
        parts.query,
        unquote(parts.fragment, errors="replace"),
    )


def _absolute(address: str, base: str) -> str:
    if address.startswith("/"):
        # `urljoin` takes two slashes for the beginning of a host.
        site = urlsplit(base)
        return f"{site.scheme}://{site.netloc}{address}"
    return urljoin(base, address)
