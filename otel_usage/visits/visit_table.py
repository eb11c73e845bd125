"""The visits that are under way on this host: a hash table of fixed size in memory that all workers share.

8192 buckets of 16 slots, 8 MiB. The visitor's pseudonym picks the bucket. In a bucket lie, one after the other,
the 16 pseudonyms, the 16 times of the last request (milliseconds since the epoch, 0 in an empty slot), and the
16 records of visitor id, visit key and start. A new visit takes the slot that was seen longest ago: one that is
empty, else one whose visit is over, else that of the oldest visit, which is then cut short.
"""

from __future__ import annotations

from mmap import mmap
from struct import Struct
from typing import NamedTuple

from otel_usage.visits.keys import key_generator
from otel_usage.visits.salt import DAY_MS
from otel_usage.visits.stripe_lock import StripeLock

_SLOTS = 16
_BUCKETS = 8192
_VISITORS_SIZE = 16 * _SLOTS
_SEEN, _ALL_SEEN = Struct("<q"), Struct(f"<{_SLOTS}q")
_RECORD = Struct("<16s16sq")
_RECORDS_OFFSET = _VISITORS_SIZE + _ALL_SEEN.size
_BUCKET_SIZE = _RECORDS_OFFSET + _RECORD.size * _SLOTS
TABLE_SIZE = _BUCKETS * _BUCKET_SIZE

_STRIPES = 256
"""Locks; a bucket has the one of its number modulo this, on the byte of that number."""
_LONGEST_VISIT_MS = 3 * DAY_MS
"""No visit lasts over two midnights; a record that says so is broken."""


class OpenVisit(NamedTuple):
    """A visit that is under way."""

    visitor_id: bytes
    """16 bytes: the pseudonym of the day on which the visit began."""
    key: bytes
    """16 bytes."""
    started_ms: int


class TableBrokenError(Exception):
    """The file behind the table has another size than it must have; touching it could end the process."""


