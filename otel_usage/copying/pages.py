"""The events of the source in pages, of which only ids and times are read here: the rest is passed on as it comes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timezone
from typing import NamedTuple, TypeVar

from otel_usage.clickhouse import ClickHouse, NativeBlock, compress_blocks
from otel_usage.copying.sides import patiently
from otel_usage.errors import OtelUsageError
from otel_usage.importers.event_rows import Encoded
from otel_usage.importers.identity import ID_BYTES
from otel_usage.importers.lookup import name_digits

_Result = TypeVar("_Result")

_LEADING = ("trace_id_bytes", "span_id_bytes", "timestamp")
_WIDTHS = (16, 8, 8)
_ONE_ROW_AN_EVENT = "LIMIT 1 BY trace_id_bytes, span_id_bytes"
_FIRST_PAGE, _SMALLEST_PAGE, _LARGEST_PAGE = 5_000, 500, 100_000
_PAGE_BYTES = 32 * 2**20
_IDS_A_QUERY = 4_000
"""A statement has 262,144 characters at most (`max_query_size`), of which an id takes 48."""
_DAY_NS = 86_400 * 10**9
_BEFORE_ALL_NS, _AFTER_ALL_NS = -(2**62), 2**63 - 1
_DAYS = 65_536
"""So many days has ClickHouse's Date; `toDate` begins again with the first one for times after the last one."""


class Stretch(NamedTuple):
    """Days of one month of one service."""

    service: str
    first: date
    last: date
    events: int
    """About how many there are."""


class Page:
    """Some events of one service, as rows of an import."""

    names: frozenset[str] = frozenset()

    def __init__(
        self, source: SourceEvents, service: str, blocks: Sequence[NativeBlock], *, has_rows: bool
    ) -> None:
        """Take blocks in.

        Args:
            source: where they come from.
            service: of all the events.
            blocks: at least one; the first columns are the ids and the time.
            has_rows: the others are all that `events` has.
        """
        self.service = service
        self._source = source
        self._blocks = blocks if has_rows else None
        leading = [block.leading(_WIDTHS) for block in blocks]
        self.ids: Sequence[bytes] = _ids([(part[0], part[1]) for part in leading])
        self.times: Sequence[int] = [time_ns for part in leading for time_ns in _times(part[2])]

    def encoded(self, places: Sequence[int]) -> Encoded:
        """Return the events at these places for an insert."""
        blocks = self._blocks
        if blocks is None or len(places) < len(self.ids):
            blocks = self._source.rows_of(
                self.service, [self.ids[place] for place in places], [self.times[place] for place in places]
            )
        return Encoded(self._source.columns, compress_blocks(blocks))

    def bodies(self, places: Sequence[int]) -> list[str]:
        """Return nothing: the events stay in the source."""
        return []


