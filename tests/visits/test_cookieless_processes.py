"""Workers in real processes: started one by one, or forked from a parent that has served already."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from otel_usage.visits.salt import DAY_MS
from tests.visits.cookieless_managers import cookieless_manager, files_of, runtime_directory, visit
from tests.visits.cookieless_workers import VISITORS
from tests.visits.cookies import Clock

__all__ = ["runtime_directory"]

ROOT = Path(__file__).parents[2]
MIDNIGHT = 20_834 * DAY_MS
NOON = MIDNIGHT + DAY_MS // 2
pytestmark = pytest.mark.usefixtures("runtime_directory")


def run_workers(clocks: list[float], children: int = 0) -> list[tuple[str, str, str]]:
    """Start a process for each clock, let them all begin at once, and return what they print."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.visits.cookieless_workers", str(now), str(children)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
            )
            for now in clocks
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        outputs = [worker.communicate(timeout=120)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * len(workers)
    lines = [line.split(" ") for output in outputs for line in output.splitlines()]
    return [(number, key, is_new) for number, key, is_new in lines]


@pytest.mark.parametrize(
    ("clocks", "children"),
    [
        pytest.param([NOON] * 4, 0, id="started one by one"),
        pytest.param([NOON], 4, id="forked after the first request"),
        pytest.param([NOON, NOON], 2, id="both"),
    ],
)
def test_parallel_first_requests_on_several_workers_are_one_visit_and_one_of_them_is_new(
    clocks: list[float], children: int
) -> None:
    lines = run_workers(clocks, children)

    keys = defaultdict(set)
    for number, key, _ in lines:
        keys[number].add(key)
    news = Counter(number for number, _, is_new in lines if is_new == "1")
    assert len(lines) == VISITORS * 2 * 4
    assert {len(found) for found in keys.values()} == {1}
    assert news == Counter(keys.keys())
    assert len({key for found in keys.values() for key in found}) == VISITORS


def test_workers_that_start_at_once_make_one_salt_and_one_table(runtime_directory: Path) -> None:
    lines = run_workers([NOON] * 6)

    assert len({key for _, key, _ in lines}) == VISITORS
    assert files_of(runtime_directory) == {"lock", "visits-1", "salt-20834", "salt-20835"}


def test_a_visit_survives_midnight_on_a_worker_that_was_started_after_it() -> None:
    before = run_workers([MIDNIGHT - 10_000])
    after = run_workers([MIDNIGHT + 1_000_000, MIDNIGHT + 1_000_000])

    assert {(number, key) for number, key, _ in after} == {(number, key) for number, key, _ in before}
    assert {is_new for _, _, is_new in after} == {"0"}


def test_workers_on_both_sides_of_midnight_agree() -> None:
    first = run_workers([MIDNIGHT - 1])

    lines = run_workers([MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1, MIDNIGHT - 1])

    assert {(number, key, "0") for number, key, _ in first} == set(lines)


def test_a_salt_that_is_over_is_removed_by_whoever_comes(runtime_directory: Path) -> None:
    run_workers([NOON])

    with cookieless_manager(Clock(NOON + DAY_MS)) as manager:
        assert visit(manager).is_new

    assert files_of(runtime_directory) == {"lock", "visits-1", "salt-20835", "salt-20836"}


def test_a_killed_worker_leaves_its_visits_to_the_others() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.visits.cookieless_workers", str(NOON), "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        worker.kill()

    with cookieless_manager(Clock(NOON)) as manager:
        assert not visit(manager, "198.51.100.1").is_new
        assert visit(manager, "198.51.100.2").is_new


FORKING = """
import os, sys
from contextlib import ExitStack
from tests.visits.cookieless_managers import cookieless_manager, visit
from tests.visits.cookies import Clock

with cookieless_manager(Clock(float(sys.argv[1]))) as manager:
    first, parent = visit(manager), manager._shared._thread
    with ExitStack() as held:
        for lock in (manager._shared._refreshing, manager._shared._changing, *manager._shared.view.table._locks):
            held.enter_context(lock)
        pid = os.fork()
        if pid == 0:
            # The kernel's locks are the parent's still, and given up after a moment.
            again, thread = visit(manager), manager._shared._thread
            manager.refresh()
            print(again == first._replace(is_new=False), thread is not parent, thread.is_alive(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
"""


def test_a_child_that_is_forked_in_the_middle_of_everything_goes_on_with_a_thread_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(NOON)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )

    assert done.stdout == "True True True\n"
