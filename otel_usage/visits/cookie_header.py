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
        self._is_cross_site = settings.cookie_samesite == "None"
        self._place = _place(settings)
        self._expires_after_seconds, lifetime = _lifetime(settings)
        self._tail = self._place + lifetime

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
        return self._secured(cookie, is_https)

    def expire(self, is_https: bool) -> str:
        """Return the Set-Cookie value that makes the client delete the cookie."""
        return self._secured(f"{self._prefix}{self._place}; Max-Age=0", is_https)

    def _secured(self, cookie: str, is_https: bool) -> str:
        if self._secure == "true" or (is_https and self._secure == "auto"):
            return cookie + "; Secure"
        # Browsers refuse the cookie otherwise, and each request would be a new visit.
        return cookie.replace("; SameSite=None", "; SameSite=Lax", 1) if self._is_cross_site else cookie


def _place(settings: Settings) -> str:
    """Return the attributes that say where the cookie is sent to; a browser deletes only what matches them."""
    place = f"; Path={settings.cookie_path}; HttpOnly; SameSite={settings.cookie_samesite}"
    return f"{place}; Domain={settings.cookie_domain}" if settings.cookie_domain else place


def _lifetime(settings: Settings) -> tuple[float, str]:
    """Return the seconds for Expires (0: without it), and the attribute that says how long the cookie lives.

    Max-Age is enough for every browser in use. Permanent cookies of the old kind carried both, so they still do.
    """
    lifetime_seconds: float = settings.visitor_lifetime_days * 86_400
    expires_after_seconds = 0.0
    if not lifetime_seconds and settings.cookie_permanent:
        lifetime_seconds = expires_after_seconds = settings.visit_timeout_seconds
    return expires_after_seconds, f"; Max-Age={max(round(lifetime_seconds), 1)}" if lifetime_seconds else ""
