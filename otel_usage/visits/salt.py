"""The salt of one day, and the pseudonyms that it makes of visitors."""

from __future__ import annotations

import os
from hashlib import blake2b

SALT_LENGTH = 32
DAY_MS = 86_400_000
"""Salts rotate at midnight UTC; a day is named by its number since the epoch."""
_LONGEST_AGENT = 2048
_VISITOR_LENGTH = 16


class Salt:
    """A random key; without it nobody can tell which visitor a pseudonym stands for.

    The pseudonym is keyed BLAKE2b (RFC 7693, a MAC like HMAC at a third of its time) over service, address and
    user agent. The key is worked in once; each visitor goes on from a copy.

    Args:
        raw: `SALT_LENGTH` random bytes.
        service_name: two services never give one visitor the same pseudonym.
    """

    __slots__ = ("__weakref__", "_keyed_hash", "raw")

    def __init__(self, raw: bytes, service_name: str) -> None:
        self.raw = raw
        service = _encoded(service_name)
        # The length first, so that no name runs into the address.
        self._keyed_hash = blake2b(
            len(service).to_bytes(4, "big") + service, digest_size=_VISITOR_LENGTH, key=raw
        )

    def visitor_of(self, address: str, user_agent: str) -> bytes:
        """Return the pseudonym of a visitor, 16 bytes.

        Args:
            address: the believed client address.
            user_agent: as the client sent it; beyond 2048 characters agents count as equal.
        """
        keyed_hash = self._keyed_hash.copy()
        keyed_hash.update(_encoded(f"{address}\0{user_agent[:_LONGEST_AGENT]}"))
        return keyed_hash.digest()


def random_salt() -> bytes:
    """Return a new salt."""
    return os.urandom(SALT_LENGTH)


def _encoded(text: str) -> bytes:
    # Servers hand over bytes of clients as lone surrogates.
    return text.encode("utf-8", "surrogatepass")
