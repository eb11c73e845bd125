from __future__ import annotations

import stat
from pathlib import Path

import pytest

from otel_usage.server import private_directory
from otel_usage.server.private_directory import PrivateDirectory


@pytest.fixture
def tmpfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "shm"
    directory.mkdir()
    monkeypatch.setattr(private_directory, "_TMPFS", directory)
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def test_only_its_owner_may_enter_and_read(tmpfs: Path, data: Path) -> None:
    directory = PrivateDirectory(data)

    with directory.file_of([b"a", b"b"], 2) as path:
        assert path.read_bytes() == b"ab"
        assert (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
    assert directory.path.parent == tmpfs
    assert not path.exists()


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmpfs: Path, data: Path) -> None:
    (PrivateDirectory(data).path / "body-7").write_text("left")

    assert list(PrivateDirectory(data).path.iterdir()) == []


def test_a_trap_laid_on_tmpfs_is_not_stepped_into(tmpfs: Path, data: Path, tmp_path: Path) -> None:
    name = PrivateDirectory(data).path.name
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (tmpfs / name).rmdir()
    (tmpfs / name).symlink_to(elsewhere)

    directory = PrivateDirectory(data)

    assert directory.path == data / "bodies"
    assert (elsewhere / "precious").exists()


def test_a_directory_that_others_may_enter_is_not_used(tmpfs: Path, data: Path) -> None:
    path = PrivateDirectory(data).path
    path.chmod(0o755)

    assert PrivateDirectory(data).path == data / "bodies"


def test_a_body_that_does_not_fit_tmpfs_goes_to_the_data_directory(tmpfs: Path, data: Path) -> None:
    directory = PrivateDirectory(data)

    with directory.file_of([b"small"], 10**18) as path:
        assert path.parent == data / "bodies"


def test_nothing_is_left_when_it_is_removed(tmpfs: Path, data: Path) -> None:
    PrivateDirectory(data).remove()

    assert (list(tmpfs.iterdir()), list(data.iterdir())) == ([], [])
