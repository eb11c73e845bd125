from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_usage.visits import shared_state
from otel_usage.visits.cookieless import CookielessVisitManager
from otel_usage.visits.loading import find_visit_manager
from otel_usage.visits.salt import DAY_MS
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
        assert refreshed.wait(60)  # may have begun before the clock moved
        assert manager._shared._refreshed.wait(60)

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
