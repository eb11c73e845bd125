"""The lines of a log file: plain, compressed by gzip, or from standard input."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from otel_usage.errors import OtelUsageError

STANDARD_INPUT = "-"
MAX_LINE_BYTES = 65_536
_BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"


@contextmanager
def open_log(name: str) -> Iterator[BinaryIO]:
    """Open a log for reading, whatever its name ends with.

    Raises:
        OSError: it cannot be opened.
    """
    source = sys.stdin.buffer if name == STANDARD_INPUT else open(name, "rb")  # noqa: SIM115 - closed below
    try:
        buffered = cast(io.BufferedReader, source)
        if buffered.peek(2)[:2] == _GZIP:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=buffered))
        else:
            yield buffered
    finally:
        if name != STANDARD_INPUT:
            source.close()


class LogLines:
    """Reads a log block by block; holds one block and one line at most."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self.unfinished: bytes | None = None
        """What stands behind the last end of a line, once all has been read; None for nothing."""

    def blocks(self) -> Iterator[list[bytes | None]]:
        """Yield complete lines without their ends, None for one that is longer than `MAX_LINE_BYTES`.

        Raises:
            OtelUsageError: the file is damaged; what stands before that was yielded.
        """
        rest = b""
        is_passing_over = False
        while block := self._read():
            block = block.replace(b"\r\n", b"\n")
            lines: list[bytes | None] = []
            first, *others = block.split(b"\n")
            if not others:
                rest, is_passing_over = _longer(rest, first, is_passing_over)
                continue
            # The end of a line may lie on both sides of the end of a block.
            whole = (rest + first).removesuffix(b"\r")
            lines.append(None if is_passing_over or len(whole) > MAX_LINE_BYTES else whole)
            last = others.pop()
            lines.extend(line if len(line) <= MAX_LINE_BYTES else None for line in others)
            rest, is_passing_over = _longer(b"", last, False)
            yield lines
        if is_passing_over:
            yield [None]
        elif rest:
            self.unfinished = rest

    def _read(self) -> bytes:
        try:
            return self._file.read(_BLOCK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise OtelUsageError(
                f"{self._name} is damaged or cut off: {error}. What stands before that was imported"
            ) from error


def _longer(rest: bytes, more: bytes, is_passing_over: bool) -> tuple[bytes, bool]:
    """Return the beginning of a line with what follows; nothing of one that has become too long."""
    # One more than a line may have: the last one may belong to its end.
    if is_passing_over or len(rest) + len(more) > MAX_LINE_BYTES + 1:
        return b"", True
    return rest + more, False
