"""Data directories of the embedded engine: which are ours, and which process holds one.

The engine takes any directory for its own: it removes `tmp/*` and overwrites `status`. So we look before it does.
"""

from __future__ import annotations

import errno
import fcntl
import re
from pathlib import Path

from otel_usage.errors import OtelUsageError, SettingError

MARKER = "otel-usage.tag"
"""File that `otel-usage serve` puts into a directory that it made or took over empty."""

_MARKER_TEXT = (
    "The data of `otel-usage serve`. Without this file, it does not take the directory for its own.\n"
)
_OWN_DATABASE = "otel_usage"
_OF_NO_MEANING = frozenset({"lost+found"})
"""What an empty disk has in it."""


def data_path(text: str) -> Path:
    """Return the path that a user gave for a data directory.

    Raises:
        ValueError: it is empty; `Path` would take that for the working directory.
    """
    if not text:
        raise ValueError("is empty, expected a directory")
    return Path(text)


def check_ownership(data: Path) -> None:
    """Refuse a directory in which the engine would overwrite what belongs to others.

    Ours are those with the marker, and those of older versions, which have the engine's layout with our database.

    Raises:
        SettingError: the directory has something else in it.
    """
    if is_empty(data) or (data / MARKER).is_file() or has_engine_layout(data, _OWN_DATABASE):
        return
    raise SettingError(
        f"The directory {data} is not empty and no data directory of otel-usage; choose another with --data"
    )


def mark(data: Path) -> None:
    """Put the marker in."""
    (data / MARKER).write_text(_MARKER_TEXT, "utf-8")


def is_empty(data: Path) -> bool:
    """Return whether a directory is missing or has nothing in it."""
    return not data.exists() or all(path.name in _OF_NO_MEANING for path in data.iterdir())


def has_engine_layout(data: Path, database: str = "*") -> bool:
    """Return whether an engine has kept a database there, by default any."""
    return (data / "store").is_dir() and any((data / "metadata").glob(f"{database}.sql"))


def holder_of(data: Path) -> str:
    """Return who has the engine open on this directory, empty for nobody.

    The engine locks its file `status` and writes its process id in.

    Raises:
        OtelUsageError: the file cannot be read.
    """
    try:
        with (data / "status").open("rb") as status:
            fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
            raise OtelUsageError(
                f"Cannot read {data / 'status'}: {(error.strerror or str(error)).lower()}. See the owner of that file"
            ) from None
        found = re.search(rb"PID: (\d+)", (data / "status").read_bytes())
        return f"process {found.group(1).decode()}" if found else "another process"
    return ""
