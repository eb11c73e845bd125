"""Requests that a browser on this machine may be made to send."""

from __future__ import annotations

import pytest

from otel_usage.server.access import AccessCheck, check_allowed_host
from tests.server.http import send
from tests.serving import ServeProcess, start_serve


def refusal(host: str | None, *headers: tuple[str, str], allowed: tuple[str, ...] = ()) -> str:
    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError

    given = [("host", host)] if host is not None else []
    return AccessCheck(app, allowed).refusal(
        [(name.encode(), value.encode("latin-1")) for name, value in (*given, *headers)]
    )


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8123",
        "LOCALHOST",
        "app.localhost:1",
        "127.0.0.1",
        "127.9.8.7:8123",
        "[::1]:8123",
    ],
)
def test_a_loopback_name_is_accepted_as_host(host: str) -> None:
    assert refusal(host) == ""


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "localhost@example.org",
        "127.0.0.1:x",
        "10.0.0.1",
        "[::2]",
        "::1",
        "0.0.0.0",
        "localhost/",
        "lo\xe9calhost",
    ],
)
def test_any_other_name_is_refused_as_host(host: str | None) -> None:
    assert refusal(host).startswith("Host ")


@pytest.mark.parametrize(
    "name",
    ["usage", "usage.example.org", "Usage.Example.org:8123", "my_host", "192.0.2.7:80", "::1", "[::1]:8123"],
)
def test_a_name_that_a_request_can_carry_may_be_allowed(name: str) -> None:
    check_allowed_host(name)


def test_two_hosts_are_refused() -> None:
    assert refusal("localhost", ("host", "example.org")).startswith("Host ")


def test_a_listed_host_is_accepted() -> None:
    assert refusal("clickhouse:8123", allowed=("clickhouse",)) == ""
    assert refusal("clickhouse:8123", allowed=("ClickHouse:8123",)) == ""
    assert refusal("clickhouse:9", allowed=("clickhouse:8123",)) != ""


def test_only_the_own_origin_is_accepted() -> None:
    assert refusal("localhost:8123", ("origin", "http://localhost:8123")) == ""
    for origin in ("http://example.org", "null", "http://localhost:3000", "http://127.0.0.1:8123", ""):
        assert refusal("localhost:8123", ("origin", origin)).startswith("Origin ")


def test_pictures_and_scripts_of_other_sites_are_refused() -> None:
    assert refusal("localhost", ("sec-fetch-site", "cross-site")) != ""
    assert refusal("localhost", ("sec-fetch-site", "none")) == ""


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_both_ports_refuse_in_one_line(serve: ServeProcess, headers: dict[str, str]) -> None:
    for url, path in (
        (serve.http_url, "/?query=SELECT+1"),
        (serve.otlp_url, "/v1/traces"),
        (serve.http_url, "/ping"),
    ):
        answer = send(url, path, headers=headers)

        assert answer.status == 403
        assert answer.text.count("\n") == 1
        assert "access-control-allow-origin" not in answer.headers


def test_a_host_that_was_allowed_at_start_is_served(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = start_serve(tmp_path_factory.mktemp("allowed"), "--allow-host", "clickhouse")

    answers = [
        send(server.http_url, "/ping", method="GET", headers={"Host": host}).status
        for host in ("clickhouse", "other")
    ]

    server.stop()
    assert answers == [200, 403]
