from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.visits import shared_directory
from otel_usage.visits.salt import random_salt
from otel_usage.visits.shared_directory import DirectoryBusyError, SharedDirectory, possible_directories
from otel_usage.visits.visit_table import TABLE_SIZE, TableBrokenError, VisitTable

NOW, TIMEOUT = 1_800_000_000_000, 1000.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "visits")


def open_table(path: str, held: VisitTable | None = None, inode: tuple[int, int] | None = None) -> VisitTable:
    with SharedDirectory.locked(path) as directory:
        return directory.open_table(held or VisitTable.private(), inode)[0]


def test_the_directory_and_all_in_it_are_ours_alone(path: str) -> None:
    with SharedDirectory.locked(path) as directory:
        directory.keep_salt(1, random_salt())
        directory.open_table(VisitTable.private(), None)

    assert Path(path).stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in Path(path).iterdir()} == {0o600}


def test_a_directory_that_others_may_enter_is_refused(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o750)

    with pytest.raises(PermissionError, match="belongs to another user"), SharedDirectory.locked(path):
        pass
    assert os.listdir(path) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a directory away")
def test_a_directory_of_another_user_is_refused(path: str) -> None:
    os.mkdir(path, 0o700)
    os.chown(path, 12345, 12345)

    with pytest.raises(PermissionError, match="belongs to another user"), SharedDirectory.locked(path):
        pass
    assert os.listdir(path) == []


def test_a_symbolic_link_in_the_place_of_the_directory_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    os.symlink(tmp_path / "elsewhere", path)

    with pytest.raises(NotADirectoryError), SharedDirectory.locked(path):
        pass
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_refused_directory_leaves_no_file_open(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o777)
    before = len(os.listdir("/dev/fd"))

    for _ in range(20):
        with pytest.raises(PermissionError), SharedDirectory.locked(path):
            pass

    assert (
        len(os.listdir("/dev/fd")) < before + 20
    )  # what other tests left behind may be closed or opened meanwhile


def test_a_salt_is_read_back_until_it_is_removed(path: str) -> None:
    salt = random_salt()
    with SharedDirectory.locked(path) as directory:
        directory.keep_salt(7, salt)
        directory.keep_salt(8, random_salt())
        assert directory.read_salt(7) == salt

        directory.remove_salts({8, 9})

        assert directory.read_salt(7) is None
        assert directory.read_salt(8) is not None
    assert set(os.listdir(path)) == {"lock", "salt-8"}


@pytest.mark.parametrize("content", [b"", b"short", bytes(33), bytes(100_000)])
def test_a_broken_salt_is_removed_and_counts_as_none(path: str, content: bytes) -> None:
    with SharedDirectory.locked(path) as directory:
        (Path(path) / "salt-7").write_bytes(content)

        assert directory.read_salt(7) is None
        directory.keep_salt(7, random_salt())


def test_a_salt_that_is_there_is_never_overwritten(path: str) -> None:
    with SharedDirectory.locked(path) as directory:
        directory.keep_salt(7, random_salt())

        with pytest.raises(FileExistsError):
            directory.keep_salt(7, random_salt())


def test_a_table_is_shared_with_who_opens_it_later(path: str) -> None:
    first, _ = open_table(path).continue_or_open(b"v" * 16, NOW, TIMEOUT)

    assert open_table(path).continue_or_open(b"v" * 16, NOW, TIMEOUT) == (first, False)


def test_a_table_whose_file_is_still_there_is_kept(path: str) -> None:
    with SharedDirectory.locked(path) as directory:
        table, inode = directory.open_table(VisitTable.private(), None)

        assert directory.open_table(table, inode) == (table, inode)


def test_a_deleted_table_comes_back_with_its_visits(path: str) -> None:
    with SharedDirectory.locked(path) as directory:
        held, inode = directory.open_table(VisitTable.private(), None)
    first, _ = held.continue_or_open(b"v" * 16, NOW, TIMEOUT)
    os.unlink(f"{path}/visits-1")

    table = open_table(path, held, inode)

    assert table is not held
    assert table.continue_or_open(b"v" * 16, NOW, TIMEOUT) == (first, False)


def test_a_truncated_table_is_never_copied(path: str) -> None:
    with SharedDirectory.locked(path) as directory:
        held, inode = directory.open_table(VisitTable.private(), None)
        os.truncate(f"{path}/visits-1", 10)

        with pytest.raises(TableBrokenError):
            directory.open_table(held, inode)


@pytest.mark.parametrize("size", [0, 1, TABLE_SIZE - 1, TABLE_SIZE + 1])
def test_a_table_of_another_size_is_replaced(path: str, size: int) -> None:
    os.mkdir(path, 0o700)
    with open(f"{path}/visits-1", "wb") as file:
        file.truncate(size)

    open_table(path).continue_or_open(b"v" * 16, NOW, TIMEOUT)

    assert os.stat(f"{path}/visits-1").st_size == TABLE_SIZE


def test_what_a_killed_process_left_half_written_is_in_nobodys_way(path: str) -> None:
    os.mkdir(path, 0o700)
    (Path(path) / "visits-1.new").write_bytes(b"half")

    open_table(path)

    assert set(os.listdir(path)) == {"lock", "visits-1"}


def test_a_table_that_is_given_up_closes_its_files(path: str) -> None:
    open_table(path)
    before = len(os.listdir("/dev/fd"))

    for _ in range(20):
        open_table(path)

    assert len(os.listdir("/dev/fd")) < before + 20


def test_a_directory_that_another_process_keeps_is_busy(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_directory, "_PATIENCE_SECONDS", 0.05)
    code = (
        "import sys; from otel_usage.visits.shared_directory import SharedDirectory\n"
        "with SharedDirectory.locked(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(DirectoryBusyError), SharedDirectory.locked(path):
            pass

        holder.kill()
        holder.wait(30)
        with SharedDirectory.locked(path) as directory:
            assert directory.read_salt(1) is None


def test_the_runtime_directory_comes_first_and_a_relative_one_counts_for_nothing() -> None:
    first, *others = possible_directories("shop", "/run/user/1000")

    assert first.startswith("/run/user/1000/otel-usage-")
    assert others[0].startswith("/dev/shm/otel-usage-")
    assert possible_directories("shop", "") == possible_directories("shop", "run/user") == others


def test_each_service_has_a_directory_of_its_own() -> None:
    names = ("shop", "blog", "", "../../etc", "sh\udcffop")

    paths = [possible_directories(name, "/run")[0] for name in names]

    assert len(set(paths)) == len(names)
    assert {os.path.dirname(path) for path in paths} == {"/run"}
