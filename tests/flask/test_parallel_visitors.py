"""Many visitors at once, each of whose first requests run in parallel on several workers."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.flask.launching import PATIENT, Launched, launched
from tests.serving import ServeProcess

CLIENTS, PARALLEL, SEQUENCE = 32, 8, 20
GUNICORN = ["gunicorn", "-w", "4", "--worker-class", "gthread", "--threads", "8"]
APP = ["-b", "127.0.0.1:{port}", "tests.flask.launched_app:app"]


class Browser:
    """One visitor: an address of its own behind the proxy, and a cookie jar in which the last answer wins."""

    def __init__(self, server: Launched, number: int) -> None:
        self._server = server
        self._address = f"203.0.113.{number}"
        self._cookie = ""

    def visit(self) -> list[int]:
        """Send the first requests in parallel, as a page with its parts does, and the others one by one."""
        with ThreadPoolExecutor(PARALLEL) as tabs:
            answers = list(tabs.map(lambda _: self._get(""), range(PARALLEL)))
        statuses = [status for status, _ in answers]
        self._cookie = next((cookie for _, cookie in reversed(answers) if cookie), "")
        for _ in range(SEQUENCE):
            status, cookie = self._get(self._cookie)
            statuses.append(status)
            self._cookie = cookie or self._cookie
        return statuses

    def _get(self, cookie: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        try:
            headers = {"User-Agent": "Mozilla/5.0 Firefox/127.0", "X-Forwarded-For": self._address}
            connection.request(
                "GET", "/item/1", headers={**headers, **({"Cookie": cookie} if cookie else {})}
            )
            response = connection.getresponse()
            response.read()
            morsels = SimpleCookie(response.getheader("Set-Cookie") or "")
            return response.status, "; ".join(f"{name}={morsel.value}" for name, morsel in morsels.items())
        finally:
            connection.close()


@pytest.mark.parametrize(("manager", "opened"), [("cookie", CLIENTS * PARALLEL), ("cookieless", CLIENTS)])
def test_each_visitor_whose_first_requests_run_in_parallel_is_one_confirmed_visit(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, manager: str, opened: int
) -> None:
    environ = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database),
        "OTEL_USAGE_VISIT_MANAGER": manager,
        "OTEL_USAGE_TRUSTED_PROXIES": "127.0.0.1",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }

    with launched([*GUNICORN, *PATIENT, *APP], environ, tmp_path / "log") as server:
        browsers = [Browser(server, number) for number in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as visitors:
            statuses = [status for seen in visitors.map(Browser.visit, browsers) for status in seen]
        server.terminate()

    requests = CLIENTS * (PARALLEL + SEQUENCE)
    assert statuses == [200] * requests
    assert usage.query(
        "SELECT sum(requests), count(), countIf(confirmed), uniqExactIf(client_address, confirmed) FROM visits"
    ).rows == [(requests, opened, CLIENTS, CLIENTS)]
    assert usage.query("SELECT countIf(visit_is_new) FROM events").rows == [(opened,)]