class VisitTable:
    """Finds and opens visits, also for several processes at once.

    Args:
        buffer: `TABLE_SIZE` bytes, zeroed or of an earlier table; whatever else they hold is never an error.
        lock_file: descriptor of the file that is mapped, None for a table of this process alone.
    """

    def __init__(self, buffer: bytearray | mmap, lock_file: int | None = None) -> None:
        self._buffer = buffer
        self._lock_file = lock_file
        self._size = buffer.size if isinstance(buffer, mmap) else None
        self.renew_locks()

    @classmethod
    def private(cls) -> VisitTable:
        """Return an empty table of this process alone; only the pages that are used take memory."""
        return cls(bytearray(TABLE_SIZE))

    @property
    def is_private(self) -> bool:
        """Whether no other process sees the table."""
        return self._size is None

    def renew_locks(self) -> None:
        """Take new locks: those of threads that a fork has left behind in the parent are never released."""
        self._locks = [StripeLock(self._lock_file, number) for number in range(_STRIPES)]

    def content(self) -> bytes:
        """Return a copy of the whole table; a visit that changes meanwhile may be missing in it.

        Raises:
            TableBrokenError: the file was truncated.
        """
        self._check_size()
        return bytes(memoryview(self._buffer))

    def continue_visit(self, visitor: bytes, now_ms: int, timeout_ms: float) -> OpenVisit | None:
        """Return the visit of a visitor and note that it was seen now; None when it has none or it is over.

        Raises:
            TableBrokenError: the file was truncated.
        """
        self._check_size()
        bucket = int.from_bytes(visitor[:4], "little") % _BUCKETS
        base = bucket * _BUCKET_SIZE
        visit = self._continue(base, visitor, now_ms, timeout_ms)
        if visit is None:
            with self._locks[bucket % _STRIPES]:
                visit = self._continue(base, visitor, now_ms, timeout_ms)
        return visit

    def continue_or_open(
        self, visitor: bytes, now_ms: int, timeout_ms: float, carried: OpenVisit | None = None
    ) -> tuple[OpenVisit, bool]:
        """Return the visit of a visitor and whether it is new: of parallel first requests one is told so.

        Args:
            visitor: pseudonym, 16 bytes.
            now_ms: milliseconds since the epoch.
            timeout_ms: longest pause within a visit.
            carried: goes on under this pseudonym if it has no visit yet; that is no new visit.

        Raises:
            TableBrokenError: the file was truncated.
        """
        self._check_size()
        bucket = int.from_bytes(visitor[:4], "little") % _BUCKETS
        base = bucket * _BUCKET_SIZE
        visit = self._continue(base, visitor, now_ms, timeout_ms)
        if visit is not None:
            return visit, False
        with self._locks[bucket % _STRIPES]:
            visit = self._continue(base, visitor, now_ms, timeout_ms)
            if visit is not None:
                return visit, False
            visit = carried or OpenVisit(visitor, key_generator.new_key(), now_ms)
            self._write(base, visitor, visit, now_ms, timeout_ms)
            return visit, carried is None

    def _check_size(self) -> None:
        if self._size is None:
            return
        try:
            size = self._size()
        except OSError:  # somebody has closed all files of the process
            size = 0
        if size != TABLE_SIZE:
            raise TableBrokenError

    def _slot_of(self, base: int, visitor: bytes) -> int | None:
        place = self._buffer.find(visitor, base, base + _VISITORS_SIZE) - base
        return place >> 4 if place >= 0 and not place & 15 else None

    def _continue(self, base: int, visitor: bytes, now_ms: int, timeout_ms: float) -> OpenVisit | None:
        """Return the visit of a visitor and note that it was seen now; None also while it is being written.

        Needs no lock, which is two system calls, and at each a thread may lose its turn to a busy one. What was read
        counts only if pseudonym and time still stand there afterwards, and who writes takes the time away first.
        """
        buffer = self._buffer
        slot = self._slot_of(base, visitor)
        if slot is None:
            return None
        visitor_at, seen_at = base + slot * 16, base + _VISITORS_SIZE + slot * 8
        seen = _SEEN.unpack_from(buffer, seen_at)
        # The difference counts both ways: the clock may have been set back.
        if abs(now_ms - seen[0]) > timeout_ms:
            return None
        visit = OpenVisit(*_RECORD.unpack_from(buffer, base + _RECORDS_OFFSET + slot * _RECORD.size))
        if abs(now_ms - visit.started_ms) > _LONGEST_VISIT_MS:
            return None
        if buffer[visitor_at : visitor_at + 16] != visitor or _SEEN.unpack_from(buffer, seen_at) != seen:
            return None
        _SEEN.pack_into(buffer, seen_at, now_ms)
        return visit

    def _write(self, base: int, visitor: bytes, visit: OpenVisit, now_ms: int, timeout_ms: float) -> None:
        slot = self._slot_of(base, visitor)
        if slot is None:
            slot = self._slot_to_give_up(base, now_ms + timeout_ms)
        seen_at = base + _VISITORS_SIZE + slot * 8
        # Empty until all of it is there, for a process that is killed in between.
        _SEEN.pack_into(self._buffer, seen_at, 0)
        self._buffer[base + slot * 16 : base + slot * 16 + 16] = visitor
        _RECORD.pack_into(self._buffer, base + _RECORDS_OFFSET + slot * _RECORD.size, *visit)
        _SEEN.pack_into(self._buffer, seen_at, now_ms)

    def _slot_to_give_up(self, base: int, latest_ms: float) -> int:
        seen = _ALL_SEEN.unpack_from(self._buffer, base + _VISITORS_SIZE)
        if 0 in seen:
            return seen.index(0)
        # A time that is far ahead was written by a clock that went wrong, or by nobody.
        ages = [at if at <= latest_ms else 0 for at in seen]
        return ages.index(min(ages))
