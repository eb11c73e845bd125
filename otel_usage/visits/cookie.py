"""The cookie visit manager: a signed cookie with sliding expiry, and no store behind it.

The value is base64url of 62 bytes without padding: version (1), key id (4), visitor id (16), visit key (16),
start and last seen (6 each, milliseconds since the epoch), and 13 bytes of keyed BLAKE2b (RFC 7693) over all
that. Nothing of it comes from the visitor's address or agent.
"""

from __future__ import annotations

import hmac
import logging
import time
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections import OrderedDict
from collections.abc import Callable
from email.utils import formatdate
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from otel_usage.log_throttle import LogThrottle
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings
from otel_usage.visits.keys import derive_key, key_generator
from otel_usage.visits.visit import Visit

logger = logging.getLogger(__name__)

_VERSION = b"\x01"
_LAYOUT = Struct("> c 4s 16s 16s 12s 13s")
"""Version, key id, visitor id, visit key, both times, signature."""
_KEY_ID_LENGTH, _SIGNATURE_LENGTH = 4, 13
_TEXT_LENGTH = 83
_MAX_COOKIE_HEADER = 16_384
"""A longer Cookie header is not searched: no server in use lets one through whole."""
_RESEND_AFTER_MS = 60_000
_MAX_FOREIGN_CLIENTS = 256
_FOREIGN_WARNING_AT = 3


class _Ticket(NamedTuple):
    """What a cookie says."""

    key_id: bytes
    visitor: bytes
    visit: bytes
    started_ms: int
    seen_ms: int
    is_authentic: bool


class VisitState(NamedTuple):
    """The visit of one request, and the Set-Cookie value that its response needs, empty for none."""

    visit: Visit
    set_cookie: str


