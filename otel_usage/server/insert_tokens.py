"""Puts right what a kill leaves in the engine's logs of insert tokens, before the engine opens them.

For each part that an insert makes, the engine writes the insert's token down and then, some milliseconds later, moves
the part to its place. Killed between the two, it would take the batch for stored when it is sent again, and its rows
would be lost.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from otel_usage.errors import OtelUsageError

_LOGS = "store/*/*/deduplication_logs"
_LOG_NAME = re.compile(r"deduplication_log_(\d+)\.txt")
_PART_NAME = re.compile(r"(?P<partition>.+)_\d+_(?P<last_block>\d+)_\d+(_\d+)?")
_PART_DIRECTORY = re.compile(r"(?P<partition>[^_]+)_\d+_(?P<last_block>\d+)_\d+(_\d+)?")
"""Without the underscore in it, which those of parts under way begin with: `tmp_insert_202611_7_7_0`."""

_ADDED, _DROPPED = "1", "2"
"""What a line of a log begins with."""


class _Record(NamedTuple):
    """One line of a log."""

    operation: str
    part: str
    token: str


def forget_tokens_without_part(data: Path) -> int:
    """Write down that a token is free again where its part never came, and return how many there were.

    Parts of a table are numbered in the order of their tokens, one at a time, so only the last token of each table
    can be without its part. A part that is gone since, into a merged one or with its partition, has others after it,
    or a line of its own that says so.

    Args:
        data: the data directory, which no engine has open.

    Raises:
        OtelUsageError: a log cannot be read or written.
    """
    try:
        return sum(_put_right(logs) for logs in sorted(data.glob(_LOGS)))
    except OSError as error:
        raise OtelUsageError(
            f"Cannot look through {error.filename}: {(error.strerror or str(error)).lower()}. "
            "See the owner of that file"
        ) from None


def _put_right(logs: Path) -> int:
    log, record = _last_record(logs)
    if log is None or record is None or record.operation != _ADDED:
        return 0
    named = _PART_NAME.fullmatch(record.part)
    if named is None or _has_come(logs.parent, named["partition"], int(named["last_block"])):
        return 0
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{_DROPPED}\t{record.part}\t{record.token}\n")
    return 1


def _last_record(logs: Path) -> tuple[Path | None, _Record | None]:
    """Return the last line of the newest log that has one, and which log that is."""
    numbered = [(int(found[1]), path) for path in logs.iterdir() if (found := _LOG_NAME.fullmatch(path.name))]
    for _, path in sorted(numbered, reverse=True):
        lines = path.read_text("utf-8").splitlines()
        fields = lines[-1].split("\t") if lines else []
        if fields:
            return path, _Record(*fields) if len(fields) == len(_Record._fields) else None
    return None, None


def _has_come(table: Path, partition: str, last_block: int) -> bool:
    """Return whether a partition has a part that goes as far as this block, or further."""
    parts = [found for path in table.iterdir() if (found := _PART_DIRECTORY.fullmatch(path.name))]
    return any(part["partition"] == partition and int(part["last_block"]) >= last_block for part in parts)
