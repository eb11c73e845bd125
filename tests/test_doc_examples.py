"""The programs in docs/examples run as the page says, with real requests, and its SQL says what was sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.demo.http_session import Connection, CookieJar
from otel_usage.reports import ReportParameters, run_report
from tests.docs_tables import DOCS
from tests.flask.launching import Launched, launched
from tests.serving import ServeProcess

EXAMPLES = DOCS / "examples"
PAGE = (DOCS / "plugins.md").read_text("utf-8")

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
OWN_APP = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Mobile Safari/537.36 ShopApp/2.1"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

Run = Callable[..., AbstractContextManager[Launched]]


class Visitor:
    """Sends requests as one browser does, with its cookies."""

    def __init__(self, server: Launched, agent: str = FIREFOX, **headers: str) -> None:
        self._connection = Connection("127.0.0.1", server.port)
        self._headers = {"User-Agent": agent, **headers}
        self._jar = CookieJar()

    def get(self, *paths: str) -> None:
        for path in paths:
            answer = self._connection.request("GET", path, self._headers, jar=self._jar)
            assert answer.status == 200
        self._connection.close()


@pytest.fixture
def run(serve: ServeProcess, usage: ClickHouse, tmp_path: Path) -> Run:
    """Run an example under the launcher; when the block has ended, its events are stored."""

    @contextmanager
    def run_example(program: str, **environ: str) -> Iterator[Launched]:
        command = ["flask", "--app", str(EXAMPLES / program), "run", "--port", "{port}"]
        quiet = {
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        tidy = {"PYTHONDONTWRITEBYTECODE": "1"}
        dsn = {"OTEL_SERVICE_NAME": "shop", "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database)}
        log = tmp_path / "log"
        with launched(command, {**tidy, **quiet, **dsn, **environ}, log) as server:
            yield server
            server.terminate()
        assert "visit plug-in" not in log.read_text()

    return run_example


def sql_of(heading: str) -> list[str]:
    """Return the SQL of a section of the page."""
    section = re.split(r"^##+ ", PAGE.partition(f"### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


def report(usage: ClickHouse, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of a report over the last days."""
    now = datetime.now(timezone.utc)
    result = run_report(usage, name, ReportParameters(now - timedelta(days=1), now + timedelta(days=1)))
    return [tuple(row[result.columns.index(column)] for column in columns) for row in result.rows]


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_the_page_shows_the_whole_program(program: Path) -> None:
    language = {".py": "python", ".toml": "toml"}[program.suffix]

    assert f"```{language}\n{program.read_text('utf-8')}```" in PAGE


def test_the_browser_of_each_visit_is_known_and_the_plugin_tells_the_own_app(
    run: Run, usage: ClickHouse
) -> None:
    with run("browser_per_visit.py") as server:
        for agent in (FIREFOX, FIREFOX, CHROME, OWN_APP, ROBOT):
            Visitor(server, agent).get("/", "/", "/")

    assert sorted(report(usage, "browsers", "browser", "visits", "requests", "bot_requests")) == [
        ("Chrome", 1, 3, 0),
        ("Chrome Mobile WebView", 1, 3, 0),
        ("Firefox", 2, 6, 0),
        ("Googlebot", 1, 3, 3),
    ]
    versions, clients = sql_of("Browser per visit")
    assert usage.query(versions).rows == [
        ("Firefox", "128.0", "Linux", "desktop", 2),
        ("Chrome", "126.0", "Windows", "desktop", 1),
        ("Chrome Mobile WebView", "126.0", "Android", "mobile", 1),
    ]
    assert usage.query(clients).rows == [("browser", "", 3), ("app", "2.1", 1)]


def test_each_visit_has_one_address_and_the_plugin_tells_its_network(run: Run, usage: ClickHouse) -> None:
    claims = ("192.0.2.7", "2001:db8:ff1:0:8a2e:370:7334:1111", "198.51.100.9", "203.0.113.5, 192.0.2.7")
    with run("ip_per_visit.py") as server:
        for claim in claims:
            Visitor(server, **{"X-Forwarded-For": claim}).get("/", "/")

    expected = [("192.0.2.7", 2), ("198.51.100.9", 1), ("2001:db8:ff1:0:8a2e:370:7334:1111", 1)]
    assert sorted(report(usage, "ips", "client_address", "visits")) == expected
    addresses, networks = sql_of("IP per visit")
    assert usage.query(addresses).rows == expected
    assert usage.query(networks).rows == [("office", 3), ("warehouse", 1)]


def test_the_funnel_counts_the_first_time_per_visit_and_the_plugin_leaves_out_who_is_signed_in(
    run: Run, usage: ClickHouse
) -> None:
    funnels = str(EXAMPLES / "sales_funnel.toml")
    with run("sales_funnel.py", OTEL_USAGE_FUNNELS=funnels, FLASK_SECRET_KEY="of the test") as server:
        Visitor(server).get("/", "/index", "/billing", "/sale_complete", "/", "/sale_complete")
        Visitor(server).get("/index", "/billing", "/billing")
        Visitor(server).get("/", "/")
        Visitor(server).get("/sale_complete")  # never saw the pitch
        Visitor(server).get("/sign_in", "/", "/billing", "/sale_complete")
        Visitor(server, ROBOT).get("/", "/billing", "/sale_complete")

    columns = ("funnel", "stage", "visits", "share_of_first")
    assert report(usage, "funnel", *columns) == [
        ("sale", "pitch", 4, 1.0),
        ("sale", "billing", 3, 0.75),
        ("sale", "sale", 2, 0.5),
        ("sale_to_guests", "pitch", 3, 1.0),
        ("sale_to_guests", "billing", 2, pytest.approx(2 / 3)),
        ("sale_to_guests", "sale", 1, pytest.approx(1 / 3)),
    ]
    times, backing_out = sql_of("Sales funnel")
    assert [(pitch is not None, sale is not None) for _, pitch, sale in usage.query(times).rows].count(
        (True, True)
    ) == 2
    assert usage.query(backing_out).rows == [(3, 1)]


def test_a_stage_that_is_reached_again_keeps_its_first_time(run: Run, usage: ClickHouse) -> None:
    with run("sales_funnel.py", OTEL_USAGE_FUNNELS=str(EXAMPLES / "sales_funnel.toml")) as server:
        Visitor(server).get("/", "/sale_complete", "/index", "/sale_complete")

    (row,) = usage.query(sql_of("Sales funnel")[0]).rows
    first_times = usage.query(
        "SELECT min(visit_key), minIf(timestamp, path = '/'), minIf(timestamp, path = '/sale_complete') "
        "FROM events WHERE event_name = 'request'"
    ).rows[0]
    assert row == first_times
