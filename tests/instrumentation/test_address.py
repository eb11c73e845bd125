from __future__ import annotations

import re
import time

import pytest

from otel_usage.instrumentation.address import AddressPolicy, KeptAddress, parse_address
from otel_usage.instrumentation.wsgi import read_wsgi_request
from otel_usage.settings import Settings
from tests.instrumentation import address_cases, forwarded_cases
from tests.instrumentation.address_cases import NETWORKS, PEER, Case, build_facts, build_resolver

TABLE = [
    (f"{group}: {case.why}", case)
    for group, cases in (address_cases.GROUPS | forwarded_cases.GROUPS).items()
    for case in cases
]


@pytest.mark.parametrize("case", [case for _, case in TABLE], ids=[name for name, _ in TABLE])
def test_the_client_is_the_first_address_that_no_trusted_proxy_has(case: Case) -> None:
    resolver = build_resolver(case.trusted)

    assert resolver.client_address(build_facts(case.peer, case.xff, case.forwarded)) == case.client


def test_the_table_has_no_case_twice() -> None:
    assert len({name for name, _ in TABLE}) == len(TABLE)
    assert len({case[1:] for _, case in TABLE}) == len(TABLE)


@pytest.mark.parametrize("end", ["", ", 1.2.3.4"], ids=["alone", "left of the client"])
@pytest.mark.parametrize(
    "hostile",
    [
        "6.6.6.6," * 130_000,
        "," * 1_000_000,
        " " * 1_000_000,
        '"' * 1_000_000,
        "\\" * 1_000_000,
        ";" * 1_000_000,
        "for=6.6.6.6," * 83_000,
        "for=10.0.0.2," * 77_000,
        'for="' + "\\," * 500_000,
        "x" * 1_000_000,
        "for=6.6.6.6;" * 83_000,
        "for=6.6.6.6" + " \t" * 500_000 + "@",
    ],
    ids=lambda text: text[:15] + "…",
)
def test_a_megabyte_costs_what_a_short_header_costs(hostile: str, end: str) -> None:
    resolver = build_resolver(NETWORKS)
    facts = build_facts(PEER, hostile + end, hostile + end.replace(" ", "for="), proto=hostile)

    def seconds_of_a_hundred() -> float:
        started = time.thread_time()
        for _ in range(100):
            resolver.client_address(facts)
            resolver.client_scheme(facts)
        return time.thread_time() - started

    # Walking a megabyte takes milliseconds each time, its end microseconds: 0.01 seconds are usual here. Three times,
    # because the garbage collector may come once.
    assert min(seconds_of_a_hundred() for _ in range(3)) < 0.3


def test_a_text_longer_than_any_address_is_none() -> None:
    assert parse_address("1.2.3.4" + " " * 57) == "1.2.3.4"
    assert parse_address("1.2.3.4" + " " * 58) is None


@pytest.mark.parametrize("text", ["1.2.3.4", "2001:db8::1"])
def test_a_usual_address_is_its_own_form(text: str) -> None:
    assert parse_address(text) == text


def test_both_headers_of_a_wsgi_request_are_read() -> None:
    environ = {"HTTP_X_FORWARDED_FOR": "1.2.3.4", "HTTP_FORWARDED": "for=1.2.3.4;proto=https"}

    facts = read_wsgi_request(environ, Settings())

    assert (facts.forwarded_for, facts.forwarded) == ("1.2.3.4", "for=1.2.3.4;proto=https")


def test_a_wsgi_request_without_forwarding_headers_has_empty_ones() -> None:
    facts = read_wsgi_request({}, Settings())

    assert (facts.forwarded_for, facts.forwarded) == ("", "")


# what came, what each policy keeps of it
KEPT = [
    ("203.0.113.77", {"full": "203.0.113.77", "masked": "203.0.113.0"}),
    ("203.0.113.0", {"full": "203.0.113.0", "masked": "203.0.113.0"}),
    ("255.255.255.255", {"full": "255.255.255.255", "masked": "255.255.255.0"}),
    ("2001:db8:1:2:3:4:5:6", {"full": "2001:db8:1:2:3:4:5:6", "masked": "2001:db8:1::"}),
    ("[2001:DB8:1:2::6]:443", {"full": "2001:db8:1:2::6", "masked": "2001:db8:1::"}),
    ("fe80::1%eth0", {"full": "fe80::1", "masked": "fe80::"}),
    ("::1", {"full": "::1", "masked": "::"}),
    ("::ffff:203.0.113.77", {"full": "203.0.113.77", "masked": "203.0.113.0"}),
    ("::ffff:cb00:714d", {"full": "203.0.113.77", "masked": "203.0.113.0"}),
    ("unknown", {"full": "", "masked": ""}),
    ("_hidden", {"full": "", "masked": ""}),
    ("::", {"full": "", "masked": ""}),
    ("", {"full": "", "masked": ""}),
]


@pytest.mark.parametrize("policy", ["full", "masked", "hashed", "off"])
@pytest.mark.parametrize(("came", "kept"), KEPT, ids=[came or "nothing" for came, _ in KEPT])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "the peer"])
def test_a_policy_keeps_this_of_an_address(policy: str, came: str, kept: dict[str, str], header: str) -> None:
    facts = {
        "X-Forwarded-For": build_facts("", came),
        "Forwarded": build_facts("", "", f'for="{came}"'),
        "the peer": build_facts(came),
    }[header]
    address = build_resolver("1").client_address(facts)

    result = AddressPolicy(policy, "secret").apply(address)

    assert result.address == kept.get(policy, "")
    assert bool(result.hashed) == (policy == "hashed" and kept["full"] != "")


def test_a_hash_is_the_same_for_one_address_and_one_secret_only() -> None:
    policy = AddressPolicy("hashed", "secret")

    hashed = policy.apply("203.0.113.77").hashed

    assert re.fullmatch("[0-9a-f]{32}", hashed)
    assert policy.apply("203.0.113.77").hashed == hashed
    assert policy.apply("203.0.113.78").hashed != hashed
    assert AddressPolicy("hashed", "other").apply("203.0.113.77").hashed != hashed


@pytest.mark.parametrize(
    "form", ["203.0.113.77", "::ffff:203.0.113.77", "[::ffff:203.0.113.77]:80", "203.0.113.77:1"]
)
def test_the_forms_of_an_address_have_one_hash(form: str) -> None:
    policy = AddressPolicy("hashed", "secret")

    address = build_resolver("1").client_address(build_facts(PEER, form))

    assert policy.apply(address) == KeptAddress("", policy.apply("203.0.113.77").hashed)
