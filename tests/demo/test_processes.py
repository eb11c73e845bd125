"""Children are waited for by what they say, and none survives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from otel_usage.demo.processes import Child, ChildError
from tests.serving import wait_for

TALKS = "print('ready port=4711', flush=True); import time; time.sleep(60)"
IGNORES_THE_SIGNAL = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
HAS_A_CHILD = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('child', child.pid, flush=True); time.sleep(60)"
)


def start(code: str, tmp_path: Path) -> Child:
    return Child("the child", [sys.executable, "-c", code], log_path=tmp_path / "child.log")


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits for init to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_line_that_is_waited_for_comes_back_as_a_match(tmp_path: Path) -> None:
    with start(TALKS, tmp_path) as child:
        assert child.wait_for_line(r"^ready port=(\d+)", timeout_seconds=60)[1] == "4711"


def test_a_child_that_ends_early_is_an_error_with_its_code(tmp_path: Path) -> None:
    with (
        start("import sys; print('no'); sys.exit(3)", tmp_path) as child,
        pytest.raises(ChildError, match="the child ended with code 3 before it was ready"),
    ):
        child.wait_for_line("^ready", timeout_seconds=60)


def test_a_child_that_says_nothing_is_an_error_in_time(tmp_path: Path) -> None:
    with (
        start("import time; time.sleep(60)", tmp_path) as child,
        pytest.raises(ChildError, match=r"the child was not ready after 0\.2 seconds"),
    ):
        child.wait_for_line("^ready", timeout_seconds=0.2)


def test_a_program_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"Cannot start the child \(/nowhere/program\): No such file"):
        Child("the child", ["/nowhere/program"], log_path=tmp_path / "child.log")


def test_an_exception_ends_the_child(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), start(TALKS, tmp_path) as child:
        raise RuntimeError

    assert not child.is_running()


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    child = start(IGNORES_THE_SIGNAL, tmp_path)
    child.wait_for_line("ready", timeout_seconds=60)

    assert child.stop(grace_seconds=0.2) is None
    assert not child.is_running()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads /proc")
def test_the_children_of_a_child_end_with_it(tmp_path: Path) -> None:
    with start(HAS_A_CHILD, tmp_path) as child:
        grandchild = int(child.wait_for_line(r"child (\d+)", timeout_seconds=60)[1])
        assert is_alive(grandchild)

    wait_for(lambda: not is_alive(grandchild), "the end of the child's child")


def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    child = start(TALKS, tmp_path)
    child.wait_for_line("ready", timeout_seconds=60)

    assert child.stop() == child.stop() == -15
