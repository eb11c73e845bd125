"""The shop as the demo starts it, with its events written to its output instead of to ClickHouse."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from otel_usage.demo.access_log import AccessLog
from otel_usage.demo.http_session import Connection
from otel_usage.demo.log_sender import LogSender
from otel_usage.demo.services import PROBE_PATH, Shop, running_shop
from otel_usage.demo.stacks import DJANGO, DJANGO_ASGI, FLASK, Stack

TO_ITS_OUTPUT = {"OTEL_USAGE_EXPORTER": "console"}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "BREW")
BACKSLASHES = ("\\x5c", "\\\\")
"""As a log writes them. By ASGI, opentelemetry-instrumentation-asgi 0.66b1 raises where one stands in a header that is
not UTF-8, which it decodes as Python's escapes; Django then answers 500 before any middleware but contrib's has run."""
CLIENTS = (
    "192.0.2.1",
    "192.0.2.2",
    "2001:db8::7",
    "::ffff:192.0.2.3",
    "10.0.0.1",
    "127.0.0.1",
    "host.example.org",
)


def stop_and_read_requests(shop: Shop) -> list[Mapping[str, Any]]:
    """Stop the shop, which sends what waits, and return the attributes of its request events."""
    assert shop.child.stop() == 0
    events = [json.loads(line) for line in shop.child.output().splitlines() if line.startswith("{")]
    return [event["attributes"] for event in events if event["event_name"] == "request"]


def write_hostile_log(path: Path, lines: int, *, left_out: tuple[str, ...] = ()) -> None:
    random = Random(5)
    characters = [chr(code) for code in range(0x20, 0x7F) if chr(code) not in '"\\']
    characters += [f"\\x{code:02x}" for code in range(256)] + ['\\"', "\\\\", "\\n", "ä", "ÿ"]
    characters = [each for each in characters if each not in left_out]

    def noise(most: int) -> str:
        return "".join(random.choices(characters, k=random.randint(0, most)))

    written = (
        f"{random.choice(CLIENTS)} - - [now] "
        f'"{random.choice(METHODS)} {random.choice(("/", "//", "http://x.example/", "/a?"))}{noise(30)} HTTP/1.1" '
        f'200 - "{noise(40)}" "{noise(40)}"'
        for _ in range(lines)
    )
    path.write_text("\n".join(written), "latin-1")


@pytest.fixture(params=[FLASK, DJANGO, DJANGO_ASGI], ids=lambda stack: stack.title)
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each way to run the shop."""
    made: Stack = request.param
    return made


def test_every_line_of_a_hostile_log_becomes_a_request_event(tmp_path: Path, stack: Stack) -> None:
    log = AccessLog(tmp_path / "access.log")
    write_hostile_log(log.path, 400, left_out=BACKSLASHES if stack is DJANGO_ASGI else ())

    settings = {**TO_ITS_OUTPUT, "OTEL_USAGE_EXCLUDED_URLS": f"^{PROBE_PATH}$"}
    with running_shop(tmp_path, settings, stack) as shop:
        report = LogSender(shop.host, shop.port).send(log.requests())
        requests = stop_and_read_requests(shop)

    assert (report.sent, report.failed, log.skipped) == (400, 0, {})
    assert Counter(request["client.address"] for request in requests) == report.requests_by_address
    assert Counter(request["http.request.method"] for request in requests) == report.requests_by_method
    assert Counter(request["http.response.status_code"] for request in requests) == report.requests_by_status


def test_what_waits_when_the_shop_is_stopped_is_sent(tmp_path: Path, stack: Stack) -> None:
    with running_shop(tmp_path, {**TO_ITS_OUTPUT, "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "300"}, stack) as shop:
        connection = Connection(shop.host, shop.port)
        statuses = [connection.request("GET", "/about", {}).status for _ in range(50)]
        connection.close()
        requests = stop_and_read_requests(shop)

    assert statuses == [200] * 50
    assert [request["url.path"] for request in requests] == ["/about"] * 50


def test_asking_whether_the_shop_answers_is_no_request_of_a_visitor(tmp_path: Path, stack: Stack) -> None:
    with running_shop(tmp_path, TO_ITS_OUTPUT, stack) as shop:
        assert stop_and_read_requests(shop) == []
