"""Logs in JSON: nginx and Caddy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_usage.importers.log_json import JsonFormat
from otel_usage.importers.logged_request import LoggedRequest

NOON_NS = 1_773_144_000_000_000_000

NGINX: dict[str, Any] = {
    "time_iso8601": "2026-03-10T12:00:00+00:00",
    "remote_addr": "192.0.2.1",
    "remote_user": "",
    "request": "GET /a?b=c HTTP/2.0",
    "status": 200,
    "body_bytes_sent": 512,
    "request_time": 0.25,
    "http_referer": "https://example.org/",
    "http_user_agent": "curl/8.5.0",
    "host": "shop.example",
    "scheme": "https",
    "http_x_forwarded_for": "203.0.113.9",
}
CADDY: dict[str, Any] = {
    "level": "info",
    "ts": 1773144000.5,
    "logger": "http.log.access.log0",
    "msg": "handled request",
    "request": {
        "remote_ip": "192.0.2.1",
        "remote_port": "41342",
        "client_ip": "203.0.113.9",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "shop.example:443",
        "uri": "/a?b=c",
        "headers": {
            "User-Agent": ["curl/8.5.0"],
            "Referer": ["https://example.org/"],
            "Accept-Language": ["de,en"],
        },
        "tls": {"resumed": False, "version": 772},
    },
    "bytes_read": 0,
    "user_id": "",
    "duration": 0.5,
    "size": 10900,
    "status": 200,
}


def read(name: str, fields: object) -> LoggedRequest | str:
    line = fields if isinstance(fields, str) else json.dumps(fields)
    done = JsonFormat(name).read([line])
    return done.refused[0][1] if done.refused else LoggedRequest(*(column[0] for column in done.fields))


def test_a_line_of_nginx_is_read() -> None:
    assert read("nginx-json", NGINX) == LoggedRequest(
        NOON_NS - 250_000_000,
        "192.0.2.1",
        "",
        "GET /a?b=c HTTP/2.0",
        "200",
        "512",
        "https://example.org/",
        "curl/8.5.0",
        "shop.example",
        250_000_000,
        "https",
        "",
        "203.0.113.9",
    )


@pytest.mark.parametrize(
    "time",
    [
        {"msec": "1773144000.000"},
        {"msec": 1773144000.0},
        {"time_local": "10/Mar/2026:13:00:00 +0100"},
        {"time_iso8601": "2026-03-10T13:00:00+01:00"},
        {"time": "2026-03-10T12:00:00Z"},
    ],
)
def test_nginx_may_write_the_time_in_any_of_its_variables(time: dict[str, Any]) -> None:
    fields = {name: value for name, value in NGINX.items() if name not in ("time_iso8601", "request_time")}

    request = read("nginx-json", fields | time)

    assert isinstance(request, LoggedRequest)
    assert request.timestamp_ns == NOON_NS


def test_nginx_may_write_method_and_target_apart() -> None:
    fields = {name: value for name, value in NGINX.items() if name != "request"}

    request = read("nginx-json", fields | {"request_method": "GET", "uri": "/a", "args": "b=c"})

    assert isinstance(request, LoggedRequest)
    assert request.request == "GET /a?b=c HTTP/1.0"


def test_an_entry_of_caddy_is_read() -> None:
    assert read("caddy-json", CADDY) == LoggedRequest(
        NOON_NS,
        "203.0.113.9",
        "",
        "GET /a?b=c HTTP/2.0",
        "200",
        "10900",
        "https://example.org/",
        "curl/8.5.0",
        "shop.example:443",
        500_000_000,
        "https",
        "de,en",
        "",
    )


def test_caddy_may_write_times_as_texts() -> None:
    request = read("caddy-json", CADDY | {"ts": "2026-03-10T12:00:00.5Z", "duration": "500ms"})

    assert isinstance(request, LoggedRequest)
    assert (request.timestamp_ns, request.duration_ns) == (NOON_NS, 500_000_000)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"status": 200}, "no time that can be read", id="no time"),
        pytest.param(NGINX | {"msec": "1e99999"}, None, id="another time is there"),
        pytest.param({"msec": "1e99999", "status": 200}, "no time that can be read", id="a huge exponent"),
        pytest.param(NGINX | {"status": "9" * 5000}, "no status that HTTP knows", id="a huge status"),
        pytest.param(NGINX | {"status": None}, "no status that HTTP knows", id="no status"),
        pytest.param("{" * 50_000, "not in the format nginx-json", id="no end of brackets"),
        pytest.param('{"a":' * 20_000, "not in the format nginx-json", id="too deep"),
        pytest.param("[1, 2]", "not in the format nginx-json", id="a list"),
        pytest.param('{"status": ' + "1" * 60_000 + "}", "no time that can be read", id="a huge number"),
        pytest.param("not JSON", "not in the format nginx-json", id="text"),
    ],
)
def test_a_hostile_line_is_refused_with_a_reason(fields: object, reason: str | None) -> None:
    request = read("nginx-json", fields)

    assert (request == reason) if reason else isinstance(request, LoggedRequest)


def test_huge_numbers_are_left_out() -> None:
    request = read("nginx-json", NGINX | {"body_bytes_sent": 10**30, "request_time": "1" * 50})

    assert isinstance(request, LoggedRequest)
    assert (request.size, request.duration_ns) == ("", 0)


def test_each_reads_its_own_alone() -> None:
    assert read("nginx-json", CADDY) == "not in the format nginx-json"
    assert read("caddy-json", NGINX) == "not in the format caddy-json"
