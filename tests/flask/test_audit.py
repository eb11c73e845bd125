"""No socket is opened and no file read on a request thread: counted by an audit hook, not by a clock."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.flask.audited_app import REQUESTS
from tests.serving import ServeProcess

WAYS = [
    pytest.param([], id="without the SDK"),
    pytest.param(["sdk"], id="with the SDK"),
    pytest.param(["sdk", "contrib"], id="with contrib"),
]


def run(dsn: str, *options: str) -> tuple[int, int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.flask.audited_app", dsn, *options],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    seen, stored, *opened = done.stdout.splitlines()
    return int(seen), int(stored), opened


@pytest.mark.parametrize("options", WAYS)
def test_a_request_thread_opens_nothing_while_clickhouse_answers(
    serve: ServeProcess, usage: ClickHouse, options: list[str]
) -> None:
    seen, stored, opened = run(serve.dsn_of(usage.dsn.database), *options)

    assert opened == []
    assert seen == stored == 3 * REQUESTS


@pytest.mark.parametrize("options", WAYS)
def test_a_request_thread_opens_nothing_while_nobody_answers(options: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        seen, stored, opened = run(f"http://127.0.0.1:{taken.getsockname()[1]}/otel_usage", *options)

    assert opened == []
    assert (seen, stored) == (3 * REQUESTS, 0)
