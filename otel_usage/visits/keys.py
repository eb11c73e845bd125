"""Keys for signing and hashing, each derived from one secret for one purpose."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import logging
import os
import secrets

logger = logging.getLogger(__name__)

GENERATED_SECRET_VARIABLE = "_OTEL_USAGE_GENERATED_SECRET"  # noqa: S105 - the name of a variable
"""Where the parent process leaves the generated secret for the workers that it starts."""


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
    """Makes random keys without asking the operating system each time, which may take 40 µs.

    A key is the keyed hash (BLAKE2b) of a counter, under a seed of 32 random bytes that each process draws for
    itself. Who does not have the seed cannot tell the keys from random ones, nor one from another.
    """

    def __init__(self) -> None:
        self._draw_seed()
        # Parent and child would go on with the same keys.
        os.register_at_fork(after_in_child=self._draw_seed)

    def _draw_seed(self) -> None:
        self._seed = secrets.token_bytes(32)
        self._counter = itertools.count()

    def new_key(self) -> bytes:
        """Return 16 bytes that were never returned before."""
        number = next(self._counter).to_bytes(8, "big")
        return hashlib.blake2b(number, digest_size=16, key=self._seed).digest()


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
