"""What can go wrong with salts, files, clocks and threads: it never is an error, and costs a visit at worst."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_usage.model import RequestFacts
from otel_usage.visits import cookieless, shared_state
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.manager import VisitRequest
from otel_usage.visits.salt import DAY_MS
from otel_usage.visits.shared_directory import possible_directories
from tests.visits.cookieless_managers import (
    AGENT,
    cookieless_manager,
    files_of,
    runtime_directory,
    visit,
)
from tests.visits.cookies import Clock

__all__ = ["runtime_directory"]

MIDNIGHT = 20_834 * DAY_MS
TODAY, TOMORROW = 20_834, 20_835
pytestmark = pytest.mark.usefixtures("runtime_directory")


@pytest.fixture
def clock() -> Clock:
    return Clock(MIDNIGHT + 8 * 3_600_000)


@pytest.fixture
def manager(clock: Clock) -> Iterator[CookielessVisitManager]:
    with cookieless_manager(clock) as manager:
        yield manager


def test_a_restarted_worker_goes_on_with_the_visits(clock: Clock) -> None:
    with cookieless_manager(clock) as manager:
        first = visit(manager)
    with cookieless_manager(clock) as manager:
        assert visit(manager) == first._replace(is_new=False)


def test_two_apps_of_one_service_share_their_visits(manager: CookielessVisitManager, clock: Clock) -> None:
    first = visit(manager)

    with cookieless_manager(clock) as other:
        assert visit(other) == first._replace(is_new=False)


def test_two_services_know_nothing_of_each_others_visitors(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    first = visit(manager)

    with cookieless_manager(clock, service_name="blog") as other:
        later = visit(other)

    assert later.is_new
    assert later.visitor_id != first.visitor_id


def test_files_deleted_under_us_come_back_with_salts_and_visits(
    manager: CookielessVisitManager, clock: Clock, runtime_directory: Path
) -> None:
    first = visit(manager)
    for path in runtime_directory.iterdir():
        shutil.rmtree(path)
    assert visit(manager) == first._replace(is_new=False)

    manager.refresh()

    assert files_of(runtime_directory) == {"lock", "visits-1", f"salt-{TODAY}", f"salt-{TOMORROW}"}
    assert visit(manager) == first._replace(is_new=False)
    manager.close(10)
    with cookieless_manager(clock) as another_worker:
        assert visit(another_worker) == first._replace(is_new=False)


def test_a_truncated_table_costs_the_open_visits_and_is_repaired(
    manager: CookielessVisitManager, runtime_directory: Path
) -> None:
    visit(manager)
    (table,) = runtime_directory.glob("*/visits-1")
    os.truncate(table, 100)

    second = visit(manager)
    manager.refresh()

    assert second.is_new
    assert visit(manager) == second._replace(is_new=False)
    assert not manager._shared.view.table.is_private
    assert table.stat().st_size > 100


def test_broken_salts_are_replaced_by_those_in_memory(
    manager: CookielessVisitManager, clock: Clock, runtime_directory: Path
) -> None:
    first = visit(manager)
    (salt,) = runtime_directory.glob(f"*/salt-{TODAY}")
    salt.write_bytes(b"broken")

    manager.refresh()

    assert visit(manager) == first._replace(is_new=False)
    assert len(salt.read_bytes()) == 32


def test_a_salt_that_another_worker_put_in_place_is_adopted(
    manager: CookielessVisitManager, runtime_directory: Path
) -> None:
    (salt,) = runtime_directory.glob(f"*/salt-{TODAY}")
    salt.write_bytes(bytes(32))

    manager.refresh()

    assert manager._shared.view.salts[TODAY].raw == bytes(32)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Leave no directory that can be used, and return the one that can be repaired."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        shared_state, "possible_directories", lambda *_: [str(tmp_path / "file" / "a"), str(tmp_path / "dir")]
    )
    os.symlink("/nonexistent", tmp_path / "dir")
    return tmp_path / "dir"


def test_without_any_directory_each_worker_counts_its_own_and_says_so_once(
    clock: Clock, nowhere: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with cookieless_manager(clock) as manager:
        first = visit(manager)
        manager.refresh()
        clock.move(seconds=1200)

        assert visit(manager) == first._replace(is_new=False)
        assert manager._shared.view.table.is_private
    assert caplog.messages == [
        "Workers cannot share their visits (Not a directory), so each counts its own. "
        "Give them a directory that they can write, by XDG_RUNTIME_DIR or TMPDIR."
    ]


def test_without_any_directory_salts_rotate_all_the_same(clock: Clock, nowhere: Path) -> None:
    with cookieless_manager(clock) as manager:
        clock.now_ms = MIDNIGHT + DAY_MS - 1
        first = visit(manager)
        salt = weakref.ref(manager._shared.view.salts[TODAY])
        clock.now_ms += 1000
        assert visit(manager).key == first.key
        clock.now_ms += 1_200_000
        manager.refresh()
        gc.collect()

        assert salt() is None
        assert visit(manager).key == first.key
        assert visit(manager, "192.0.2.9").is_new


def test_a_directory_that_can_be_used_again_is_shared_with_the_visits_so_far(
    clock: Clock, nowhere: Path
) -> None:
    with cookieless_manager(clock) as manager:
        first = visit(manager)
        nowhere.unlink()

        manager.refresh()

        assert not manager._shared.view.table.is_private
        assert visit(manager) == first._replace(is_new=False)


def test_a_place_that_cannot_be_used_is_passed_over_for_the_next(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["/dev/null/visits", str(tmp_path / "second")]
    monkeypatch.setattr(shared_state, "possible_directories", lambda *_: places)

    with cookieless_manager(clock) as manager:
        assert visit(manager).is_new
        assert not manager._shared.view.table.is_private
    assert (tmp_path / "second" / "visits-1").exists()


@pytest.fixture
def no_space() -> Iterator[None]:
    """Let no file of this process grow beyond 1 MiB, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("no_space")
