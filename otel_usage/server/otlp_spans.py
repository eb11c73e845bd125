"""Reads OTLP trace requests, protobuf or JSON, into usage events.

A span counts when it carries `usage.event.id`, which the worker sets on what it sends; the others are the app's own
traces and pass through here without a trace.
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_usage import attributes as names
from otel_usage.model import NO_SPAN, AttributeValue, Event
from otel_usage.pipeline.events import SCOPE_NAME
from otel_usage.pipeline.rows import to_text
from otel_usage.server.old_names import add_new_names

_MAX_TIME_NS = 2**63 - 1
_LAST_EXACT_FLOAT = 2**53
_SERVICE_NAME = "service.name"


class MalformedRequest(Exception):
    """The body is no OTLP trace request."""


@dataclass(slots=True)
class SpansRead:
    """What one request held."""

    events: list[Event] = field(default_factory=list)
    ignored: int = 0
    """Spans without `usage.event.id`."""
    rejected: int = 0
    """Usage spans whose ids or times cannot be stored."""

    def add(
        self,
        service_name: str,
        trace_id: bytes,
        span_id: bytes,
        parent_span_id: bytes,
        start_ns: int,
        end_ns: int,
        name: str,
        attributes: dict[str, AttributeValue],
        scope: str,
    ) -> None:
        """Count one span, and keep it as event if it is one."""
        if names.EVENT_ID not in attributes:
            self.ignored += 1
            return
        if scope != SCOPE_NAME:
            add_new_names(attributes)
        if len(trace_id) != 16 or len(span_id) != 8 or not 0 < start_ns <= _MAX_TIME_NS:
            self.rejected += 1
        else:
            self.events.append(
                Event(
                    to_text(attributes.get(names.EVENT_NAME, name), names.MAX_NAME),
                    start_ns,
                    min(max(end_ns - start_ns, 0), _MAX_TIME_NS),
                    trace_id,
                    span_id,
                    parent_span_id if len(parent_span_id) == 8 else NO_SPAN,
                    service_name,
                    attributes,
                )
            )


def read_protobuf(body: bytes) -> SpansRead:
    """Return the spans of an `ExportTraceServiceRequest`.

    Raises:
        MalformedRequest: it is none.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except (DecodeError, UnicodeDecodeError, ValueError):
        raise MalformedRequest("The body is not an ExportTraceServiceRequest in protobuf") from None
    read = SpansRead()
    for resource_spans in request.resource_spans:
        resource = _protobuf_attributes(resource_spans.resource.attributes)
        service_name = to_text(resource.get(_SERVICE_NAME), names.MAX_NAME)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                read.add(
                    service_name,
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.name,
                    _protobuf_attributes(span.attributes),
                    scope_spans.scope.name,
                )
    return read


def _protobuf_attributes(pairs: Iterable[Any]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    for pair in pairs:
        value = pair.value
        # Nearly all values are texts, and asking which kind it is costs as much as reading one.
        text = value.string_value
        if text:
            attributes[pair.key] = text
        else:
            other = _protobuf_value(value)
            if other is not None:
                attributes[pair.key] = _flat(other)
    return attributes


def _protobuf_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else _PROTOBUF_READERS[kind](value)


_PROTOBUF_READERS: dict[str, Callable[[Any], Any]] = {
    "string_value": lambda value: value.string_value,
    "bool_value": lambda value: value.bool_value,
    "int_value": lambda value: value.int_value,
    "double_value": lambda value: _number(value.double_value),
    "bytes_value": lambda value: base64.b64encode(value.bytes_value).decode(),
    "array_value": lambda value: [_protobuf_value(part) for part in value.array_value.values],
    "kvlist_value": lambda value: {
        pair.key: _protobuf_value(pair.value) for pair in value.kvlist_value.values
    },
}


def read_json(body: bytes) -> SpansRead:
    """Return the spans of a trace request in OTLP's JSON: ids in hex, names in camelCase, bytes in base64.

    Raises:
        MalformedRequest: it is none.
    """
    try:
        request = json.loads(body)
        read = SpansRead()
        for resource_spans in _items(request, "resourceSpans"):
            resource = _json_attributes(resource_spans.get("resource") or {})
            service_name = to_text(resource.get(_SERVICE_NAME), names.MAX_NAME)
            for scope_spans in _items(resource_spans, "scopeSpans"):
                scope = to_text((scope_spans.get("scope") or {}).get("name"), names.MAX_NAME)
                for span in _items(scope_spans, "spans"):
                    _add_json_span(read, service_name, span, scope)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        # Which field it was is not said: the exception would quote what the client sent.
        raise MalformedRequest("The body is not a trace request in OTLP's JSON") from None
    return read


def _add_json_span(read: SpansRead, service_name: str, span: Mapping[str, Any], scope: str) -> None:
    read.add(
        service_name,
        bytes.fromhex(span.get("traceId") or ""),
        bytes.fromhex(span.get("spanId") or ""),
        bytes.fromhex(span.get("parentSpanId") or ""),
        int(span.get("startTimeUnixNano") or 0),
        int(span.get("endTimeUnixNano") or 0),
        to_text(span.get("name"), names.MAX_NAME),
        _json_attributes(span),
        scope,
    )


def _number(value: float) -> int | float:
    """Return a double that is whole, and exactly so, as a whole number."""
    return int(value) if abs(value) <= _LAST_EXACT_FLOAT and value.is_integer() else value


def _flat(value: Any) -> AttributeValue:
    """Return what an attribute may hold: maps, and what is nested in a list, become the text that a Collector stores."""
    if isinstance(value, list):
        return [_to_json(part) if isinstance(part, (dict, list)) else part for part in value]
    return _to_json(value) if isinstance(value, dict) else value


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _items(parent: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of objects; absent and null mean empty, as in protobuf."""
    items = parent.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise TypeError
    return items


def _json_attributes(parent: Mapping[str, Any]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    for pair in _items(parent, "attributes"):
        value = _json_value(pair.get("value") or {})
        key = pair["key"]
        if not isinstance(key, str):
            raise TypeError
        if value is not None:
            attributes[key] = _flat(value)
    return attributes


def _json_value(value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError
    for kind, read in _JSON_READERS.items():
        if kind in value:
            return read(value[kind])
    return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _bytes(value: Any) -> str:
    text = _text(value)
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
    return text


_JSON_READERS: dict[str, Callable[[Any], Any]] = {
    "stringValue": _text,
    "boolValue": _bool,
    "intValue": int,
    "doubleValue": lambda value: _number(float(value)),
    "bytesValue": _bytes,
    "arrayValue": lambda value: [_json_value(part) for part in _items(value, "values")],
    "kvlistValue": lambda value: {
        pair["key"]: _json_value(pair.get("value") or {}) for pair in _items(value, "values")
    },
}
