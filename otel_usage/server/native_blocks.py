"""Gives the Native format the frame that clients of the TCP protocol's newer versions expect over HTTP too.

From version 54454 on, each block begins with its block info, and each column says after its type whether it has a
serialization of its own. clickhouse-go (the Collector's exporter, Grafana's data source) names such a version in
`client_protocol_version` and reads nothing else; the embedded engine writes version 0 and cannot be asked for another.
So the blocks are walked through by their types, and the bytes are put where they belong.
Source: https://clickhouse.com/docs/interfaces/http and NativeWriter of ClickHouse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from otel_usage.native_format import read_leb128

FRAMED_FROM = 54454
"""First protocol version with the byte for each column. clickhouse-connect names an older one, and does without."""

_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""No overflow row (field 1), no bucket (field 2: -1), end."""
_NO_OWN_SERIALIZATION = b"\x00"

_WIDTHS = {
    **dict.fromkeys(("Int8", "UInt8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Int16", "UInt16", "Enum16", "Date", "BFloat16"), 2),
    **dict.fromkeys(("Int32", "UInt32", "Float32", "Date32", "DateTime", "Time", "IPv4", "Decimal32"), 4),
    **dict.fromkeys(("Int64", "UInt64", "Float64", "DateTime64", "Time64", "Decimal64"), 8),
    **dict.fromkeys(("Int128", "UInt128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("Int256", "UInt256", "Decimal256"), 32),
}
_POINT = "Tuple(Float64, Float64)"
_SHORT_FOR = {
    "Point": _POINT,
    "Ring": f"Array({_POINT})",
    "LineString": f"Array({_POINT})",
    "Polygon": f"Array(Array({_POINT}))",
    "MultiLineString": f"Array(Array({_POINT}))",
    "MultiPolygon": f"Array(Array(Array({_POINT})))",
}
_TYPE = re.compile(r"([A-Za-z0-9]+)(?:\((.*)\))?", re.DOTALL)
_NULLABLE = re.compile(r"Nullable\((.*)\)", re.DOTALL)
_ELEMENT_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`) (?=[A-Z])")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`")


class UnknownType(Exception):
    """A column has a type whose length cannot be told from its bytes here."""


class _Column(NamedTuple):
    """How to pass over the values of a type."""

    skip_prefix: Callable[[_Cursor], None]
    skip: Callable[[_Cursor, int], None]
    """Passes over that many values, at least one."""


class _Cursor:
    """A place in the bytes of a result."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def number(self) -> int:
        """Return the variable-length number here, and pass it."""
        value, self.position = read_leb128(self.data, self.position)
        return value

    def fixed(self) -> int:
        """Return the UInt64 here, and pass it."""
        start = self.position
        self.position += 8
        return int.from_bytes(self.data[start : start + 8], "little")

    def text(self) -> str:
        """Return the text here, and pass it."""
        length = self.number()
        start = self.position
        self.position += length
        return self.data[start : start + length].decode("utf-8", "replace")


def framed(body: bytes) -> bytes:
    """Return blocks of version 0 as blocks of version `FRAMED_FROM`.

    Raises:
        UnknownType: a type's values cannot be passed over.
    """
    result = bytearray()
    cursor = _Cursor(body)
    while cursor.position < len(body):
        start = cursor.position
        columns, rows = cursor.number(), cursor.number()
        result += _BLOCK_INFO + body[start : cursor.position]
        for _ in range(columns):
            start = cursor.position
            cursor.text()
            type_name = cursor.text()
            result += body[start : cursor.position] + _NO_OWN_SERIALIZATION
            start = cursor.position
            if rows:
                column = _column_of(type_name)
                column.skip_prefix(cursor)
                column.skip(cursor, rows)
            result += body[start : cursor.position]
    return bytes(result)


@lru_cache(maxsize=1024)
def _column_of(type_name: str) -> _Column:
    found = _TYPE.fullmatch(_SHORT_FOR.get(type_name, type_name))
    name, inner = found.groups() if found else (type_name, None)
    parts = _split(inner or "")
    if name.startswith("Interval"):
        return _fixed(8)
    if name == "Decimal":
        digits = int(parts[0])
        return _fixed(next(width for width, most in ((4, 9), (8, 18), (16, 38), (32, 76)) if digits <= most))
    if name == "FixedString":
        return _fixed(int(parts[0]))
    if name in _WIDTHS:
        return _fixed(_WIDTHS[name])
    if name == "String":
        return _Column(_no_prefix, _skip_texts)
    if name in _NESTED:
        return _NESTED[name]([_ELEMENT_NAME.sub("", part, count=1) for part in parts])
    raise UnknownType(type_name)


def _split(inner: str) -> list[str]:
    """Return the arguments of a type, at the commas outside of parentheses and quotes."""
    # Quoted texts may hold commas and parentheses, and as long as they are, nothing else depends on them.
    plain = _QUOTED.sub(lambda quoted: "_" * len(quoted.group()), inner)
    parts, depth, start = [], 0, 0
    for index, character in enumerate(plain):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(inner[start:index].strip())
            start = index + 1
    return [*parts, inner[start:].strip()]


def _no_prefix(cursor: _Cursor) -> None:
    pass


def _fixed(width: int) -> _Column:
    def skip(cursor: _Cursor, rows: int) -> None:
        cursor.position += rows * width

    return _Column(_no_prefix, skip)


def _skip_texts(cursor: _Cursor, rows: int) -> None:
    # Most of all time goes here: names of its own instead of the cursor's.
    data, position = cursor.data, cursor.position
    for _ in range(rows):
        length, position = read_leb128(data, position)
        position += length
    cursor.position = position


def _nullable(parts: Sequence[str]) -> _Column:
    values = _column_of(parts[0])

    def skip(cursor: _Cursor, rows: int) -> None:
        cursor.position += rows
        values.skip(cursor, rows)

    return _Column(values.skip_prefix, skip)


def _array(parts: Sequence[str]) -> _Column:
    values = _column_of(parts[0])

    def skip(cursor: _Cursor, rows: int) -> None:
        cursor.position += (rows - 1) * 8
        count = cursor.fixed()
        if count:
            values.skip(cursor, count)

    return _Column(values.skip_prefix, skip)


def _tuple(parts: Sequence[str]) -> _Column:
    elements = [_column_of(part) for part in parts]

    def skip_prefix(cursor: _Cursor) -> None:
        for element in elements:
            element.skip_prefix(cursor)

    def skip(cursor: _Cursor, rows: int) -> None:
        for element in elements:
            element.skip(cursor, rows)

    return _Column(skip_prefix, skip)


def _low_cardinality(parts: Sequence[str]) -> _Column:
    # The dictionary of a Nullable keeps plain values, one of which stands for NULL.
    nullable = _NULLABLE.fullmatch(parts[0])
    values = _column_of(nullable.group(1) if nullable else parts[0])

    def skip_prefix(cursor: _Cursor) -> None:
        cursor.position += 8

    def skip(cursor: _Cursor, rows: int) -> None:
        while rows > 0:
            index_width = 1 << (cursor.fixed() & 0xFF)
            keys = cursor.fixed()
            if keys:
                values.skip(cursor, keys)
            count = cursor.fixed()
            cursor.position += count * index_width
            rows -= count

    return _Column(skip_prefix, skip)


_NESTED: dict[str, Callable[[Sequence[str]], _Column]] = {
    "Nullable": _nullable,
    "Array": _array,
    "Tuple": _tuple,
    "Map": lambda parts: _array([f"Tuple({', '.join(parts)})"]),
    "Nested": lambda parts: _array([f"Tuple({', '.join(parts)})"]),
    "LowCardinality": _low_cardinality,
    "SimpleAggregateFunction": lambda parts: _column_of(parts[1]),
}
