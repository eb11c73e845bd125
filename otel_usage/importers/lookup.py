"""Which of some events are in ClickHouse already."""

from __future__ import annotations

from collections.abc import Sequence

from otel_usage.clickhouse import ClickHouse
from otel_usage.importers.event_rows import Rows
from otel_usage.importers.identity import TRACE_BYTES

_IDS_A_QUERY = 8000
"""A statement has 262,144 characters at most (`max_query_size`), of which an id takes 32."""
_HEX_DIGITS = 32

_IN_PERIOD = (
    "service_name = unhex({service:String}) AND (empty({names:Array(String)}) OR event_name IN {names:Array(String)}) "
    "AND timestamp >= fromUnixTimestamp64Nano({first:Int64}, 'UTC') "
    "AND timestamp <= fromUnixTimestamp64Nano({last:Int64}, 'UTC')"
)
_ANY = f"SELECT 1 FROM events WHERE {_IN_PERIOD} LIMIT 1"  # noqa: S608 - our own condition


ANY_TIME_NS = _LAST_NS = 2**63 - 1


def ids_present(client: ClickHouse, rows: Rows, *, apart_ns: int = 0) -> set[bytes]:
    """Return the ids of those events that are stored.

    Args:
        client: whose account may read `events`.
        rows: at least one event.
        apart_ns: how far from the times that these say they may be stored. `ANY_TIME_NS` looks at all the service's
            events of these names.
    """
    parameters = {
        "service": name_digits(rows.service),
        "names": sorted(rows.names),
        "first": max(min(rows.times) - apart_ns, 0),
        "last": min(max(rows.times) + apart_ns, _LAST_NS),
    }
    if not client.query(_ANY, parameters).rows:
        return set()
    present: set[bytes] = set()
    # An event that follows from another one has its trace id.
    traces = list(dict.fromkeys(event_id[:TRACE_BYTES] for event_id in rows.ids))
    for start in range(0, len(traces), _IDS_A_QUERY):
        found = client.query(_of_traces(traces[start : start + _IDS_A_QUERY]), parameters).rows
        present.update(trace + span for trace, span in found)
    return present


def name_digits(name: str) -> str:
    """Return a name as hex digits, also one that was read from ClickHouse with bytes that are no UTF-8 in it."""
    return name.encode("utf-8", "surrogateescape").hex()


def _of_traces(traces: Sequence[bytes]) -> str:
    # In the statement: a parameter would travel in the URL, and a function call for each id takes long to parse.
    digits = b"".join(traces).hex()
    return (
        f"SELECT trace_id_bytes, span_id_bytes FROM events WHERE {_IN_PERIOD} AND trace_id_bytes IN "  # noqa: S608 - hex digits
        f"(SELECT toFixedString(unhex(substring('{digits}', number * {_HEX_DIGITS} + 1, {_HEX_DIGITS})), 16) "
        f"FROM numbers({len(traces)}))"
    )
