"""Keys for signing and hashing, each derived from one secret for one purpose."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from collections import deque

logger = logging.getLogger(__name__)

GENERATED_SECRET_VARIABLE = "_OTEL_USAGE_GENERATED_SECRET"  # noqa: S105 - the name of a variable
"""Where the parent process leaves the generated secret for the workers that it starts."""

_KEY_LENGTH = 16
_KEYS_PER_DRAW = 256


def derive_key(secret: str | bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose; no key says anything about another one or about the secret."""
    raw = secret.encode("utf-8", "surrogateescape") if isinstance(secret, str) else secret
    return hmac.digest(raw, b"otel_usage " + purpose.encode(), "sha256")


def prepare_generated_secret() -> None:
    """Generate a secret for the case that neither settings nor framework have one.

    Called before workers are forked or started, so that all of them share it. The environment is the one
    place that both a forked and a started child inherit.
    """
    if not os.environ.get(GENERATED_SECRET_VARIABLE):
        os.environ[GENERATED_SECRET_VARIABLE] = secrets.token_hex(32)


class KeyGenerator:
    """Hands out random keys, drawn from the operating system many at a time: asking it may take 40 µs."""

    def __init__(self) -> None:
        self._keys: deque[bytes] = deque()
        # Parent and child would go on with the same keys.
        os.register_at_fork(after_in_child=self._keys.clear)

    def new_key(self) -> bytes:
        """Return 16 random bytes."""
        try:
            return self._keys.popleft()
        except IndexError:
            drawn = os.urandom(_KEY_LENGTH * _KEYS_PER_DRAW)
            self._keys.extend(
                drawn[start : start + _KEY_LENGTH] for start in range(0, len(drawn), _KEY_LENGTH)
            )
            return os.urandom(_KEY_LENGTH)


key_generator = KeyGenerator()


class SecretSource:
    """Picks the secret: the setting, else the framework's, else the generated one, which it warns of once."""

    def __init__(self, configured: str | None) -> None:
        self._configured = configured
        self._warned = False

    def secret_for(self, framework_secret: str | bytes | None) -> str | bytes:
        """Return the secret of an app.

        Args:
            framework_secret: the app's own secret key, None or empty when it has none.
        """
        if self._configured:
            return self._configured
        if framework_secret:
            return framework_secret
        prepare_generated_secret()
        if not self._warned:
            self._warned = True
            logger.warning(
                "The app has no secret key, so visits are signed with one generated at start: "
                "a restart ends all visits. Set OTEL_USAGE_SECRET to keep them."
            )
        return os.environ[GENERATED_SECRET_VARIABLE]
