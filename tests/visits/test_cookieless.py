from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_usage.model import RequestFacts
from otel_usage.visits import shared_state
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.loading import find_visit_manager
from otel_usage.visits.manager import VisitRequest
from otel_usage.visits.salt import DAY_MS
from otel_usage.visits.shared_directory import possible_directories
from tests.visits.cookieless_managers import (
    AGENT,
    cookieless_manager,
    files_of,
    runtime_directory,
    state_of,
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


def test_the_setting_names_it() -> None:
    assert isinstance(find_visit_manager("cookieless")(), CookielessVisitManager)


def test_a_visit_is_found_by_address_and_agent(manager: CookielessVisitManager, clock: Clock) -> None:
    first = visit(manager)
    clock.move(seconds=30)

    assert first.is_new
    assert len(bytes.fromhex(first.key)) == len(bytes.fromhex(first.visitor_id)) == 16
    assert first.key != first.visitor_id
    assert visit(manager) == first._replace(is_new=False)


@pytest.mark.parametrize(
    ("address", "agent"),
    [("192.0.2.2", AGENT), ("192.0.2.1", "Mozilla/5.0 Chrome/126.0"), ("2001:db8::1", AGENT)],
)
def test_another_address_or_agent_is_another_visitor(
    manager: CookielessVisitManager, address: str, agent: str
) -> None:
    first, other = visit(manager), visit(manager, address, agent)

    assert other.is_new
    assert other.key != first.key
    assert other.visitor_id != first.visitor_id


def test_no_cookie_is_set_and_none_is_read(manager: CookielessVisitManager) -> None:
    first = state_of(manager)
    second = state_of(manager, cookie="otel_usage_visit=" + "A" * 83)

    assert (first.set_cookie, second.set_cookie) == ("", "")
    assert second.visit == first.visit._replace(is_new=False)


def test_forms_are_neither_read_nor_given_a_ticket(clock: Clock) -> None:
    with cookieless_manager(clock, visit_sources="form,cookie") as manager:
        assert not manager.needs_framework
        assert manager.ticket_for(visit(manager)) == ""


@pytest.mark.parametrize("timeout_seconds", [0.001, 0.05, 0.5, 2.75, 60.0, 1200.0, 25_000.5])
def test_a_visit_lasts_exactly_its_timeout(clock: Clock, timeout_seconds: float) -> None:
    with cookieless_manager(clock, visit_timeout_seconds=timeout_seconds) as manager:
        first = visit(manager)
        clock.move(seconds=timeout_seconds)
        assert visit(manager).key == first.key

        clock.now_ms += timeout_seconds * 1000 + 1
        later = visit(manager)

    assert later.is_new
    assert later.key != first.key
    assert later.visitor_id == first.visitor_id


def test_a_fraction_of_a_millisecond_does_not_end_a_visit_early(clock: Clock) -> None:
    with cookieless_manager(clock, visit_timeout_seconds=0.0105) as manager:
        visit(manager)
        clock.now_ms += 10

        assert not visit(manager).is_new


def test_every_request_moves_the_end_of_the_visit_on(manager: CookielessVisitManager, clock: Clock) -> None:
    first = visit(manager)
    for _ in range(10):
        clock.move(seconds=1200)
        assert visit(manager) == first._replace(is_new=False)


def test_parallel_first_requests_of_threads_are_one_visit(manager: CookielessVisitManager) -> None:
    addresses = [f"192.0.2.{number}" for number in range(100)] * 16

    with ThreadPoolExecutor(16) as threads:
        visits = list(threads.map(lambda address: (address, visit(manager, address)), addresses))

    assert len({(address, each.key) for address, each in visits}) == 100
    assert Counter(address for address, each in visits if each.is_new) == Counter(set(addresses))


# The rotation.


def test_the_salt_of_tomorrow_is_made_today(manager: CookielessVisitManager, runtime_directory: Path) -> None:
    visit(manager)

    assert {f"salt-{TODAY}", f"salt-{TOMORROW}"} == {
        name for name in files_of(runtime_directory) if name.startswith("salt-")
    }


def test_a_visitor_who_comes_back_tomorrow_is_another_one(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    first = visit(manager)
    clock.now_ms = MIDNIGHT + DAY_MS

    later = visit(manager)

    assert later.is_new
    assert later.visitor_id != first.visitor_id


def test_a_visit_survives_midnight_with_its_key_and_visitor(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    clock.now_ms = MIDNIGHT + DAY_MS - 1
    first = visit(manager)
    clock.now_ms += 1_200_000
    manager.refresh()

    assert visit(manager) == first._replace(is_new=False)


def test_a_visit_that_is_over_at_midnight_does_not_come_back(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    clock.now_ms = MIDNIGHT + DAY_MS - 1
    first = visit(manager)
    clock.now_ms += 1_200_001

    later = visit(manager)

    assert later.is_new
    assert later.visitor_id != first.visitor_id


def test_a_visit_goes_on_after_the_salt_that_it_began_with_is_gone(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    clock.now_ms = MIDNIGHT + DAY_MS - 600_000
    first = visit(manager)
    for _ in range(20):
        clock.move(seconds=1000)
        manager.refresh()
        assert visit(manager) == first._replace(is_new=False)

    assert TODAY not in manager._shared.view.salts


def test_who_never_pauses_becomes_another_visitor_at_the_second_midnight(
    manager: CookielessVisitManager, clock: Clock
) -> None:
    first = visit(manager)
    seen = set()
    while clock.now_ms < MIDNIGHT + 2 * DAY_MS - 600_000:
        clock.move(seconds=600)
        manager.refresh()
        seen.add(visit(manager))
    assert seen == {first._replace(is_new=False)}

    clock.now_ms = MIDNIGHT + 2 * DAY_MS
    later = visit(manager)

    assert later.is_new
    assert later.key != first.key
    assert later.visitor_id != first.visitor_id


def test_after_the_timeout_the_salt_before_is_deleted_from_disk_and_memory(
    manager: CookielessVisitManager, clock: Clock, runtime_directory: Path
) -> None:
    visit(manager)
    salt = weakref.ref(manager._shared.view.salts[TODAY])
    clock.now_ms = MIDNIGHT + DAY_MS + 1_200_000 - 1
    manager.refresh()
    assert salt() is not None
    assert f"salt-{TODAY}" in files_of(runtime_directory)

    clock.now_ms += 1
    manager.refresh()
    gc.collect()

    assert salt() is None
    assert files_of(runtime_directory) == {"lock", "visits-1", f"salt-{TOMORROW}", f"salt-{TOMORROW + 1}"}


def test_after_the_salt_is_gone_nobody_can_recompute_who_was_who(
    manager: CookielessVisitManager, clock: Clock, runtime_directory: Path
) -> None:
    first = visit(manager)
    (table,) = runtime_directory.glob("*/visits-1")
    clock.now_ms = MIDNIGHT + DAY_MS + 1_200_000
    manager.refresh()

    known = {salt.visitor_of("192.0.2.1", AGENT).hex() for salt in manager._shared.view.salts.values()}

    assert first.visitor_id not in known
    assert b"192.0.2.1" not in table.read_bytes()
    assert b"Mozilla" not in table.read_bytes()


def test_the_thread_deletes_the_salt_by_itself(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(shared_state, "_SHORTEST_WAIT_SECONDS", 0.01)
    with cookieless_manager(clock) as manager:
        clock.now_ms = MIDNIGHT + DAY_MS + 1_200_000
        refreshed = manager._shared._refreshed
        assert refreshed.wait(10)  # may have begun before the clock moved
        assert manager._shared._refreshed.wait(10)

        assert set(manager._shared.view.salts) == {TOMORROW, TOMORROW + 1}


def test_after_a_sleep_of_days_the_first_request_has_a_salt_that_all_workers_share(
    manager: CookielessVisitManager, clock: Clock, runtime_directory: Path
) -> None:
    visit(manager)
    clock.now_ms += 9 * DAY_MS

    assert visit(manager).is_new

    (salt,) = runtime_directory.glob(f"*/salt-{TODAY + 9}")
    assert manager._shared.view.salts[TODAY + 9].raw == salt.read_bytes()
    assert not any(runtime_directory.glob(f"*/salt-{TODAY}"))


def test_a_timeout_of_more_than_a_day_is_told_to_end_at_the_second_midnight(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with cookieless_manager(clock, visit_timeout_seconds=200_000) as manager:
        first = visit(manager)
        clock.now_ms = MIDNIGHT + 2 * DAY_MS - 1
        assert visit(manager).key == first.key
        clock.now_ms += 1
        assert visit(manager).is_new

    assert caplog.messages == [
        "OTEL_USAGE_VISIT_TIMEOUT_SECONDS is 200000.0, but without cookies a visit ends at the second midnight "
        "(UTC) at the latest."
    ]


# What can go wrong.


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


def test_a_full_disk_moves_the_files_to_the_next_place(
    clock: Clock, runtime_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def directories(*_: str) -> list[str]:
        return ["/dev/full/visits", str(tmp_path / "second")]

    monkeypatch.setattr(shared_state, "possible_directories", directories)
    with cookieless_manager(clock) as manager:
        assert visit(manager).is_new
        assert not manager._shared.view.table.is_private
    assert (tmp_path / "second" / "visits-1").exists()


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
