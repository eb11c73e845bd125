from __future__ import annotations

import base64
import logging
import os
from email.utils import parsedate_to_datetime

import pytest

from otel_usage.visits.cookie import CookieVisitManager
from otel_usage.visits.keys import key_generator
from tests.visits.cookies import Clock, build_manager, read, returned, visit


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> CookieVisitManager:
    return build_manager(clock)


def test_a_first_request_opens_a_visit_and_gets_a_cookie(manager: CookieVisitManager, clock: Clock) -> None:
    state = visit(manager)

    assert state.visit.is_new
    assert len(bytes.fromhex(state.visit.key)) == len(bytes.fromhex(state.visit.visitor_id)) == 16
    assert state.visit.started_ms == clock()
    assert state.visit.started.timestamp() * 1000 == clock()
    assert state.set_cookie


def test_the_cookie_comes_back_as_the_same_visit(manager: CookieVisitManager, clock: Clock) -> None:
    first = visit(manager)
    clock.move(seconds=30)

    second = visit(manager, returned(first))

    assert second.visit == first.visit._replace(is_new=False)


def test_two_first_requests_are_two_visitors(manager: CookieVisitManager) -> None:
    first, second = visit(manager).visit, visit(manager).visit

    assert first.key != second.key
    assert first.visitor_id != second.visitor_id


def test_another_process_with_the_same_secret_knows_the_visit(clock: Clock) -> None:
    first = visit(build_manager(clock))

    second = visit(build_manager(clock), returned(first))

    assert second.visit == first.visit._replace(is_new=False)


@pytest.mark.parametrize("timeout_seconds", [0.001, 0.05, 0.5, 2.75, 60.0, 1200.0, 86400.5])
def test_a_visit_lasts_exactly_its_timeout(clock: Clock, timeout_seconds: float) -> None:
    manager = build_manager(clock, visit_timeout_seconds=timeout_seconds)
    first = visit(manager)
    clock.move(seconds=timeout_seconds)

    assert visit(manager, returned(first)).visit.key == first.visit.key

    clock.now_ms += 1
    later = visit(manager, returned(first)).visit
    assert later.is_new
    assert later.key != first.visit.key


def test_a_fraction_of_a_millisecond_does_not_end_a_visit_early(clock: Clock) -> None:
    manager = build_manager(clock, visit_timeout_seconds=0.0105)
    first = visit(manager)
    clock.now_ms += 10

    assert not visit(manager, returned(first)).visit.is_new


def test_the_visitor_stays_over_several_visits(manager: CookieVisitManager, clock: Clock) -> None:
    states = [visit(manager)]
    for _ in range(3):
        clock.move(seconds=1201)
        states.append(visit(manager, returned(states[-1])))

    assert len({state.visit.key for state in states}) == 4
    assert len({state.visit.visitor_id for state in states}) == 1


@pytest.mark.parametrize(
    ("timeout_seconds", "tolerance_seconds"), [(1200.0, 60.0), (7200.0, 60.0), (600.0, 30.0), (1.0, 0.05)]
)
def test_the_cookie_is_sent_again_when_last_seen_is_older_than_the_tolerance(
    clock: Clock, timeout_seconds: float, tolerance_seconds: float
) -> None:
    manager = build_manager(clock, visit_timeout_seconds=timeout_seconds)
    first = visit(manager)
    clock.move(seconds=tolerance_seconds)

    assert visit(manager, returned(first)).set_cookie == ""

    clock.now_ms += 1
    assert visit(manager, returned(first)).set_cookie != ""


def test_every_request_moves_the_end_of_the_visit_on(manager: CookieVisitManager, clock: Clock) -> None:
    first = state = visit(manager)
    for _ in range(10):
        clock.move(seconds=1199)
        state = visit(manager, returned(state))

    assert state.visit == first.visit._replace(is_new=False)


def _raw(header: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(header.partition("=")[2] + "="))


def _header(raw: bytes | bytearray) -> str:
    return "otel_usage_visit=" + base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


@pytest.mark.parametrize("position", range(62))
def test_a_cookie_with_one_changed_byte_never_becomes_a_visit(
    manager: CookieVisitManager, position: int
) -> None:
    genuine = visit(manager)
    raw = _raw(returned(genuine))
    raw[position] ^= 0x01

    forged = visit(manager, _header(raw))

    assert forged.visit.is_new
    assert forged.visit.key != genuine.visit.key
    assert forged.visit.visitor_id != genuine.visit.visitor_id


