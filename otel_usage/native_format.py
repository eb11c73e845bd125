"""ClickHouse's Native format: batches as blocks, and the blocks of an answer told apart without reading their values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from clickhouse_connect.datatypes.base import ClickHouseType


@lru_cache(maxsize=64)
def _wire_types(names: tuple[str, ...]) -> list[ClickHouseType]:
    from clickhouse_connect.datatypes.registry import get_from_name

    return [get_from_name(name) for name in names]


def encode_native(
    column_names: Sequence[str], column_types: Sequence[str], columns: Sequence[Sequence[Any]]
) -> bytes:
    """Return a batch as one block of ClickHouse's Native format, compressed as `insert_native` sends it.

    Args:
        column_names: name of each column.
        column_types: its type on the wire.
        columns: its values, all columns equally long.

    Raises:
        Exception: a value does not fit its type; the driver raises several kinds.
    """
    import lz4.frame
    from clickhouse_connect.driver.common import write_leb128
    from clickhouse_connect.driver.insert import InsertContext

    types = _wire_types(tuple(column_types))
    # Without data: the driver would import pandas to find out whether they are a data frame, half a second of
    # work and 80 MB in every process that has it installed.
    context = InsertContext("", list(column_names), types)
    block = bytearray()
    write_leb128(len(types), block)
    write_leb128(len(columns[0]), block)
    for name, type_, values in zip(column_names, types, columns, strict=True):
        for text in (name, type_.insert_name):
            encoded = text.encode()
            write_leb128(len(encoded), block)
            block += encoded
        context.start_column(name)
        type_.write_column(values, block, context)
    return bytes(lz4.frame.compress(block))


def load_driver() -> None:
    """Import what an insert needs.

    Raises:
        ImportError: the driver is not installed.
    """
    import clickhouse_connect.driver.exceptions  # noqa: F401 - loaded for later

    encode_native(["n"], ["UInt8"], [[0]])


class NativeBlock(NamedTuple):
    """One block of an answer."""

    rows: int
    data: bytes
    """As an insert takes it."""

    def leading(self, widths: Sequence[int]) -> list[bytes]:
        """Return the bytes of its first columns, all values of each in a row.

        Args:
            widths: bytes that a value of each of them has; their types have a fixed width.
        """
        _, place = read_leb128(self.data, 0)
        _, place = read_leb128(self.data, place)
        columns = []
        for width in widths:
            for _ in ("name", "type"):
                length, place = read_leb128(self.data, place)
                place += length
            columns.append(self.data[place : place + width * self.rows])
            place += width * self.rows
        return columns


def compress_blocks(blocks: Sequence[NativeBlock]) -> bytes:
    """Return blocks of the same columns as one batch for `insert_native`."""
    import lz4.frame

    return bytes(lz4.frame.compress(b"".join(block.data for block in blocks)))


def split_blocks(answer: bytes, end_column: str) -> list[NativeBlock]:
    """Return the blocks of an answer, which say neither how long they are nor how many.

    Args:
        answer: of a query whose last column is zero, of type UInt8. The blocks that are returned are without it.
        end_column: the name of that column, which nobody who writes values could guess.

    Raises:
        ValueError: the answer was cut off.
    """
    from clickhouse_connect.driver.common import write_leb128

    name, type_ = end_column.encode(), b"UInt8"
    header = bytes([len(name)]) + name + bytes([len(type_)]) + type_
    blocks, start = [], 0
    while start < len(answer):
        columns, place = read_leb128(answer, start)
        rows, place = read_leb128(answer, place)
        end = answer.find(header, place)
        if end < 0 or end + len(header) + rows > len(answer):
            raise ValueError("the answer was cut off")
        if rows:
            counts = bytearray()
            for number in (columns - 1, rows):
                write_leb128(number, counts)
            blocks.append(NativeBlock(rows, bytes(counts) + answer[place:end]))
        start = end + len(header) + rows
    return blocks


def read_leb128(data: bytes, place: int) -> tuple[int, int]:
    """Return a variable-length number and the place behind it.

    Raises:
        ValueError: the data end within it.
    """
    number = shift = 0
    while place < len(data):
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
    raise ValueError("the answer was cut off")
