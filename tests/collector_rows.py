"""Writes spans as rows of `otel_traces`, value by value as the exporters of the field do: Collector, old Collector, rotel."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

TEXT_MAP = "Map(LowCardinality(String), String)"
TRACES_COLUMNS = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "ParentSpanId": "String",
    "TraceState": "String",
    "SpanName": "LowCardinality(String)",
    "SpanKind": "LowCardinality(String)",
    "ServiceName": "LowCardinality(String)",
    "ResourceAttributes": TEXT_MAP,
    "ScopeName": "String",
    "ScopeVersion": "String",
    "SpanAttributes": TEXT_MAP,
    "Duration": "UInt64",
    "StatusCode": "LowCardinality(String)",
    "StatusMessage": "String",
    "Events.Timestamp": "Array(DateTime64(9))",
    "Events.Name": "Array(LowCardinality(String))",
    "Events.Attributes": f"Array({TEXT_MAP})",
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": f"Array({TEXT_MAP})",
}
"""The columns that both write, in their order, with the exporter's types."""

_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUS = ("UNSET", "OK", "ERROR")


@dataclass(frozen=True)
class Dialect:
    """How one exporter writes what OTLP has types for."""

    to_text: Callable[[Any], str]
    kinds: Sequence[str]
    statuses: Sequence[str]


def go_number(value: float) -> str:
    """Return a double as the Collector writes it: without exponent from 1e-6 to below 1e21, whole ones without point."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value != 0 and not 1e-6 <= abs(value) < 1e21:
        digits, _, exponent = repr(value).partition("e")
        return f"{digits.removesuffix('.0')}e{exponent[0]}{exponent[1:].removeprefix('0')}"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _go_json(value: Any, escape_html: bool) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if escape_html:
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return text


def _go_plain(value: Any) -> Any:
    """Return what stands within a list or map, as Go's JSON encoder gets it."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_go_plain(part) for part in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _go_plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value" and value.double_value == int(value.double_value):
        return int(value.double_value)
    return getattr(value, kind)


def go_text(value: Any, *, escape_html: bool = False) -> str:
    """Return an attribute value as `pcommon.Value.AsString` does."""
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "double_value":
        return go_number(value.double_value)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind in ("array_value", "kvlist_value"):
        return _go_json(_go_plain(value), escape_html)
    return str(getattr(value, kind))


def rotel_text(value: Any) -> str:
    """Return an attribute value as rotel does: lists and maps in the JSON of OTLP, bytes in hex."""
    kind = value.WhichOneof("value")
    if kind == "bytes_value":
        return str(value.bytes_value.hex())
    if kind in ("array_value", "kvlist_value"):
        return json.dumps(
            _rotel_json(value)[kind.replace("_value", "Value")], ensure_ascii=False, separators=(",", ":")
        )
    return go_text(value)


def _rotel_json(value: Any) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind is None:
        return {}
    if kind == "array_value":
        return {"arrayValue": {"values": [_rotel_json(part) for part in value.array_value.values]}}
    if kind == "kvlist_value":
        pairs = value.kvlist_value.values
        return {
            "kvlistValue": {"values": [{"key": pair.key, "value": _rotel_json(pair.value)} for pair in pairs]}
        }
    name = kind.replace("_value", "Value")
    if kind == "int_value":
        return {name: str(value.int_value)}
    return {name: value.bytes_value.hex() if kind == "bytes_value" else getattr(value, kind)}


COLLECTOR = Dialect(
    go_text, [kind.capitalize() for kind in _KINDS], [status.capitalize() for status in _STATUS]
)
OLD_COLLECTOR = Dialect(
    lambda value: go_text(value, escape_html=True),
    [f"SPAN_KIND_{kind}" for kind in _KINDS],
    [f"STATUS_CODE_{status}" for status in _STATUS],
)
ROTEL = Dialect(rotel_text, COLLECTOR.kinds, COLLECTOR.statuses)


def traces_rows(spans: Sequence[ReadableSpan], dialect: Dialect = COLLECTOR) -> list[dict[str, Any]]:
    """Return the spans as rows of `otel_traces`, after their way through OTLP."""
    rows = []
    for resource_spans in encode_spans(spans).resource_spans:
        resource = _texts(resource_spans.resource.attributes, dialect)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            rows += [_row(span, scope, resource, dialect) for span in scope_spans.spans]
    return rows


def _row(span: Any, scope: Any, resource: dict[str, str], dialect: Dialect) -> dict[str, Any]:
    values = (
        span.start_time_unix_nano,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.name,
        dialect.kinds[span.kind],
        resource.get("service.name", ""),
        resource,
        scope.name,
        scope.version,
        _texts(span.attributes, dialect),
        # Of unsigned numbers, as in Go: an end before the start is nearly 2^64.
        (span.end_time_unix_nano - span.start_time_unix_nano) % 2**64,
        dialect.statuses[span.status.code],
        span.status.message,
    )
    nested: dict[str, Any] = {name: [] for name in list(TRACES_COLUMNS)[len(values) :]}
    return dict(zip(TRACES_COLUMNS, values, strict=False)) | nested


def _texts(pairs: Iterable[Any], dialect: Dialect) -> dict[str, str]:
    # The Collector sorts them by key, with each other exporter their order is anybody's.
    return {
        pair.key: dialect.to_text(pair.value)
        for pair in sorted(pairs, key=lambda pair: str(pair.key).encode())
    }
