"""Logged requests as events: as an app would have recorded them, many at once as one by one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from otel_usage.errors import SettingError
from otel_usage.importers.identity import LineIds
from otel_usage.importers.log_events import LogEvents
from otel_usage.importers.log_parts import LogRows
from otel_usage.importers.log_text import TextFormat
from otel_usage.importers.logged_request import LoggedRequest
from otel_usage.pipeline.rows import COLUMNS, to_columns
from otel_usage.settings import Settings
from tests.importers.logs import FIREFOX, combined

REAL_LOG = Path(__file__).parents[3] / "shared" / "data" / "apache-access.log"


def chunk_of(lines: list[str], **settings: object) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of some lines, and why the others are none."""
    reader = TextFormat("combined")
    read = reader.read(lines)
    assert not read.refused
    events = LogEvents(Settings.load({}, **settings), "shop", reader)
    ids = LineIds("shop").ids_of([line.encode("latin-1") for line in lines])
    chunk = events.chunk_of(ids, read.fields, range(len(lines)))
    assert isinstance(chunk.rows, LogRows)
    columns = chunk.rows.columns(range(len(chunk.rows.ids)))
    rows = [
        {column.name: value for column, value in zip(COLUMNS, row, strict=True)}
        for row in zip(*columns, strict=True)
    ]
    return rows, [refusal.reason for refusal in chunk.refused]


def only_row(line: str, **settings: object) -> dict[str, Any]:
    ((row,), _) = chunk_of([line], **settings)
    return row


def test_a_line_is_a_request_with_all_that_it_says() -> None:
    line = combined(
        "/caf%C3%A9?utm_source=news&token=secret", referrer="https://www.example.org/a?password=x"
    )

    row = only_row(line)

    assert {name: value for name, value in row.items() if value and not name.endswith("_bytes")} == {
        "timestamp": 1_773_144_000_000_000_000,
        "event_name": "request",
        "service_name": "shop",
        "client_address": bytes(10) + b"\xff\xff\xc0\x00\x02\x01",
        "peer_address": bytes(16),
        "user_agent": FIREFOX,
        "browser": "Firefox",
        "browser_version": "128.0",
        "os": "Linux",
        "device_type": "desktop",
        "method": "GET",
        "path": "/café",
        "query": "utm_source=news&token=REDACTED",
        "status_code": 200,
        "bytes_sent": 512,
        "referrer": "https://www.example.org/a?password=REDACTED",
        "referrer_domain": "example.org",
        "campaign_source": "news",
    }


def test_a_line_belongs_to_no_visit_and_no_visitor() -> None:
    row = only_row(combined())

    assert (row["visit_key_bytes"], row["visitor_id_bytes"], row["visit_is_new"]) == (bytes(16), bytes(16), 0)


def hostile_lines(count: int) -> list[str]:
    chosen = random.Random(4)
    texts = [
        "-",
        "",
        "x" * 5000,
        "caf\xc3\xa9",
        "\xff\xfe",
        r"\x00\x1b[31m",
        "\0",
        "utm_source=\u00e9",
        r"\"",
        "%00%ff",
        FIREFOX,
    ]
    return [
        combined(
            f"/{chosen.choice(texts)}?utm_campaign={chosen.choice(texts)}".replace('"', ""),
            f"{chosen.randint(1, 28):02}/Feb/{chosen.choice((1970, 2020, 2261))}:00:00:0{chosen.randint(0, 9)} +0000",
            address=chosen.choice(["192.0.2.1", "::1", "host.example", "999.1.1.1"]),
            status=chosen.choice([100, 200, 404, 999]),
            size=chosen.choice(["-", "0", "9" * 18]),
            referrer=f"http://{chosen.choice(texts)}/".replace('"', r"\""),
            agent=chosen.choice(texts),
        ).replace(' ""', ' "-"')
        for _ in range(count)
    ]


def real_lines() -> list[str]:
    if not REAL_LOG.exists():
        pytest.skip(f"{REAL_LOG} is not on this machine")
    return REAL_LOG.read_text("latin-1").splitlines()


