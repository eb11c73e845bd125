"""No socket is opened and no file read on a request thread: counted by an audit hook, not by a clock."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.auditing import REQUESTS
from tests.serving import ServeProcess

FLASK, DJANGO = "tests.flask.audited_app", "tests.django.audited_site"
WAYS = [
    pytest.param(FLASK, [], id="Flask without the SDK"),
    pytest.param(FLASK, ["sdk"], id="Flask with the SDK"),
    pytest.param(FLASK, ["sdk", "contrib"], id="Flask with contrib"),
    pytest.param(DJANGO, [], id="Django without the SDK"),
    pytest.param(DJANGO, ["sdk", "contrib"], id="Django with contrib"),
    pytest.param(DJANGO, ["sdk", "asgi"], id="Django under ASGI"),
]
EXTENSION = pytest.param(FLASK, ["sdk", "contrib", "extension"], id="Flask with TrackUsage")


def run(dsn: str, module: str, *options: str) -> tuple[int, int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, dsn, *options],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    seen, stored, *opened = done.stdout.splitlines()
    return int(seen), int(stored), opened


@pytest.mark.parametrize(("module", "options"), WAYS)
def test_a_request_thread_opens_nothing_while_clickhouse_answers(
    serve: ServeProcess, usage: ClickHouse, module: str, options: list[str]
) -> None:
    seen, stored, opened = run(serve.dsn_of(usage.dsn.database), module, "answered", *options)

    assert opened == []
    assert seen == stored == 3 * REQUESTS


@pytest.mark.parametrize(("module", "options"), [WAYS[2], EXTENSION, WAYS[4]])
def test_a_request_thread_opens_nothing_while_nobody_answers(module: str, options: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        seen, stored, opened = run(f"http://127.0.0.1:{taken.getsockname()[1]}/otel_usage", module, *options)

    assert opened == []
    assert (seen, stored) == (3 * REQUESTS, 0)
