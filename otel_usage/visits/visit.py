"""A visit: the requests of one visitor without a long pause."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple


class Visit(NamedTuple):
    """One visit, as the current request sees it."""

    key: str
    """32 hex digits of the built-in managers, random."""
    is_new: bool
    """Whether this request opened the visit."""
    visitor_id: str
    """Pseudonymous visitor, 32 hex digits; stays over several visits as long as the cookie does."""
    started_ms: int
    """Milliseconds since the epoch, UTC."""

    @property
    def started(self) -> datetime:
        """When the visit began, in UTC."""
        return datetime.fromtimestamp(self.started_ms / 1000, tz=timezone.utc)
