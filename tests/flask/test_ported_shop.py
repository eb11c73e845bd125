"""The demo's shop, written for Flask-Track-Usage 2.0.0, runs with ours when one import is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.demo.http_session import Connection, CookieJar
from otel_usage.reports.usage import get_usage
from tests.flask.launching import Launched, launched
from tests.old_package import old_environment
from tests.serving import ServeProcess

OUR_APP = "tests.flask.ported_shop:create_app()"
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
SHOP = Path(__file__).with_name("ported_shop.py")
OUR_LINE = "from otel_usage.flask.compat import TrackUsage\n"
OLD_LINE = "from flask_track_usage import TrackUsage\n"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
HEADERS = {"User-Agent": CHROME, "Accept-Language": "de-CH,de;q=0.9", "X-Forwarded-For": "203.0.113.7"}

Data = dict[str, Any]


class Sent(NamedTuple):
    """One request of the visitor, and what comes of it."""

    method: str
    path: str
    status: int
    views: str = "exclude"
    """In which modes it is tracked."""
    blueprint: str | None = None
    arguments: dict[str, str] | None = {}
    form: tuple[tuple[str, str], ...] = ()


VISIT = (
    Sent("GET", "/", 200, blueprint="catalog"),
    Sent("GET", "/category/desk", 200, blueprint="catalog", arguments={"slug": "desk"}),
    Sent("GET", "/product/ash-spoon", 200, "exclude include", "catalog", {"slug": "ash-spoon"}),
    Sent("GET", "/product/nothing", 404, "exclude include", "catalog", {"slug": "nothing"}),
    Sent("POST", "/cart/add", 302, "exclude include", "cart", form=(("slug", "ash-spoon"),)),
    Sent("GET", "/cart", 200, "exclude include", "cart"),
    Sent("GET", "/catalog.csv", 200, blueprint="catalog"),
    Sent("GET", "/nowhere/at/all", 404, arguments=None),
    Sent("GET", "/voucher", 500, blueprint="pages"),
    Sent("GET", "/healthz", 200, ""),
    Sent("GET", "/signup", 200, ""),
    Sent("POST", "/signup", 302, "", form=(("email", "someone@example.org"),)),
)


class Shop:
    """Runs the ported shop under gunicorn with two workers, and knows what its storage was called with."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._calls = directory / "calls.jsonl"

    @contextmanager
    def running(
        self, app: str, views: str, environ: Mapping[str, str], *, launcher: bool = False
    ) -> Iterator[Launched]:
        """Run it until the block ends; then what waits is stored."""
        command = ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "--pythonpath", str(self._directory), app]
        settings = {"SHOP_CALLS": str(self._calls), "SHOP_VIEWS": views, **environ}
        with launched(command, settings, self._directory / "log", launcher=launcher) as server:
            yield server
            assert server.terminate() == 0

    def calls(self) -> list[Data]:
        """Return what the storage got, in the order in which it was sent."""
        calls = [json.loads(line) for line in self._calls.read_text("utf-8").splitlines()]
        return sorted(calls, key=lambda data: int(data["url_args"]["n"]))


def send_visit(server: Launched) -> None:
    connection, jar = Connection("127.0.0.1", server.port), CookieJar()
    for number, sent in enumerate(VISIT):
        answer = connection.request(sent.method, f"{sent.path}?n={number}", HEADERS, form=sent.form, jar=jar)
        assert (sent.path, answer.status) == (sent.path, sent.status)
    connection.close()


def expected(views: str) -> list[tuple[object, ...]]:
    return [
        (sent.path, sent.status, sent.blueprint, sent.arguments, str(number))
        for number, sent in enumerate(VISIT)
        if views in sent.views.split()
    ]


def usage_summary(row: Data) -> tuple[object, ...]:
    number = row["url"].rpartition("n=")[2]
    return row["path"], row["status"], row["blueprint"], row["view_args"], number


def comparable(data: Data) -> Data:
    """Return the data without what depends on the clock and on the port."""
    host = urlsplit(data["url"]).netloc
    texts = {name: data[name].replace(host, "shop") for name in ("url", "request")}
    assert data["speed"] > 0
    assert data["date"] > 0
    return {name: value for name, value in {**data, **texts}.items() if name not in ("date", "speed")}


def summary(data: Data) -> tuple[object, ...]:
    return data["path"], data["status"], data["blueprint"], data["view_args"], data["url_args"]["n"]


@pytest.fixture
def old_shop(tmp_path: Path) -> Shop:
    """The shop with the old package: the same file with the one line put back, and what lets it import."""
    old_environment()  # or skip
    source = SHOP.read_text("utf-8")
    assert source.count(OUR_LINE) == 1
    directory = tmp_path / "old"
    directory.mkdir()
    (directory / "old_port.py").write_text(source.replace(OUR_LINE, OLD_LINE), "utf-8")
    shim = "from tests.benchmarks.old_shop import import_old\n\nimport_old()\n\nfrom old_port import create_app\n"
    (directory / "start_old_port.py").write_text(shim, "utf-8")
    return Shop(directory)


def our_environment(serve: ServeProcess, usage: ClickHouse) -> dict[str, str]:
    return {"OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database), "OTEL_SERVICE_NAME": "shop", **QUIET}


@pytest.mark.parametrize(
    ("views", "launcher"),
    [
        pytest.param("exclude", False, id="exclude, started as before"),
        pytest.param("include", True, id="include, under the launcher"),
    ],
)
def test_what_was_sent_is_what_the_storage_got_and_what_get_usage_gives(
    views: str, launcher: bool, serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    shop = Shop(tmp_path)

    with shop.running(OUR_APP, views, our_environment(serve, usage), launcher=launcher) as server:
        send_visit(server)

    assert [summary(data) for data in shop.calls()] == expected(views)
    # Newest first, and the visitor sent one request after the other.
    stored = list(reversed(get_usage(dsn=serve.dsn_of(usage.dsn.database))))
    assert [usage_summary(row) for row in stored] == [
        (path, status, blueprint, arguments or None, number)
        for path, status, blueprint, arguments, number in expected(views)
    ]
    assert usage.query("SELECT count() FROM events WHERE event_name = 'request'").rows == [(len(stored),)]


@pytest.mark.parametrize("views", ["exclude", "include"])
def test_the_old_package_tells_the_storage_the_same(
    views: str, old_shop: Shop, serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    our_shop = Shop(tmp_path)
    with our_shop.running(OUR_APP, views, our_environment(serve, usage)) as server:
        send_visit(server)
    with old_shop.running("start_old_port:create_app()", views, old_environment()) as server:
        send_visit(server)

    ours, theirs = (list(map(comparable, shop.calls())) for shop in (our_shop, old_shop))

    assert len(theirs) == len(expected(views))
    assert ours == theirs