@pytest.mark.parametrize("source", [hostile_lines, lambda _: real_lines()], ids=["hostile", "real"])
@pytest.mark.parametrize("ip", ["full", "masked", "hashed", "off"])
def test_many_requests_at_once_are_the_rows_of_each_by_itself(source: Any, ip: str) -> None:
    lines = source(400)[:2000]
    reader = TextFormat("combined")
    read = reader.read(lines)
    lines = [lines[number] for number in read.numbers]
    events = LogEvents(Settings.load({}, ip=ip, secret="s"), "shop", reader)
    ids = LineIds("shop").ids_of([line.encode("latin-1") for line in lines])

    chunk = events.chunk_of(ids, read.fields, range(len(lines)))

    refused = {int(refusal.place.removeprefix("line ")) for refusal in chunk.refused}
    kept = [number for number in range(len(lines)) if number not in refused]
    requests = [LoggedRequest(*(column[number] for column in read.fields)) for number in kept]
    one_by_one = [
        events.event_of(ids[number], request) for number, request in zip(kept, requests, strict=True)
    ]
    assert isinstance(chunk.rows, LogRows)
    assert len(kept) > 300
    assert chunk.rows.columns(range(len(kept))) == to_columns(one_by_one)
    assert chunk.rows.columns([3, 5]) == to_columns([one_by_one[3], one_by_one[5]])


@pytest.mark.parametrize(
    ("ip", "kept"),
    [
        ("masked", bytes(10) + b"\xff\xff\xc0\x00\x02\x00"),
        ("hashed", bytes(16)),
        ("off", bytes(16)),
    ],
)
def test_the_address_is_kept_as_the_setting_says(ip: str, kept: bytes) -> None:
    row = only_row(combined(), ip=ip, secret="s")

    assert row["client_address"] == kept
    assert bool(row["client_address_hash"]) == (ip == "hashed")


def test_hashed_addresses_need_the_secret_of_the_app() -> None:
    with pytest.raises(SettingError, match="which needs OTEL_USAGE_SECRET"):
        chunk_of([combined()], ip="hashed")


def test_a_host_name_is_no_address_and_is_not_kept() -> None:
    row = only_row(combined(address="pc4.example.org"))

    assert row["client_address"] == bytes(16)
    assert "pc4" not in repr(row)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (combined("/static/a.css"), "a path that OTEL_USAGE_EXCLUDED_URLS excludes"),
        (combined().replace("GET / HTTP/1.1", "-"), "no HTTP request on the line"),
        (combined().replace("GET / HTTP/1.1", r"\x16\x03\x01"), "no HTTP request on the line"),
        (combined("no-slash"), "no HTTP request on the line"),
        (combined(at="10/Mar/1969:00:00:00 +0000"), "a time outside the years 1970 to 2261"),
        (combined(at="10/Mar/9999:00:00:00 +0000"), "a time outside the years 1970 to 2261"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(line: str, reason: str) -> None:
    assert chunk_of([line, combined()])[1] == [reason]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://shop.example/a", "/a"),
        ("http://shop.example", "/"),
        ("*", "*"),
        ("/a b c", "/a b c"),
        ("/a%2Fb", "/a/b"),
        ("//evil.example/", "//evil.example/"),
    ],
)
def test_the_path_is_the_one_that_an_app_would_see(target: str, path: str) -> None:
    assert only_row(combined(target))["path"] == path


def test_a_user_of_the_log_is_kept_only_where_the_setting_says_so() -> None:
    line = combined(user="ann")

    assert (only_row(line)["user_id"], only_row(line)["has_authorization"]) == ("", 1)
    assert only_row(line, basic_auth_users="true")["user_id"] == "ann"
    assert only_row(combined(user="ann", status=401), basic_auth_users="true")["user_id"] == ""


def test_a_dash_for_the_size_means_no_bytes() -> None:
    assert only_row(combined(size="-"))["bytes_sent"] == 0
