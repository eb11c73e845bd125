"""Lines of files: whole, however the file is stored and wherever a block of it ends."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from otel_usage.errors import OtelUsageError
from otel_usage.importers import log_lines
from otel_usage.importers.log_lines import MAX_LINE_BYTES, LogLines, open_log


def lines_of(content: bytes) -> tuple[list[bytes | None], bytes | None]:
    """Return the lines of a file, and what stands behind the last one."""
    lines = LogLines(io.BytesIO(content), "a.log")
    return [line for block in lines.blocks() for line in block], lines.unfinished


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_do_not_depend_on_where_a_block_ends(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int, end: bytes
) -> None:
    monkeypatch.setattr(log_lines, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(log_lines, "MAX_LINE_BYTES", 8)
    lines = [b"one", b"", b"two\rthree"[:8], b"x" * 30, b"four"]

    found = lines_of(end.join([*lines, b"rest"]))

    assert found == ([b"one", b"", b"two\rthre", None, b"four"], b"rest")


def test_a_line_that_never_ends_takes_no_memory() -> None:
    found, unfinished = lines_of(b"a\n" + b"x" * (5 * MAX_LINE_BYTES))

    assert (found, unfinished) == ([b"a", None], None)


@pytest.mark.parametrize("name", ["access.log", "access.log.gz"])
def test_a_compressed_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))

    with open_log(str(path)) as file:
        assert file.read() == b"a\nb\n"


def test_a_file_that_is_cut_off_gives_its_lines_first(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % number for number in range(10**6)))[:-100])
    found: list[bytes | None] = []

    def read(name: str) -> None:
        with open_log(name) as file:
            for block in LogLines(file, name).blocks():
                found.extend(block)

    with pytest.raises(OtelUsageError, match=r"gz is damaged or cut off"):
        read(str(path))

    assert found[:2] == [b"0", b"1"]
    assert len(found) > 100_000
