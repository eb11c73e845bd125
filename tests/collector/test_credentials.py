"""The account that the Collector inserts with comes from its environment, and stays there."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest

from tests.collector.conftest import StartCollector
from tests.collector.events import requests_of, send

WORD = "sesame"
ODD = f"{WORD}: b#c{{'\"@/?&%41!*"
"""Has what YAML, URLs and shells have a meaning for, and a word that stays as it is however that is escaped."""


class Door:
    """An HTTP server that lets nobody in, and remembers who knocked and what they asked for."""

    def __init__(self) -> None:
        self.knocks: Queue[tuple[str, str]] = Queue()
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                door.knocks.put((self.headers["Authorization"], self.path))
                self.send_response(401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def door() -> Iterator[Door]:
    kept = Door()
    threading.Thread(target=kept.server.serve_forever, args=(0.05,), daemon=True).start()
    yield kept
    kept.server.shutdown()
    kept.server.server_close()


@pytest.mark.parametrize("password", [ODD, "0123", "null"], ids=["odd characters", "digits", "null"])
def test_a_password_arrives_as_it_is_and_is_in_no_log_and_no_address(
    start_collector: StartCollector, door: Door, password: str
) -> None:
    environ = {
        "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{door.server.server_port}",
        "CLICKHOUSE_USER": "otel_usage_collector",
        "CLICKHOUSE_PASSWORD": password,
    }
    collector = start_collector("local.yaml", environ)
    send(collector.otlp_url, requests_of("shop", 1))
    authorization, path = door.knocks.get(timeout=60)
    collector.stop()

    encoded = authorization.removeprefix("Basic ")
    seen = collector.log_text() + path
    assert base64.b64decode(encoded).decode() == f"otel_usage_collector:{password}"
    assert "password" not in path
    assert (WORD in seen, encoded in seen) == (False, False)