class CookieVisitManager:
    """Finds or opens the visit of a request by its cookie. Holds nothing per visitor.

    Parallel first requests of one visitor each open a visit; the cookie that arrives last wins, and the
    other visits stay unconfirmed, because their cookies never come back.
    """

    def __init__(
        self,
        settings: Settings,
        secret: str | bytes,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._name = settings.cookie_name
        self._prefix = settings.cookie_name + "="
        self._timeout_ms = settings.visit_timeout_seconds * 1000
        self._resend_after_ms = min(_RESEND_AFTER_MS, self._timeout_ms / 20)
        key = derive_key(secret, "visit cookie")
        # A third of the time of HMAC-SHA256, and much less when OpenSSL has left the processor's caches. The key
        # is worked in once; each signature goes on from a copy.
        self._keyed_hash = blake2b(digest_size=_SIGNATURE_LENGTH, key=key)
        # Tells our cookies from those of another service on the same domain, whatever key that one has.
        self._key_id = derive_key(secret, "visit cookie key id")[:_KEY_ID_LENGTH]
        self._head = _VERSION + self._key_id
        self._clock_ms = clock_ms
        self._secure = settings.cookie_secure
        self._expires_after_seconds, self._tail = _cookie_attributes(settings)
        self._foreign_cookies: OrderedDict[bytes, int] = OrderedDict()
        self._foreign_log = LogThrottle()

    def visit_for_request(self, facts: RequestFacts, *, is_https: bool) -> VisitState:
        """Return the visit of a request: the one that its cookie names while it lasts, else a new one."""
        now_ms = self._clock_ms()
        ticket = self._read(facts.cookie)
        if ticket is None:
            return self._open(key_generator.new_key(), now_ms, is_https)
        if not ticket.is_authentic:
            if ticket.key_id != self._key_id and self._is_fresh(ticket, now_ms):
                self._note_foreign_cookie(ticket.visitor)
                # Another service's visit: replacing its cookie would end it, and ours with the next answer.
                return VisitState(self._open(key_generator.new_key(), now_ms, is_https).visit, "")
            return self._open(key_generator.new_key(), now_ms, is_https)
        if not self._is_fresh(ticket, now_ms):
            return self._open(ticket.visitor, now_ms, is_https)
        visit = Visit(ticket.visit.hex(), False, ticket.visitor.hex(), ticket.started_ms)
        if now_ms - ticket.seen_ms <= self._resend_after_ms:
            return VisitState(visit, "")
        return VisitState(
            visit, self._write(ticket.visitor, ticket.visit, ticket.started_ms, now_ms, is_https)
        )

    def _is_fresh(self, ticket: _Ticket, now_ms: int) -> bool:
        return abs(now_ms - ticket.seen_ms) <= self._timeout_ms

    def _open(self, visitor: bytes, now_ms: int, is_https: bool) -> VisitState:
        key = key_generator.new_key()
        return VisitState(
            Visit(key.hex(), True, visitor.hex(), now_ms), self._write(visitor, key, now_ms, now_ms, is_https)
        )

    def _read(self, header: str) -> _Ticket | None:
        """Return what the last well-formed visit cookie of the header says, preferring an authentic one."""
        found: _Ticket | None = None
        if self._prefix not in header or len(header) > _MAX_COOKIE_HEADER:
            return None
        for pair in header.split(";"):
            if self._prefix not in pair:
                continue
            name, _separator, value = pair.partition("=")
            if name.strip() == self._name:
                ticket = self._parse(value.strip().strip('"'))
                if ticket is not None and (found is None or not found.is_authentic):
                    found = ticket
        return found

    def _parse(self, value: str) -> _Ticket | None:
        if len(value) != _TEXT_LENGTH or not value.isascii():
            return None
        try:
            raw = a2b_base64(value.replace("-", "+").replace("_", "/") + "=")
        except ValueError:
            return None
        if len(raw) != _LAYOUT.size:
            return None
        version, key_id, visitor, visit, times, signature = _LAYOUT.unpack(raw)
        if version != _VERSION:
            return None
        started_ms, seen_ms = divmod(int.from_bytes(times, "big"), 1 << 48)
        is_authentic = hmac.compare_digest(signature, self._sign(raw[:-_SIGNATURE_LENGTH]))
        return _Ticket(key_id, visitor, visit, started_ms, seen_ms, is_authentic)

    def _sign(self, signed: bytes) -> bytes:
        keyed_hash = self._keyed_hash.copy()
        keyed_hash.update(signed)
        return keyed_hash.digest()

    def _write(self, visitor: bytes, visit: bytes, started_ms: int, seen_ms: int, is_https: bool) -> str:
        # Both times in one number of 12 bytes.
        signed = self._head + visitor + visit + (started_ms << 48 | seen_ms).to_bytes(12, "big")
        value = urlsafe_b64encode(signed + self._sign(signed)).decode("ascii")[:_TEXT_LENGTH]
        cookie = f"{self._prefix}{value}{self._tail}"
        if self._expires_after_seconds:
            cookie += f"; Expires={formatdate(seen_ms / 1000 + self._expires_after_seconds, usegmt=True)}"
        if self._secure == "true" or (is_https and self._secure == "auto"):
            cookie += "; Secure"
        return cookie

    def _note_foreign_cookie(self, visitor: bytes) -> None:
        # By the visitor that the cookie names: behind a proxy all clients have one address.
        count = self._foreign_cookies.pop(visitor, 0) + 1
        self._foreign_cookies[visitor] = count
        if len(self._foreign_cookies) > _MAX_FOREIGN_CLIENTS:
            self._foreign_cookies.popitem(last=False)
        if count == _FOREIGN_WARNING_AT:
            self._foreign_log.log(
                logger,
                logging.WARNING,
                "A client has sent %d visit cookies in a row that another key signed. If several hosts or services "
                "answer for this domain, give them one OTEL_USAGE_SECRET, or each its own OTEL_USAGE_COOKIE_NAME.",
                count,
            )


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
