"""Which directories `otel-usage serve` takes for its own; it would overwrite files of any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_usage.data_directory import MARKER
from tests.serving import spawn_serve, start_serve

PORTS = ("--http-port", "0", "--otlp-port", "0")


def refusal(data: Path | str) -> str:
    """Return the one line with which a start is refused as wrong usage."""
    process = spawn_serve(data, *PORTS)
    out, err = process.communicate(timeout=180)
    assert (process.returncode, out) == (2, "")
    return err


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }


def test_a_directory_with_other_things_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "file").write_text("precious")
    (tmp_path / "status").write_text("precious")
    before = contents(tmp_path)

    line = refusal(tmp_path)

    assert line == (
        f"otel-usage: The directory {tmp_path} is not empty and no data directory of otel-usage; "
        "choose another with --data\n"
    )
    assert contents(tmp_path) == before


def test_a_hidden_file_is_a_thing_too(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("precious")

    assert "is not empty" in refusal(tmp_path)


@pytest.mark.parametrize("present", [(), ("lost+found",)], ids=["empty", "an empty disk"])
def test_an_empty_directory_is_taken_and_marked(tmp_path: Path, present: tuple[str, ...]) -> None:
    for name in present:
        (tmp_path / name).mkdir()

    code = start_serve(tmp_path).stop()

    assert code == 0
    assert (tmp_path / MARKER).is_file()


def test_a_directory_of_an_older_version_is_taken_and_marked(tmp_path: Path) -> None:
    start_serve(tmp_path).stop()
    (tmp_path / MARKER).unlink()

    code = start_serve(tmp_path).stop()

    assert code == 0
    assert (tmp_path / MARKER).is_file()


def test_a_start_that_was_cut_off_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    (tmp_path / "tmp").mkdir()

    assert start_serve(tmp_path).stop() == 0


def test_no_directory_at_all_is_not_the_working_directory() -> None:
    assert "--data" in refusal("").splitlines()[-1]


def test_the_ready_line_tells_the_directory_without_detours(tmp_path: Path) -> None:
    server = start_serve(tmp_path / "a" / ".." / "data")
    server.stop()

    assert str(server.data) == str(tmp_path / "data")