class SourceEvents:
    """Reads the events of the source, each once."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client
        rows = client.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events' "
            "AND default_kind NOT IN ('ALIAS', 'EPHEMERAL', 'MATERIALIZED') ORDER BY position"
        ).rows
        first, last = client.query(
            "SELECT toUnixTimestamp64Nano(min(timestamp)), toUnixTimestamp64Nano(max(timestamp)) FROM events"
        ).rows[0]
        self._has_odd_times = first < 0 or last >= _DAYS * _DAY_NS
        self.columns: Sequence[str] = (*_LEADING, *(row[0] for row in rows if row[0] not in _LEADING))

    def pages(self, stretch: Stretch, *, with_rows: bool) -> Iterator[Page]:
        """Yield the events in the order of time and id, a bounded number at a time.

        Args:
            stretch: which ones.
            with_rows: read all of them; else the ids and times, and the rest of those that are asked for.

        Raises:
            OtelUsageError: the source did not answer for a minute.
        """
        start_ns, end_ns = self._bounds(stretch)
        after = (start_ns - 1, b"\xff" * ID_BYTES)
        limit = _FIRST_PAGE
        while True:
            blocks = self._page(stretch, after, end_ns, limit, self.columns if with_rows else _LEADING)
            if not blocks:
                return
            page = Page(self, stretch.service, blocks, has_rows=with_rows)
            after = (page.times[-1], page.ids[-1])
            is_last = len(page.ids) < limit
            limit = _next_limit(limit, sum(len(block.data) for block in blocks) / len(page.ids))
            yield page
            if is_last:
                return

    def _bounds(self, stretch: Stretch) -> tuple[int, int]:
        """Return the first and the last nanosecond at which events of these days can be."""
        if self._has_odd_times:
            return _BEFORE_ALL_NS, _AFTER_ALL_NS
        return _midnight_ns(stretch.first), _midnight_ns(stretch.last) + _DAY_NS - 1

    def _page(
        self, stretch: Stretch, after: tuple[int, bytes], end_ns: int, limit: int, columns: Sequence[str]
    ) -> list[NativeBlock]:
        time_ns, event_id = after
        return self._ask(
            lambda: self._client.query_blocks(
                columns,
                "FROM events WHERE service_name = unhex({service:String}) "
                "AND timestamp >= fromUnixTimestamp64Nano({time:Int64}, 'UTC') "
                "AND timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC') "
                f"AND toDate(timestamp) BETWEEN toDate('{stretch.first}') AND toDate('{stretch.last}') "
                "AND (timestamp, trace_id_bytes, span_id_bytes) > (fromUnixTimestamp64Nano({time:Int64}, 'UTC'), "
                "toFixedString(unhex({trace:String}), 16), toFixedString(unhex({span:String}), 8)) "
                f"ORDER BY timestamp, trace_id_bytes, span_id_bytes {_ONE_ROW_AN_EVENT} LIMIT {limit}",
                {
                    "service": name_digits(stretch.service),
                    "time": time_ns,
                    "end": end_ns,
                    "trace": event_id[:16].hex(),
                    "span": event_id[16:].hex(),
                },
            )
        )

    def rows_of(self, service: str, ids: Sequence[bytes], times: Sequence[int]) -> list[NativeBlock]:
        """Return the rows of these events.

        Raises:
            OtelUsageError: some have gone since.
        """
        blocks: list[NativeBlock] = []
        for start in range(0, len(ids), _IDS_A_QUERY):
            some = slice(start, start + _IDS_A_QUERY)
            blocks += self._rows_of(service, ids[some], times[some])
        found = _ids([(part[0], part[1]) for part in (block.leading(_WIDTHS[:2]) for block in blocks)])
        if sorted(found) != sorted(ids):
            raise OtelUsageError(
                "Events were deleted from the source while they were copied. Run the same command again"
            )
        return blocks

    def _rows_of(self, service: str, ids: Sequence[bytes], times: Sequence[int]) -> list[NativeBlock]:
        # In the statement: a parameter would travel in the URL, and a function call for each id takes long to parse.
        digits = b"".join(ids).hex()
        return self._ask(
            lambda: self._client.query_blocks(
                self.columns,
                "FROM events WHERE service_name = unhex({service:String}) "
                "AND timestamp >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') "
                "AND timestamp <= fromUnixTimestamp64Nano({last:Int64}, 'UTC') "
                f"AND (trace_id_bytes, span_id_bytes) IN (WITH '{digits}' AS digits "
                "SELECT toFixedString(unhex(substring(digits, number * 48 + 1, 32)), 16), "
                f"toFixedString(unhex(substring(digits, number * 48 + 33, 16)), 8) FROM numbers({len(ids)})) "
                f"{_ONE_ROW_AN_EVENT}",
                {"service": name_digits(service), "first": min(times), "last": max(times)},
            )
        )

    def _ask(self, ask: Callable[[], _Result]) -> _Result:
        return patiently(self._client, ask)


def _ids(parts: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the ids of events whose trace ids and span ids stand in a row each."""
    return [
        traces[place * 16 : place * 16 + 16] + spans[place * 8 : place * 8 + 8]
        for traces, spans in parts
        for place in range(len(spans) // 8)
    ]


def _times(column: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(column) // 8}q", column)


def _midnight_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()) * 10**9


def _next_limit(limit: int, row_bytes: float) -> int:
    """Return how many rows the next page may have, so that a page of long texts takes no more memory than others."""
    fitting = int(_PAGE_BYTES / max(row_bytes, 1.0))
    return max(_SMALLEST_PAGE, min(fitting, limit * 2, _LARGEST_PAGE))
