"""A Flask app whose visits need no cookie: audited, and under real servers."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.flask.launching import PATIENT, Launched, launched
from tests.serving import ServeProcess
from tests.visits.cookieless_managers import runtime_directory

__all__ = ["runtime_directory"]

ROOT = Path(__file__).parents[2]
GUNICORN = ["gunicorn", *PATIENT, "-w", "4", "-b", "127.0.0.1:{port}", "tests.flask.launched_app:app"]


def test_no_request_thread_opens_anything_and_no_cookie_is_set(runtime_directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.visits.cookieless_app"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "OTEL_USAGE_VISIT_MANAGER": "cookieless"},
        check=True,
    )

    visits, has_opted_out, cookies, *opened = done.stdout.splitlines()
    assert opened == []
    assert (visits, has_opted_out, cookies) == ("1", "True", "0")
    assert done.stderr == ""


def cookies_of_answer(server: Launched, agent: str) -> list[str]:
    """Return the cookies that the answer to a request sets."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/item/1", headers={"User-Agent": agent})
    response = connection.getresponse()
    response.read()
    cookies = response.headers.get_all("Set-Cookie", [])
    connection.close()
    return cookies


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["loaded by each worker", "preloaded"])
def test_a_client_has_one_visit_on_all_workers_of_a_server(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, runtime_directory: Path, options: list[str]
) -> None:
    environ = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database),
        "OTEL_USAGE_VISIT_MANAGER": "cookieless",
    }

    with launched([*GUNICORN, *options], environ, tmp_path / "log") as server:
        sent = server.send_until_two_workers_answer(80)
        cookies = [
            cookies_of_answer(server, f"Mozilla/5.0 {name}")
            for name in ("Firefox", "Chrome", "Once")
            for _ in range(20)
        ]
        server.terminate()

    assert not any(cookies)
    visits = usage.query("SELECT visit_key, requests, confirmed FROM visits ORDER BY requests").rows
    assert [(requests, confirmed) for _, requests, confirmed in visits] == [
        (20, 1),
        (20, 1),
        (20, 1),
        (sent, 1),
    ]
    assert usage.query("SELECT sum(visit_is_new), uniqExact(visitor_id) FROM events").rows == [(4, 4)]
