"""Blocks of an answer are told apart without reading their values."""

from __future__ import annotations

import struct

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.native_format import split_blocks

_END = "end_0123"


def a_block(*values: int, end: str = _END) -> bytes:
    """Return a block of two columns: some bytes, and the zeros that mark its end."""
    return b"".join(
        [
            bytes([2, len(values), 1]) + b"n" + bytes([5]) + b"UInt8" + bytes(values),
            bytes([len(end)]) + end.encode() + bytes([5]) + b"UInt8" + bytes(len(values)),
        ]
    )


def test_each_block_is_returned_without_the_column_that_marks_its_end() -> None:
    blocks = split_blocks(a_block(7, 8) + a_block() + a_block(9), _END)

    assert [(block.rows, block.leading([1])) for block in blocks] == [(2, [b"\x07\x08"]), (1, [b"\x09"])]
    assert blocks[1].data == b"\x01\x01\x01n\x05UInt8\x09"


@pytest.mark.parametrize("length", range(1, len(a_block(7, 8))))
def test_an_answer_that_was_cut_off_is_none(length: int) -> None:
    with pytest.raises(ValueError, match="the answer was cut off"):
        split_blocks(a_block(7, 8)[:length], _END)


def test_an_error_behind_the_rows_is_no_block() -> None:
    with pytest.raises(ValueError, match="the answer was cut off"):
        split_blocks(a_block(7, 8) + b"Code: 241. DB::Exception: Memory limit exceeded", _END)


def test_an_answer_of_several_blocks_is_whole(database: ClickHouse) -> None:
    blocks = database.query_blocks(["number", "repeat('\\0', number % 300) AS text"], "FROM numbers(100000)")

    numbers = [number for block in blocks for number in struct.unpack(f"<{block.rows}Q", *block.leading([8]))]
    assert len(blocks) > 1
    assert numbers == list(range(100_000))
