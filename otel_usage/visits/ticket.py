"""Tickets: what a visitor's client carries from request to request, signed so that nobody else can make one.

The text is base64url of 62 bytes without padding: version (1), key id (4), visitor id (16), visit key (16),
start and last seen (6 each, milliseconds since the epoch), and 13 bytes of keyed BLAKE2b (RFC 7693) over all
that. Nothing of it comes from the visitor's address or agent. Version 2 is a provisional ticket.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from otel_usage.visits.keys import derive_key

_STORED, _PROVISIONAL = b"\x01", b"\x02"
_LAYOUT = Struct("> c 4s 16s 16s 12s 13s")
"""Version, key id, visitor id, visit key, both times, signature."""
_KEY_ID_LENGTH, _SIGNATURE_LENGTH = 4, 13
TEXT_LENGTH = 83
"""Characters of a ticket."""


class Ticket(NamedTuple):
    """What a ticket says."""

    key_id: bytes
    visitor: bytes
    visit: bytes
    started_ms: int
    seen_ms: int
    is_authentic: bool
    is_provisional: bool
    """Written while the visit store was down, which may not know of the visit, or not how long it lasts."""


class TicketOffice:
    """Writes tickets and checks them, with a key derived from one secret."""

    def __init__(self, secret: str | bytes) -> None:
        key = derive_key(secret, "visit cookie")
        # A third of the time of HMAC-SHA256, and much less when OpenSSL has left the processor's caches. The key
        # is worked in once; each signature goes on from a copy.
        self._keyed_hash = blake2b(digest_size=_SIGNATURE_LENGTH, key=key)
        self.key_id = derive_key(secret, "visit cookie key id")[:_KEY_ID_LENGTH]
        """Tells our tickets from those of another service on the same domain, whatever key that one has."""
        self._head = _STORED + self.key_id
        self._provisional_head = _PROVISIONAL + self.key_id

    def write(
        self, visitor: bytes, visit: bytes, started_ms: int, seen_ms: int, is_provisional: bool = False
    ) -> str:
        """Return a ticket."""
        head = self._provisional_head if is_provisional else self._head
        # Both times in one number of 12 bytes.
        signed = head + visitor + visit + (started_ms << 48 | seen_ms).to_bytes(12, "big")
        return urlsafe_b64encode(signed + self._sign(signed)).decode("ascii")[:TEXT_LENGTH]

    def read(self, text: str) -> Ticket | None:
        """Return what a text says if it has the form of a ticket; whether we wrote it is `is_authentic`."""
        if len(text) != TEXT_LENGTH or not text.isascii():
            return None
        try:
            raw = a2b_base64(text.replace("-", "+").replace("_", "/") + "=")
        except ValueError:
            return None
        if len(raw) != _LAYOUT.size:
            return None
        version, key_id, visitor, visit, times, signature = _LAYOUT.unpack(raw)
        if version not in (_STORED, _PROVISIONAL):
            return None
        started_ms, seen_ms = divmod(int.from_bytes(times, "big"), 1 << 48)
        is_authentic = hmac.compare_digest(signature, self._sign(raw[:-_SIGNATURE_LENGTH]))
        return Ticket(key_id, visitor, visit, started_ms, seen_ms, is_authentic, version == _PROVISIONAL)

    def _sign(self, signed: bytes) -> bytes:
        keyed_hash = self._keyed_hash.copy()
        keyed_hash.update(signed)
        return keyed_hash.digest()
