"""The text formats: what each line says."""

from __future__ import annotations

import pytest

from otel_usage.importers.log_text import TextFormat
from otel_usage.importers.logged_request import LoggedRequest, iso_time_ns, log_time_ns
from tests.importers.logs import FIREFOX, combined, common


def read(name: str, line: str) -> LoggedRequest | str:
    """Return what a format makes of one line."""
    done = TextFormat(name).read([line])
    return done.refused[0][1] if done.refused else LoggedRequest(*(column[0] for column in done.fields))


def test_a_combined_line_is_read() -> None:
    line = combined("/a?b=c", referrer="https://example.org/", user="ann", size="7")

    request = read("combined", line)

    assert request == LoggedRequest(
        1_773_144_000_000_000_000,
        "192.0.2.1",
        "ann",
        "GET /a?b=c HTTP/1.1",
        "200",
        "7",
        "https://example.org/",
        FIREFOX,
    )


@pytest.mark.parametrize(
    ("name", "line", "host"),
    [
        pytest.param("common", common(), "", id="common"),
        pytest.param("combined", combined() + ' "203.0.113.9" 0.004', "", id="more fields behind combined"),
        pytest.param("combined", combined(user="ann of the hill"), "", id="a user with spaces"),
        pytest.param(
            "vhost-combined", "shop.example:443 " + combined(), "shop.example:443", id="vhost with port"
        ),
        pytest.param("vhost-combined", "shop.example " + combined(), "shop.example", id="vhost without port"),
        pytest.param("combined", combined(address="2001:db8::1"), "", id="IPv6"),
        pytest.param("combined", combined(agent=r"a \"quoted\" agent\\"), "", id="escaped quotes"),
    ],
)
def test_a_line_is_read_in_its_format_alone(name: str, line: str, host: str) -> None:
    request = read(name, line)

    others = {other for other in ("common", "vhost-combined", "combined") if other != name}
    assert isinstance(request, LoggedRequest)
    assert request.host == host
    assert all(isinstance(read(other, line), str) for other in others - {"combined"})


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\0\0\0",
        "GET / HTTP/1.1",
        combined()[:60],
        combined(size="1" * 40),
        combined(status=20000),
        '"' * 5000,
        "[" * 5000,
        "a b [" + "\\" * 5000,
        combined().replace("[", "").replace("]", ""),
    ],
)
def test_what_is_no_line_of_the_format_is_refused(line: str) -> None:
    assert read("combined", line) == "not in the format combined"


@pytest.mark.parametrize(
    "at",
    ["31/Feb/2026:12:00:00 +0000", "10/Mrz/2026:12:00:00 +0000", "10/Mar/2026:25:00:00 +0000", "yesterday"],
)
def test_a_date_that_is_none_is_refused(at: str) -> None:
    assert read("combined", combined(at=at)) == "no time that can be read"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10/Mar/2026:12:00:00 +0000", 1_773_144_000),
        ("10/Mar/2026:14:30:00 +0230", 1_773_144_000),
        ("10/Mar/2026:04:00:00 -0800", 1_773_144_000),
        ("31/Dec/2016:23:59:60 +0000", 1_483_228_799),
    ],
)
def test_the_zone_of_a_line_is_honoured(text: str, seconds: int) -> None:
    assert log_time_ns(text) == seconds * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2026-03-10T12:00:00Z", 1_773_144_000_000_000_000),
        ("2026-03-10T13:00:00.123456789+01:00", 1_773_144_000_123_456_789),
        ("2026-03-10 12:00:00,5", 1_773_144_000_500_000_000),
        ("2026-13-10T12:00:00Z", None),
        ("soon", None),
    ],
)
def test_an_iso_time_keeps_its_nanoseconds(text: str, nanoseconds: int | None) -> None:
    assert iso_time_ns(text) == nanoseconds


def test_a_text_is_cleaned_of_the_escapes_of_the_log() -> None:
    clean = TextFormat("combined").clean

    assert clean(r"caf\xc3\xa9 \"au\" lait\t") == 'café "au" lait\t'
    assert clean("caf\xc3\xa9") == "café"
    assert clean("\xff") == "\N{REPLACEMENT CHARACTER}"


def test_a_line_without_an_end_is_whole_when_its_last_quote_is_there() -> None:
    reader = TextFormat("combined")
    reader.read([combined()])

    assert reader.is_complete(combined())
    assert not reader.is_complete(combined()[:-1])
    reader.read([combined() + ' "more"'])
    assert not reader.is_complete(combined())
    assert not TextFormat("common").is_complete(common())
