"""Ids of imported events, so that the same line or row is the same event whenever and from wherever it is read.

A row of a database is named by its system, its table, its primary key and what never changes in it: two databases
may use the same keys.

A line of a log is named by its bytes and by its ordinal: how many lines just like it stand before it in the same
file. So two visitors who cannot be told apart are two events, and a line that comes again in a copy of the file, in
the grown file, in the compressed one or in one that overlaps with it is the event that is there already. The
ordinal is counted within a file, because counted over several files it would depend on which ones they are, and
in which order they come. The price is one case: lines of the very same second, address, request, size and agent of
which a rotation put some at the end of one file and some at the beginning of the next. They cannot be told from an
overlap of the files, and count once for each file at most; the report has the others as `already there`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from otel_usage.model import NO_SPAN, AttributeValue, Event

TRACE_BYTES, ID_BYTES = 16, 24
"""An id is a trace id with a span id of 8 bytes behind it."""
_FAR_APART = 100_000
"""Distinct lines after which a line that comes again is no neighbour any more.

Lines that are the same have the same second, so they stand close to each other; this bounds what is remembered.
"""


def row_id(*parts: object) -> bytes:
    """Return the id of the event that a row of a database stands for."""
    named = hashlib.sha256()
    for part in parts:
        text = str(part).encode("utf-8", "replace")
        # With its length, or ('a', 'bc') would be the same as ('ab', 'c').
        named.update(len(text).to_bytes(8, "big") + text)
    return named.digest()[:ID_BYTES]


def id_of(event: Event) -> bytes:
    """Return the id of an event as bytes."""
    return event.trace_id + event.span_id


def build_event(
    name: str, event_id: bytes, timestamp_ns: int, service: str, attributes: dict[str, AttributeValue]
) -> Event:
    """Return an imported event; it takes no time and has no parent."""
    return Event(
        name, timestamp_ns, 0, event_id[:TRACE_BYTES], event_id[TRACE_BYTES:], NO_SPAN, service, attributes
    )


class LineIds:
    """Names the lines of one file; must see all of them, in order."""

    def __init__(self, service: str) -> None:
        self._prefix = service.encode("utf-8", "replace") + b"\0"
        # Two generations: whatever lies less than `_FAR_APART` distinct lines back is in one of them.
        self._seen: dict[bytes, int] = {}
        self._seen_before: dict[bytes, int] = {}

    def ids_of(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return the ids of the next lines, given without their ends."""
        if len(self._seen) >= _FAR_APART:
            self._seen_before, self._seen = self._seen, {}
        seen, seen_before, prefix, sha256 = self._seen, self._seen_before, self._prefix, hashlib.sha256
        ids = []
        for line in lines:
            named = sha256(prefix + line).digest()
            ordinal = seen.get(named)
            if ordinal is None:
                ordinal = seen_before.get(named, 0)
            seen[named] = ordinal + 1
            if ordinal:
                named = sha256(named + ordinal.to_bytes(8, "big")).digest()
            ids.append(named[:ID_BYTES])
        return ids
