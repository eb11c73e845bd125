"""The frame of Native blocks for clickhouse-go, checked against what the engine writes without it."""

from __future__ import annotations

import pytest

from otel_usage.server.bodies import BodyReader, pack_blocks
from otel_usage.server.native_blocks import UnknownType, framed
from tests.server.http import ask
from tests.serving import ServeProcess

FRAMED = {"default_format": "Native", "client_protocol_version": "54460"}
BLOCK_INFO = bytes.fromhex("010002ffffffff00")
BY_CLICKHOUSE = bytes.fromhex(
    "88f565e06bc9f636a2e669edd911648b90220000002c00000028b52ffd202c850000502b4772c3bcc39f652c200100740a12"
)
"""A block of a column's file that ClickHouse itself wrote, with ZSTD."""


@pytest.mark.parametrize(
    "expression",
    [
        "toInt8(number)",
        "toUInt256(number)",
        "number % 2 = 0",
        "toDecimal32(number, 2)",
        "toDecimal128(number, 2)",
        "toDateTime64(number, 9, 'UTC')",
        "toIntervalDay(number)",
        "toIPv6('::1')",
        "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')",
        "CAST(number % 2, 'Enum8(\\'a,(\\' = 0, \\'b\\\\\\'\\' = 1)')",
        "toFixedString('abc', 3)",
        "repeat('é', number * 100)",
        "NULL",
        "if(number % 2, NULL, toString(number))",
        "range(number % 5)",
        "[range(number % 3), [1]]",
        "CAST([], 'Array(String)')",
        "toLowCardinality(toString(number % 300))",
        "toLowCardinality(if(number % 2, NULL, toString(number)))",
        "arrayMap(i -> toLowCardinality(toString(i)), range(number % 4))",
        "CAST(map('a', toString(number)), 'Map(LowCardinality(String), String)')",
        "CAST((number, 'x'), 'Tuple(`odd name, (` UInt64, s LowCardinality(String))')",
        "CAST([(1, ['a'])], 'Nested(a UInt8, b Array(String))')",
        "CAST((1.0, 2.0), 'Point')",
        "CAST([[(1.0, 2.0)]], 'Polygon')",
    ],
)
def test_each_type_is_passed_over_to_its_end(serve: ServeProcess, expression: str) -> None:
    sql = f"SELECT {expression} AS a, 7::UInt8 AS b FROM numbers(500)"

    plain = ask(serve, sql, {"default_format": "Native"}).body
    answer = ask(serve, sql, FRAMED).body

    marker = b"\x01b\x05UInt8"
    values = b"\x07" * 500
    # Three bytes of counts, two of the name, the length of the type, the type.
    header_end = 6 + plain[5]
    assert plain.endswith(marker + values)
    assert answer == b"".join(
        (
            BLOCK_INFO,
            plain[:header_end],
            b"\0",
            plain[header_end : -len(marker + values)],
            marker,
            b"\0",
            values,
        )
    )


def test_every_block_of_a_long_answer_is_framed(serve: ServeProcess) -> None:
    sql = "SELECT number AS n, toString(number) AS s FROM numbers(200000)"

    plain = ask(serve, sql, {"default_format": "Native"}).body
    answer = ask(serve, sql, FRAMED).body

    blocks = plain.count(b"\x01s\x06String")
    assert blocks > 1
    assert len(answer) == len(plain) + blocks * (len(BLOCK_INFO) + 2)
    assert answer.count(BLOCK_INFO) == blocks


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM events LIMIT 0",
        "SELECT * FROM visits LIMIT 0",
        "DESCRIBE TABLE events",
        "SHOW TABLES",
        "SELECT * FROM system.columns LIMIT 1000",
        "SELECT displayName(), version(), revision(), timezone()",
    ],
)
def test_what_clients_ask_for_about_tables_can_be_framed(serve: ServeProcess, sql: str) -> None:
    assert ask(serve, sql, FRAMED).status == 200


@pytest.mark.parametrize(
    ("parameters", "sql"),
    [
        pytest.param({"default_format": "Native"}, "SELECT 1", id="no version"),
        pytest.param({**FRAMED, "client_protocol_version": "54405"}, "SELECT 1", id="an older version"),
        pytest.param(FRAMED, "SELECT 1 FORMAT RowBinary", id="another format"),
    ],
)
def test_other_clients_get_what_the_engine_writes(
    serve: ServeProcess, parameters: dict[str, str], sql: str
) -> None:
    assert BLOCK_INFO not in ask(serve, sql, parameters).body


def test_a_type_that_cannot_be_passed_over_is_refused_with_advice(serve: ServeProcess) -> None:
    answer = ask(serve, "SELECT sumState(number) FROM numbers(2)", FRAMED, check=False)

    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (501, "48")
    assert "A column of type AggregateFunction(sum, UInt64) cannot be sent" in answer.text
    assert "finalizeAggregation" in answer.text


def test_an_unknown_type_without_values_is_no_reason_to_refuse() -> None:
    block = b"\x01\x00\x01a\x03Odd"

    assert framed(block) == BLOCK_INFO + block + b"\0"
    with pytest.raises(UnknownType):
        framed(b"\x01\x01\x01a\x03Odd\x00")


def test_compressed_blocks_carry_the_checksum_that_clickhouse_computes() -> None:
    reader = BodyReader(1 << 24)
    text = reader.unpack(BY_CLICKHOUSE, "", native_blocks=True)

    assert text[1:].decode() == "Grüße, Grüße, Grüße, Grüße, Grüße"
    assert pack_blocks(text)[:16].hex() == "7c2de9e2b35d45394741f38972523586"


@pytest.mark.parametrize("size", [0, 1, 100, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_compressed_blocks_hold_all_of_a_body(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    assert BodyReader(1 << 24).unpack(pack_blocks(body), "", native_blocks=True) == body
