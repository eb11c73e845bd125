"""Who can be named, and what is refused before anything is looked for."""

from __future__ import annotations

import pytest

from otel_usage.privacy import parse_selector

KEY = "0123456789abcdef0123456789ABCDEF"


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"user": "ann@example.com"}, "ann@example.com"),
        ({"user": "x" * 300}, "x" * 256),
        ({"visit": KEY}, KEY.lower()),
        ({"visitor": KEY}, KEY.lower()),
        ({"address": "192.0.2.1"}, "192.0.2.1"),
        ({"address": "::ffff:192.0.2.1"}, "192.0.2.1"),
        ({"address": "2001:DB8:0:0::1"}, "2001:db8::1"),
    ],
)
def test_a_person_is_named_as_the_tables_have_them(options: dict[str, str], value: str) -> None:
    assert parse_selector(**options).value == value


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, "Expected one of", id="nobody"),
        pytest.param({"user": "a", "visit": KEY}, "Expected one of", id="two"),
        pytest.param({"user": ""}, "--user is ''", id="empty user"),
        pytest.param({"user": "\udcff"}, "--user is", id="user that is no text"),
        pytest.param({"visit": "xyz"}, "expected 32 hex digits", id="no hex"),
        pytest.param({"visit": KEY[:-1]}, "expected 32 hex digits", id="short"),
        pytest.param({"visit": "0" * 32}, "expected 32 hex digits", id="no visit at all"),
        pytest.param({"visitor": "0" * 32}, "expected 32 hex digits", id="no visitor at all"),
        pytest.param({"visitor": f"{KEY}\n"}, "expected 32 hex digits", id="line end"),
        pytest.param({"address": "localhost"}, "expected an IPv4 or IPv6 address", id="name"),
        pytest.param({"address": "192.0.2.0/24"}, "expected an IPv4 or IPv6 address", id="network"),
        pytest.param({"address": ""}, "expected an IPv4 or IPv6 address", id="empty address"),
        pytest.param({"address": "::"}, "everybody whose address is unknown", id="unknown"),
        pytest.param({"address": "fe80::1%eth0"}, "without a zone", id="zone"),
    ],
)
def test_what_names_nobody_or_everybody_is_refused(options: dict[str, str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_selector(**options)