@pytest.mark.parametrize("length", [0, 1, 20, 40, 61, 63, 64, 124, 4000])
def test_a_cookie_of_another_length_never_becomes_a_visit(manager: CookieVisitManager, length: int) -> None:
    genuine = visit(manager)
    raw = bytes(_raw(returned(genuine)))

    other = visit(manager, _header((raw * 100)[:length]))

    assert other.visit.is_new
    assert other.visit.visitor_id != genuine.visit.visitor_id
    assert other.set_cookie


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("otel_usage_visit", id="no value"),
        pytest.param("otel_usage_visit=", id="empty"),
        pytest.param("otel_usage_visit==", id="only a sign"),
        pytest.param("otel_usage_visit=" + "=" * 83, id="only padding"),
        pytest.param("otel_usage_visit=" + "A" * 83, id="all zero"),
        pytest.param("otel_usage_visit=" + "!" * 83, id="not base64"),
        pytest.param("otel_usage_visit=" + "A" * 82 + "!", id="one sign that is not base64"),
        pytest.param("otel_usage_visit=" + "é" * 83, id="not ascii"),
        pytest.param("otel_usage_visit=" + "\udcff" * 83, id="lone surrogates"),
        pytest.param("otel_usage_visit=" + "\0" * 83, id="NUL"),
        pytest.param("otel_usage_visit=" + "A" * 10_000_000, id="ten megabytes"),
        pytest.param("otel_usage_visit=A;" * 5_000, id="five thousand times"),
        pytest.param(";" * 16_000, id="only separators"),
        pytest.param("otel_usage_visit=\r\nSet-Cookie: a=b", id="header injection"),
        pytest.param('otel_usage_visit="', id="half a quotation"),
        pytest.param("OTEL_USAGE_VISIT=" + "A" * 83, id="another case"),
        pytest.param("xotel_usage_visit=" + "A" * 83, id="a longer name"),
    ],
)
def test_rubbish_opens_a_new_visit_and_is_never_an_error(manager: CookieVisitManager, header: str) -> None:
    state = visit(manager, header)

    assert state.visit.is_new
    assert state.set_cookie


def test_the_cookie_is_found_among_others(manager: CookieVisitManager) -> None:
    first = visit(manager)

    second = visit(manager, f"a=b;theme = dark; {returned(first)} ;xotel_usage_visit=c;d")

    assert second.visit.key == first.visit.key


def test_a_quoted_cookie_counts(manager: CookieVisitManager) -> None:
    first = visit(manager)
    name, _, value = returned(first).partition("=")

    assert visit(manager, f'{name}="{value}"').visit.key == first.visit.key


def test_of_two_cookies_the_authentic_one_counts(manager: CookieVisitManager, clock: Clock) -> None:
    first = visit(manager)
    foreign = visit(build_manager(clock, secret="another"))

    for header in (
        f"{returned(foreign)}; {returned(first)}",
        f"{returned(first)}; {returned(foreign)}",
        f"otel_usage_visit=rubbish; {returned(first)}; otel_usage_visit=rubbish",
    ):
        assert visit(manager, header).visit.key == first.visit.key


def test_a_cookie_of_the_far_future_is_not_fresh(manager: CookieVisitManager, clock: Clock) -> None:
    ahead = visit(build_manager(Clock(clock.now_ms + 1_201_000)))

    assert visit(manager, returned(ahead)).visit.is_new


def test_a_fresh_cookie_of_another_key_is_left_alone(manager: CookieVisitManager, clock: Clock) -> None:
    foreign = visit(build_manager(clock, secret="another"))

    state = visit(manager, returned(foreign))

    assert state.visit.is_new
    assert state.visit.visitor_id != foreign.visit.visitor_id
    assert state.set_cookie == ""


def test_a_stale_cookie_of_another_key_is_replaced(manager: CookieVisitManager, clock: Clock) -> None:
    foreign = visit(build_manager(clock, secret="another"))
    clock.move(seconds=1201)

    assert visit(manager, returned(foreign)).set_cookie


def test_our_key_with_a_wrong_signature_is_replaced_at_once(manager: CookieVisitManager) -> None:
    raw = _raw(returned(visit(manager)))
    raw[-1] ^= 0xFF

    assert visit(manager, _header(raw)).set_cookie


