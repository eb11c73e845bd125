"""The nouns that the parts hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

AttributeValue: TypeAlias = (
    str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
Attributes: TypeAlias = Mapping[str, AttributeValue]

NO_SPAN = bytes(8)
"""Parent span id of a span without parent."""


# Tuples, because both are made once per request and a frozen dataclass costs five times as much to build.
class RequestFacts(NamedTuple):
    """What a request says of itself, read once by the framework's adapter. Texts are unbounded and untrusted."""

    method: str
    scheme: str
    host: str
    path: str
    query: str
    peer_address: str
    user_agent: str = ""
    referrer: str = ""
    accept_language: str = ""
    cookie: str = ""
    """The whole Cookie header."""
    forwarded_for: str = ""
    """The whole X-Forwarded-For header."""
    forwarded_proto: str = ""
    has_authorization: bool = False
    opted_out: bool = False
    """The visitor sent a privacy signal that the settings respect."""
    traceparent: str = ""
    """The W3C trace context of the caller, empty when it has none."""
    forwarded: str = ""
    """The whole Forwarded header (RFC 7239)."""
    purpose: str = ""
    """`prefetch`, `prerender` or `preview` where the answer may never be shown, else empty."""
    basic_user: str = ""
    """Who an `Authorization: Basic` header claims to be; empty unless the settings ask for it."""


class Event(NamedTuple):
    """One usage event: a finished span on its way to a row.

    Times are nanoseconds since the epoch, UTC. `parent_span_id` is `NO_SPAN` for a root.
    """

    name: str
    timestamp_ns: int
    duration_ns: int
    trace_id: bytes
    """16 bytes."""
    span_id: bytes
    """8 bytes."""
    parent_span_id: bytes
    """8 bytes."""
    service_name: str
    attributes: dict[str, AttributeValue]

    @property
    def id(self) -> str:
        """Deterministic id: trace id and span id, 48 hex digits."""
        return self.trace_id.hex() + self.span_id.hex()
