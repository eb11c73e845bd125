from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_usage.visits import stripe_lock
from otel_usage.visits.visit_table import TABLE_SIZE, OpenVisit, TableBrokenError, VisitTable

NOW, TIMEOUT = 1_800_000_000_000, 1000.0
BUCKETS = 8192


@pytest.fixture
def table() -> VisitTable:
    return VisitTable.private()


def in_one_bucket(number: int) -> bytes:
    """Return a pseudonym of bucket 1; each number makes another one."""
    return (BUCKETS * number + 1).to_bytes(4, "little") + bytes(11) + b"v"


def open_visit(table: VisitTable, visitor: bytes, now: int = NOW) -> tuple[OpenVisit, bool]:
    return table.continue_or_open(visitor, now, TIMEOUT)


def test_the_first_request_opens_and_the_next_ones_continue(table: VisitTable) -> None:
    first, is_new = open_visit(table, b"v" * 16)

    assert is_new
    assert first.visitor_id == b"v" * 16
    assert first.started_ms == NOW
    assert open_visit(table, b"v" * 16, NOW + 1000) == (first, False)
    assert open_visit(table, b"v" * 16, NOW + 2000) == (first, False)
    assert table.continue_visit(b"v" * 16, NOW + 3000, TIMEOUT) == first


def test_a_visit_that_is_over_is_not_continued(table: VisitTable) -> None:
    first, _ = open_visit(table, b"v" * 16)

    assert table.continue_visit(b"v" * 16, NOW + 1001, TIMEOUT) is None
    second, is_new = open_visit(table, b"v" * 16, NOW + 1001)
    assert is_new
    assert second.key != first.key


def test_a_carried_visit_goes_on_under_the_other_pseudonym_and_is_not_new(table: VisitTable) -> None:
    first, _ = open_visit(table, b"v" * 16)

    assert table.continue_or_open(b"w" * 16, NOW, TIMEOUT, first) == (first, False)
    assert open_visit(table, b"w" * 16) == (first, False)


def test_a_full_bucket_gives_up_what_was_seen_longest_ago(table: VisitTable) -> None:
    visits = [open_visit(table, in_one_bucket(number), NOW + number)[0] for number in range(16)]
    open_visit(table, in_one_bucket(0), NOW + 16)

    assert open_visit(table, in_one_bucket(16), NOW + 17)[1]

    assert table.continue_visit(in_one_bucket(1), NOW + 18, TIMEOUT) is None
    assert table.continue_visit(in_one_bucket(0), NOW + 18, TIMEOUT) == visits[0]
    for number in range(2, 16):
        assert table.continue_visit(in_one_bucket(number), NOW + 18, TIMEOUT) == visits[number]


def test_far_more_visitors_than_slots_take_no_more_memory(table: VisitTable) -> None:
    chance = random.Random(1)
    for number in range(50_000):
        open_visit(table, chance.randbytes(16), NOW + number)

    assert len(table.content()) == TABLE_SIZE


def test_visitors_up_to_a_third_of_the_slots_lose_next_to_nothing(table: VisitTable) -> None:
    chance = random.Random(2)
    visitors = [chance.randbytes(16) for _ in range(43_690)]
    for visitor in visitors:
        open_visit(table, visitor)

    lost = sum(table.continue_visit(visitor, NOW, TIMEOUT) is None for visitor in visitors)

    assert lost / len(visitors) < 0.0005


@pytest.mark.parametrize("seed", range(3))
def test_a_table_full_of_rubbish_is_never_an_error(seed: int) -> None:
    table = VisitTable(bytearray(random.Random(seed).randbytes(TABLE_SIZE)))

    for number in range(100):
        first, is_new = open_visit(table, in_one_bucket(number))
        assert is_new
        assert open_visit(table, in_one_bucket(number)) == (first, False)


def test_a_record_with_an_impossible_start_is_no_visit(table: VisitTable) -> None:
    impossible = OpenVisit(b"v" * 16, b"k" * 16, -(2**62))
    table.continue_or_open(b"v" * 16, NOW, TIMEOUT, impossible)

    assert open_visit(table, b"v" * 16)[1]


def test_a_clock_set_back_a_little_goes_on_with_the_visit_and_a_lot_opens_another(table: VisitTable) -> None:
    first, _ = open_visit(table, b"v" * 16)

    assert open_visit(table, b"v" * 16, NOW - 1000) == (first, False)
    assert open_visit(table, b"v" * 16, NOW - 2001)[1]


def test_slots_of_a_clock_that_was_far_ahead_are_free_again(table: VisitTable) -> None:
    for number in range(16):
        open_visit(table, in_one_bucket(number), NOW + 10_000_000)

    first = [open_visit(table, in_one_bucket(number))[0] for number in range(100, 116)]

    assert [open_visit(table, in_one_bucket(number))[0] for number in range(100, 116)] == first


@contextmanager
def mapped(path: Path) -> Iterator[VisitTable]:
    file = os.open(path, os.O_RDWR)
    yield VisitTable(mmap.mmap(file, TABLE_SIZE), file)
    os.close(file)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table"
    path.write_bytes(bytes(TABLE_SIZE))
    return path


def test_a_truncated_file_is_told_before_it_is_touched(path: Path) -> None:
    with mapped(path) as table:
        open_visit(table, b"v" * 16)
        os.truncate(path, 4096)

        with pytest.raises(TableBrokenError):
            open_visit(table, b"v" * 16)
        with pytest.raises(TableBrokenError):
            table.continue_visit(b"v" * 16, NOW, TIMEOUT)
        with pytest.raises(TableBrokenError):
            table.content()


def test_a_file_that_somebody_closed_still_finds_visits(path: Path) -> None:
    file = os.open(path, os.O_RDWR)
    table = VisitTable(mmap.mmap(file, TABLE_SIZE), file)
    os.close(file)

    first, _ = open_visit(table, b"v" * 16)

    assert open_visit(table, b"v" * 16) == (first, False)


HOLDER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(file, fcntl.LOCK_EX, 256, 0)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process_that_holds_all_locks(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_locks_of_a_killed_process_are_free(path: Path) -> None:
    with mapped(path) as table, another_process_that_holds_all_locks(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        lock = table._locks[7]

        with lock:
            assert lock._is_held


def test_a_stopped_process_that_holds_a_lock_delays_a_visit_by_a_moment_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_lock, "_GIVEN_UP_SECONDS", 3600.0)
    with mapped(path) as table, another_process_that_holds_all_locks(path) as process:
        process.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        first, is_new = open_visit(table, b"v" * 16)
        for _ in range(100):
            assert open_visit(table, b"v" * 16) == (first, False)

        assert is_new
        # Less than if each had waited.
        assert 0.05 <= time.monotonic() - started < 5.0
