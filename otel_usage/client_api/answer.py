"""What a client is answered, for the views of a framework to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

ALLOWED_METHODS = "POST, OPTIONS"

_NEVER_CACHED = ("Cache-Control", "no-store")


class ClientAnswer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (_NEVER_CACHED,)


RECORDED = ClientAnswer(204)
OPTIONS = ClientAnswer(200, headers=(_NEVER_CACHED, ("Allow", ALLOWED_METHODS)))


def refusal(status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> ClientAnswer:
    """Return an answer with a body of JSON."""
    return ClientAnswer(
        status,
        json.dumps(body).encode(),
        (
            _NEVER_CACHED,
            ("Content-Type", "application/json"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ),
    )
