"""The visit cookie on the wire: found in a Cookie header, written as a Set-Cookie value."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate

from otel_usage.settings import Settings

_MAX_COOKIE_HEADER = 16_384
"""A longer Cookie header is not searched: no server in use lets one through whole."""


class CookieHeader:
    """Reads and writes the cookie that the settings describe."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.cookie_name
        self._prefix = settings.cookie_name + "="
        self._secure = settings.cookie_secure
        self._expires_after_seconds, self._tail = _cookie_attributes(settings)

    def values(self, header: str) -> Iterator[str]:
        """Return the values of every cookie of our name in a Cookie header, first to last."""
        if self._prefix not in header or len(header) > _MAX_COOKIE_HEADER:
            return
        for pair in header.split(";"):
            if self._prefix in pair:
                name, _separator, value = pair.partition("=")
                if name.strip() == self._name:
                    yield value.strip().strip('"')

    def write(self, value: str, now_ms: int, is_https: bool) -> str:
        """Return the Set-Cookie value that gives the client this value."""
        cookie = f"{self._prefix}{value}{self._tail}"
        if self._expires_after_seconds:
            cookie += f"; Expires={formatdate(now_ms / 1000 + self._expires_after_seconds, usegmt=True)}"
        if self._secure == "true" or (is_https and self._secure == "auto"):
            cookie += "; Secure"
        return cookie


def _cookie_attributes(settings: Settings) -> tuple[float, str]:
    """Return the seconds for Expires (0: without it), and the attributes that never change.

    Max-Age is enough for every browser in use. Permanent cookies of the old kind carried both, so they still do.
    """
    lifetime_seconds: float = settings.visitor_lifetime_days * 86_400
    expires_after_seconds = 0.0
    if not lifetime_seconds and settings.cookie_permanent:
        lifetime_seconds = expires_after_seconds = settings.visit_timeout_seconds
    parts = [f"Path={settings.cookie_path}", "HttpOnly", f"SameSite={settings.cookie_samesite}"]
    if settings.cookie_domain:
        parts.append(f"Domain={settings.cookie_domain}")
    if lifetime_seconds:
        parts.append(f"Max-Age={max(round(lifetime_seconds), 1)}")
    return expires_after_seconds, "".join(f"; {part}" for part in parts)
