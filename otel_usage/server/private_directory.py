"""The private directory of one `serve`: the engine's configuration and the bodies of running inserts.

On tmpfs when there is one, because every insert passes through a file here. Its name follows from the data
directory, so a new start finds and cleans what a killed process left behind.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TMPFS = Path("/dev/shm")  # noqa: S108 - the directory made in it is checked for its owner and mode


class PrivateDirectory:
    """A directory that only this user can enter, emptied when it is opened.

    Args:
        data: the data directory, which the caller holds the lock of. It also takes the bodies that do not fit tmpfs.
    """

    def __init__(self, data: Path) -> None:
        self._fallback = data / "bodies"
        name = f"otel-usage-{os.getuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
        tmpfs = _TMPFS / name
        self.path = tmpfs if _TMPFS.is_dir() and _make_private(tmpfs) else self._fallback
        for path in {self.path, self._fallback}:
            _empty(path)
        self._numbers = itertools.count()

    @contextmanager
    def file_of(self, parts: Iterable[bytes | memoryview], size: int) -> Iterator[Path]:
        """Give a file with these parts, `size` bytes together, for the time of the block."""
        directory = self.path if self._fits(size) else self._fallback
        path = directory / f"body-{next(self._numbers)}"
        try:
            with open(path, "wb", opener=_private_opener) as file:
                for part in parts:
                    file.write(part)
            yield path
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def remove(self) -> None:
        """Remove the directory with all in it."""
        for path in {self.path, self._fallback}:
            shutil.rmtree(path, ignore_errors=True)

    def _fits(self, size: int) -> bool:
        space = os.statvfs(self.path)
        return size < space.f_bavail * space.f_frsize // 2


def _make_private(path: Path) -> bool:
    """Return whether the directory is there and ours; the parent is writable for everyone, so it may be a trap."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _empty(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, exist_ok=True)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)
