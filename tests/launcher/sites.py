"""A site started under `opentelemetry-instrument` by a server of the reader's choice, and its visitors."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from otel_usage.clickhouse import ClickHouse
from otel_usage.demo.http_session import Connection, CookieJar
from otel_usage.demo.processes import Child
from tests.serving import wait_for

PROJECT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
PROBE_PATH = "/static/probe"
"""Excluded from tracking by default, so that asking whether the site answers counts nothing."""
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    # A connection per request, so that all workers get some; asgiref's adapter also answers 500 to every
    # other request of a connection that is kept, with tracking or without.
    "Connection": "close",
}

FLASK = ("flask", "--app", "tests.launcher.apps", "run", "--port", "{port}", "--no-reload")
GUNICORN = ("gunicorn", "--no-control-socket", "-b", "127.0.0.1:{port}", "tests.launcher.apps:app")
UVICORN = ("uvicorn", "--port", "{port}", "tests.launcher.asgi_app:app")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def environment(**settings: str) -> dict[str, str]:
    """Return our environment as a site has it: nothing but what the test says of OpenTelemetry."""
    foreign = ("OTEL_", "_OTEL_", "FLASK_", "GUNICORN_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **inherited,
        "PYTHONPATH": str(PROJECT),
        "OTEL_SERVICE_NAME": "site",
        # The distro, which the tests install, asks for an exporter that is not there otherwise.
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **settings,
    }


@contextmanager
def running_site(command: Sequence[str], log_path: Path, settings: Mapping[str, str]) -> Iterator[Site]:
    """Start the command under the launcher; `{port}` in it becomes a free one."""
    port = free_port()
    program, *arguments = (part.format(port=port) for part in command)
    full: list[str | Path] = [PROGRAMS / "opentelemetry-instrument", PROGRAMS / program, *arguments]
    with Child(program, full, log_path=log_path, env=environment(**settings)) as child:
        site = Site(child, port)
        wait_for(lambda: site.answers() or not child.is_running(), "the site's first answer")
        assert child.is_running(), child.output()
        yield site


class Site:
    """A running site."""

    def __init__(self, child: Child, port: int) -> None:
        self.child = child
        self._connection = Connection("127.0.0.1", port)

    def get(self, path: str, jar: CookieJar | None = None) -> int:
        """Request a page as a browser does and return the status."""
        return self._connection.request("GET", path, BROWSER, jar=jar).status

    def answers(self) -> bool:
        try:
            return self.get(PROBE_PATH) == 404
        except (OSError, HTTPException):
            return False

    def stop(self) -> None:
        """Send SIGTERM and wait for the end."""
        self._connection.close()
        assert self.child.stop() is not None, f"it had to be killed: {self.child.output()}"


def stored_paths(client: ClickHouse) -> list[str]:
    """Return the paths of all stored request events, sorted."""
    rows = client.query("SELECT path FROM events WHERE event_name = 'request' ORDER BY path").rows
    return [path for (path,) in rows]


def counts(client: ClickHouse) -> tuple[int, int, int]:
    """Return the number of events, of distinct event ids, and of requests in the daily view."""
    (stored,) = client.query("SELECT count(), uniqExact(event_id) FROM events").rows
    (summed,) = client.query("SELECT sum(requests) FROM browsers_daily").rows
    return int(stored[0]), int(stored[1]), int(summed[0])