def test_a_full_disk_leaves_no_half_a_table_and_each_worker_counts_its_own(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_state, "possible_directories", lambda *_: [str(tmp_path / "visits")])

    with cookieless_manager(clock) as manager:
        first = visit(manager)
        assert visit(manager) == first._replace(is_new=False)
        assert manager._shared.view.table.is_private

    assert os.listdir(tmp_path / "visits") == ["lock"]
    assert "File too large" in caplog.text


def test_outdated_salts_are_removed_from_every_place_that_was_ever_used(
    manager: CookielessVisitManager, runtime_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    second.mkdir(mode=0o700)
    (second / f"salt-{TODAY - 1}").write_bytes(bytes(32))
    first = possible_directories("shop", str(runtime_directory))[0]
    monkeypatch.setattr(shared_state, "possible_directories", lambda *_: [first, str(second)])

    manager.refresh()

    assert os.listdir(second) == ["lock"]


def test_a_clock_that_goes_back_over_midnight_goes_on_with_the_visit(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    clock.now_ms = MIDNIGHT + DAY_MS - 1
    first = visit(manager)
    clock.now_ms += 1000
    manager.refresh()
    visit(manager)
    clock.now_ms -= 1000
    manager.refresh()

    assert visit(manager) == first._replace(is_new=False)


@pytest.mark.parametrize("now_ms", [0, 1, -5, -(10**15), 10**16])
def test_a_clock_that_went_wrong_is_never_an_error(
    manager: CookielessVisitManager, clock: Clock, now_ms: int
) -> None:
    visit(manager)
    clock.now_ms = now_ms

    assert visit(manager).is_new
    assert not visit(manager).is_new


def test_a_request_of_an_unknown_address_has_no_visit_and_that_is_told_once(
    manager: CookielessVisitManager, caplog: pytest.LogCaptureFixture
) -> None:
    facts = RequestFacts("GET", "http", "shop.example", "/", "", "", user_agent=AGENT)

    states = [manager.visit_for_request(VisitRequest(facts)) for _ in range(3)]

    assert states == [None] * 3
    assert caplog.messages == [
        "The client address is unknown, so a request has no visit. "
        "Behind a proxy or on a Unix socket, set OTEL_USAGE_TRUSTED_PROXIES."
    ]


def test_a_request_after_the_end_still_has_its_visit(clock: Clock) -> None:
    with cookieless_manager(clock) as manager:
        first = visit(manager)
    assert visit(manager) == first._replace(is_new=False)

    clock.now_ms += 5 * DAY_MS
    assert visit(manager).is_new


def test_closing_ends_the_thread(clock: Clock) -> None:
    with cookieless_manager(clock) as manager:
        thread = manager._shared._thread
        assert thread is not None
        assert thread.is_alive()
    manager.close()

    assert not thread.is_alive()


def test_a_system_without_threads_left_still_finds_visits(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(cookieless, "_START_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(shared_state, "_SALT_PATIENCE_SECONDS", 0.05)
    with cookieless_manager(clock) as manager:
        first = visit(manager)

        assert visit(manager) == first._replace(is_new=False)


def test_no_address_and_no_agent_reaches_the_log(
    nowhere: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with cookieless_manager(clock) as manager:
        facts = RequestFacts("GET", "http", "h", "/secret", "", "192.0.2.77", user_agent="Spy/1")
        manager.visit_for_request(VisitRequest(facts, "192.0.2.77"))
        manager.visit_for_request(VisitRequest(facts))

    assert len(caplog.messages) == 2
    assert not any(word in text for text in caplog.messages for word in ("192.0.2", "Spy", "secret"))
