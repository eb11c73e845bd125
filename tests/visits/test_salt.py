from __future__ import annotations

import pytest

from otel_usage.visits.salt import SALT_LENGTH, Salt, random_salt

RAW = bytes(range(SALT_LENGTH))


def test_one_visitor_has_one_pseudonym_under_one_salt() -> None:
    first, second = (Salt(RAW, "shop").visitor_of("192.0.2.1", "Firefox") for _ in range(2))

    assert first == second
    assert len(first) == 16


@pytest.mark.parametrize(
    ("salt", "address", "agent"),
    [
        pytest.param(Salt(RAW, "shop"), "192.0.2.2", "Firefox", id="another address"),
        pytest.param(Salt(RAW, "shop"), "192.0.2.1", "Chrome", id="another agent"),
        pytest.param(Salt(RAW, "blog"), "192.0.2.1", "Firefox", id="another service"),
        pytest.param(Salt(RAW[::-1], "shop"), "192.0.2.1", "Firefox", id="another salt"),
        pytest.param(Salt(RAW, "shop"), "192.0.2.1F", "irefox", id="the border elsewhere"),
        pytest.param(Salt(RAW, "shop192"), ".0.2.1", "Firefox", id="the border of the service elsewhere"),
        pytest.param(Salt(RAW, "shop"), "", "Firefox", id="no address"),
    ],
)
def test_whatever_differs_makes_another_visitor(salt: Salt, address: str, agent: str) -> None:
    assert salt.visitor_of(address, agent) != Salt(RAW, "shop").visitor_of("192.0.2.1", "Firefox")


@pytest.mark.parametrize(
    "agent",
    [
        pytest.param("", id="none"),
        pytest.param("é\u4e2d\U0001f600", id="other scripts"),
        pytest.param("\udcff\ud800", id="lone surrogates"),
        pytest.param("\0\r\n", id="control characters"),
    ],
)
def test_any_agent_makes_a_visitor(agent: str) -> None:
    assert len(Salt(RAW, "sh\udcffop").visitor_of("192.0.2.1", agent)) == 16


def test_an_endless_agent_costs_no_more_than_a_long_one() -> None:
    salt = Salt(RAW, "shop")

    assert salt.visitor_of("192.0.2.1", "A" * 2048) == salt.visitor_of("192.0.2.1", "A" * 1_000_000)
    assert salt.visitor_of("192.0.2.1", "A" * 2048) != salt.visitor_of("192.0.2.1", "A" * 2047)


def test_salts_are_random() -> None:
    assert len({random_salt() for _ in range(100)}) == 100
    assert len(random_salt()) == SALT_LENGTH
