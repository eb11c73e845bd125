"""No socket is opened and no file read on a request thread: an audit hook of the interpreter counts them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.schema import migrate
from tests.launcher.sites import PROJECT, environment, free_port
from tests.serving import ServeProcess

REQUESTS = 200
SECONDS = 60


def run_audited_site(dsn: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.launcher.audited_site", dsn, str(REQUESTS)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def assert_only_the_worker_opened_anything(report: dict[str, Any]) -> None:
    assert report["statuses"] == {"200": REQUESTS + 1}
    assert report["seen"] == REQUESTS + 1
    assert report["request_thread"] == {}, report["first_stack"]
    # The hook sees what there is to see.
    assert report["other_threads"].get("socket.connect", 0) > 0


def test_a_request_opens_nothing_while_its_events_are_stored(
    serve: ServeProcess, database: ClickHouse
) -> None:
    migrate(database)

    report = run_audited_site(serve.dsn_of(database.dsn.database))

    assert_only_the_worker_opened_anything(report)
    assert report["stored"] == REQUESTS + 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_request_opens_nothing_while_the_database_is_down(host: str) -> None:
    report = run_audited_site(f"http://{host}:{free_port()}/otel_usage")

    assert_only_the_worker_opened_anything(report)
    assert report["stored"] == 0