def test_three_foreign_cookies_in_a_row_from_one_client_are_told_once(
    manager: CookieVisitManager, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = returned(visit(build_manager(clock, secret="another")))

    visit(manager, foreign)
    visit(manager, foreign)
    assert caplog.records == []

    for _ in range(5):
        visit(manager, foreign)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "A client has sent 3 visit cookies in a row that another key signed. If several hosts or services "
        "answer for this domain, give them one OTEL_USAGE_SECRET, or each its own OTEL_USAGE_COOKIE_NAME."
    )


def test_foreign_cookies_of_many_clients_behind_one_proxy_are_not_told(
    manager: CookieVisitManager, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    others = build_manager(clock, secret="another")

    for _ in range(1000):
        visit(manager, returned(visit(others)))

    assert caplog.records == []
    assert len(manager._foreign_cookies._count_by_visitor) <= 256


def test_forged_foreign_cookies_cannot_flood_the_log(
    manager: CookieVisitManager, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    others = build_manager(clock, secret="another")

    for _ in range(50):
        header = returned(visit(others))
        for _ in range(3):
            visit(manager, header)

    assert len(caplog.records) == 1


def test_the_cookie_says_what_the_defaults_say(manager: CookieVisitManager) -> None:
    set_cookie = visit(manager).set_cookie

    name_and_value, *attributes = set_cookie.split("; ")
    assert name_and_value.startswith("otel_usage_visit=")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=31536000"]


def test_the_cookie_says_what_the_settings_say(clock: Clock) -> None:
    manager = build_manager(
        clock,
        cookie_name="v",
        cookie_domain="example.org",
        cookie_path="/shop",
        cookie_samesite="strict",
        cookie_secure="true",
        visitor_lifetime_days=30,
    )

    morsel = read(visit(manager).set_cookie)

    assert morsel.key == "v"
    assert morsel["domain"] == "example.org"
    assert morsel["path"] == "/shop"
    assert morsel["samesite"] == "Strict"
    assert morsel["secure"]
    assert morsel["httponly"]
    assert morsel["max-age"] == "2592000"


def test_a_lifetime_of_no_days_makes_a_session_cookie(clock: Clock) -> None:
    morsel = read(visit(build_manager(clock, visitor_lifetime_days=0)).set_cookie)

    assert (morsel["max-age"], morsel["expires"]) == ("", "")


def test_a_permanent_cookie_lives_for_the_visits_timeout(clock: Clock) -> None:
    manager = build_manager(
        clock, visitor_lifetime_days=0, cookie_permanent=True, visit_timeout_seconds=1800.4
    )

    morsel = read(visit(manager).set_cookie)

    assert morsel["max-age"] == "1800"
    expires = parsedate_to_datetime(morsel["expires"]).timestamp()
    assert abs(expires - (clock() / 1000 + 1800)) <= 1


def test_a_permanent_cookie_never_has_a_max_age_of_nothing(clock: Clock) -> None:
    manager = build_manager(clock, visitor_lifetime_days=0, cookie_permanent=True, visit_timeout_seconds=0.2)

    assert read(visit(manager).set_cookie)["max-age"] == "1"


def test_the_longest_allowed_times_still_make_a_cookie(clock: Clock) -> None:
    for settings in (
        {"visitor_lifetime_days": 36_500},
        {"visitor_lifetime_days": 0, "cookie_permanent": True, "visit_timeout_seconds": 31_536_000},
    ):
        assert visit(build_manager(clock, **settings)).set_cookie  # type: ignore[arg-type]


def test_the_cookie_holds_nothing_of_the_address(clock: Clock) -> None:
    # The same visit, answered to two addresses, gives the same bytes.
    manager = build_manager(clock)
    first = visit(manager)
    clock.move(seconds=100)

    cookies = {visit(manager, returned(first), peer=peer).set_cookie for peer in ("192.0.2.1", "2001:db8::1")}

    assert len(cookies) == 1


def test_keys_are_what_the_system_drew_whatever_the_address(
    manager: CookieVisitManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\xab" * count)
    visits = set()

    for peer in ("192.0.2.1", "2001:db8::1"):
        key_generator._keys.clear()
        visits.add(visit(manager, peer=peer).visit)
    key_generator._keys.clear()

    assert {(found.key, found.visitor_id) for found in visits} == {("ab" * 16, "ab" * 16)}
