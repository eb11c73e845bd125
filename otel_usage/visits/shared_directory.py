"""The private directory in which the workers of one service on one host keep salts and visits.

Memory-backed where there is such a place, so that a deleted salt leaves nothing on a disk, and no request waits
for one. All files are reached through the directory's descriptor, after owner and mode of that were checked: its
parent is writable for everyone, so what lies there may be a trap.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import stat
import tempfile
import time
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from otel_usage.visits.salt import SALT_LENGTH
from otel_usage.visits.visit_table import TABLE_SIZE, VisitTable

_SALT_PREFIX = "salt-"
_TABLE, _NEW_TABLE, _LOCK = "visits-1", "visits-1.new", "lock"
_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 0.005


class DirectoryBusyError(Exception):
    """Another process holds the lock of the directory for too long; it is probably stopped."""


def possible_directories(service_name: str, runtime_directory: str) -> list[str]:
    """Return where the directory of a service may lie, best place first. May write into the temporary directory.

    Args:
        service_name: one directory for each.
        runtime_directory: what XDG_RUNTIME_DIR says; a relative path counts for nothing.
    """
    parents = [runtime_directory] if os.path.isabs(runtime_directory) else []
    parents.append("/dev/shm")  # noqa: S108 - the directory made in it is checked for its owner and mode
    with suppress(FileNotFoundError):  # no directory for temporary files at all
        parents.append(tempfile.gettempdir())
    digest = hashlib.sha256(service_name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return [os.path.join(parent, f"otel-usage-{os.getuid()}-visits-{digest}") for parent in parents]


class SharedDirectory:
    """An open directory of ours; used under its lock by one process at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def locked(cls, path: str, *, create: bool = True) -> Iterator[SharedDirectory]:
        """Give the directory to this process alone for the time of the block.

        Never called by two threads of a process at once: the lock only tells processes apart.

        Raises:
            DirectoryBusyError: another process has it, and keeps it.
            OSError: it is not there, cannot be made, or is not ours alone.
        """
        descriptor = _open_directory(path, create)
        try:
            # The lock of a killed process is gone, and a forked child does not inherit one.
            lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=descriptor)
            try:
                _wait_for_lock(lock)
                yield cls(descriptor)
            finally:
                os.close(lock)
        finally:
            os.close(descriptor)

    def read_salt(self, day: int) -> bytes | None:
        """Return the salt of a day; one that is broken counts as none and is removed."""
        name = _salt_name(day)
        try:
            file = self._open(name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            raw = os.read(file, SALT_LENGTH + 1)
        finally:
            os.close(file)
        if len(raw) == SALT_LENGTH:
            return raw
        os.unlink(name, dir_fd=self._descriptor)
        return None

    def keep_salt(self, day: int, raw: bytes) -> None:
        """Write the salt of a day that has none."""
        file = self._open(_salt_name(day), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _write_all(file, raw)
        finally:
            os.close(file)

    def remove_salts(self, except_days: Collection[int]) -> None:
        """Remove the salts of all other days."""
        kept = {_salt_name(day) for day in except_days}
        for name in os.listdir(self._descriptor):
            if name.startswith(_SALT_PREFIX) and name not in kept:
                os.unlink(name, dir_fd=self._descriptor)

    def open_table(
        self, held: VisitTable, held_inode: tuple[int, int] | None
    ) -> tuple[VisitTable, tuple[int, int]]:
        """Return the table that all share, and the device and inode of its file.

        When the file is missing or broken, a new one goes on with the visits of the table that is held.

        Args:
            held: table of this process so far.
            held_inode: of its file, None for a private table.
        """
        if self._inode_of_table() is None:
            self._write_table(held.content())
        inode = self._inode_of_table()
        # Never opened a second time: closing that again would drop every lock that this process has on it.
        if inode is not None and inode == held_inode:
            os.utime(_TABLE, dir_fd=self._descriptor)  # cleaners of old files go by it
            return held, inode
        file = self._open(_TABLE, os.O_RDWR)
        try:
            opened = os.fstat(file)
            table = VisitTable(mmap.mmap(file, TABLE_SIZE), file)
        except BaseException:
            os.close(file)
            raise
        weakref.finalize(table, os.close, file).atexit = False
        return table, (opened.st_dev, opened.st_ino)

    def _inode_of_table(self) -> tuple[int, int] | None:
        try:
            found = os.stat(_TABLE, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return (found.st_dev, found.st_ino) if found.st_size == TABLE_SIZE else None

    def _write_table(self, content: bytes) -> None:
        """Put a whole table in place; written in full, because a hole that finds no space later kills who touches it."""
        with suppress(FileNotFoundError):  # of a process that was killed here
            os.unlink(_NEW_TABLE, dir_fd=self._descriptor)
        file = self._open(_NEW_TABLE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _write_all(file, content)
            os.rename(_NEW_TABLE, _TABLE, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
        except OSError:
            os.unlink(_NEW_TABLE, dir_fd=self._descriptor)
            raise
        finally:
            os.close(file)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o600, dir_fd=self._descriptor)


def _salt_name(day: int) -> str:
    return f"{_SALT_PREFIX}{day}"


def _open_directory(path: str, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(descriptor)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(descriptor)
        raise PermissionError(f"{path} belongs to another user, or others may enter it")
    return descriptor


def _wait_for_lock(file: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                raise DirectoryBusyError from None
        time.sleep(_RETRY_SECONDS)


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
