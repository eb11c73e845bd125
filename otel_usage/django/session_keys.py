"""What a session is called where others may see it, and its key in a form that the site alone can read.

Who has the key of a session is signed in with it. So events name a session by a hash of its key, and the table of
live sessions has the key sealed with the site's `SECRET_KEY`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from django.conf import settings as django_settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore

from otel_usage.visits.keys import derive_key

MARKER = "_otel_usage_session"
"""Where a session keeps its name that cannot have it from its key: that lives in a cookie, or whose key changed."""

_NAME = re.compile(r"[0-9a-f]{64}")
_NONCE_LENGTH = 16
_TAG_LENGTH = 16


def lives_in_cookie(session: SessionBase) -> bool:
    """Return whether all of the session is in the cookie, and nothing of it on the server."""
    return isinstance(session, CookieStore)


def is_session_name(text: str) -> bool:
    """Return whether a text is the name of a session, other than a key."""
    return _NAME.fullmatch(text) is not None


def name_of_key(key: str) -> str:
    """Return the name of the session with this key: its SHA-256, 64 hex digits.

    Django's keys have more than 160 random bits, so nobody finds the key by trying.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def name_of(session: SessionBase) -> str:
    """Return the name of a loaded session, empty when it has none yet."""
    name = session.get(MARKER)
    if isinstance(name, str) and is_session_name(name):
        return name
    if lives_in_cookie(session) or not session.session_key:
        return ""
    return name_of_key(session.session_key)


def name_at_login(session: SessionBase) -> str:
    """Return the name of a session in which somebody has just signed in, and give it one where it has none."""
    name = name_of(session)
    if not name:
        name = session[MARKER] = secrets.token_hex(32)
    return name


def seal(key: str) -> str:
    """Return the key of a session as only this site can read it, in hex."""
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    body = _masked(key.encode(), _secrets()[0], nonce)
    return (nonce + _tag(_secrets()[0], nonce + body) + body).hex()


def unseal(sealed: str) -> str | None:
    """Return the key, None when it was sealed with a secret that the site has no more."""
    raw = bytes.fromhex(sealed)
    nonce, tag = raw[:_NONCE_LENGTH], raw[_NONCE_LENGTH : _NONCE_LENGTH + _TAG_LENGTH]
    body = raw[_NONCE_LENGTH + _TAG_LENGTH :]
    for secret in _secrets():
        if hmac.compare_digest(_tag(secret, nonce + body), tag):
            return _masked(body, secret, nonce).decode()
    return None


def _secrets() -> list[str]:
    return [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]


def _masked(text: bytes, secret: str, nonce: bytes) -> bytes:
    """Add a stream to the text that only the secret can give: HMAC-SHA-256 in counter mode, one nonce a text."""
    key = derive_key(secret, "session key")
    stream = b"".join(
        hmac.digest(key, nonce + block.to_bytes(4, "big"), "sha256") for block in range(len(text) // 32 + 1)
    )
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))


def _tag(secret: str, sealed: bytes) -> bytes:
    return hmac.digest(derive_key(secret, "session key tag"), sealed, "sha256")[:_TAG_LENGTH]
