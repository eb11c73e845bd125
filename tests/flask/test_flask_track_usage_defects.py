"""What Flask-Track-Usage got wrong, one promise each: the same app with ours, and a real ClickHouse.

What other tests show already is not repeated; docs/coverage.md says where each defect is looked for.
"""

from __future__ import annotations

import calendar
import http.server
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy
from flask import Flask, g
from werkzeug.test import TestResponse

from otel_usage import wiring
from otel_usage.clickhouse import ClickHouse
from otel_usage.enrich import geo_background, geo_endpoint
from otel_usage.flask import handover
from otel_usage.flask.compat import TrackUsage
from otel_usage.flask.storages import (
    MongoStorage,
    RedisStorage,
    SQLStorage,
    sumLanguage,
    sumRemote,
    sumServer,
    sumUrl,
    sumUserAgent,
)
from tests.serving import ServeProcess
from tests.tracking import clean_process

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S928B/S928BXXU2AXE2) AppleWebKit/537.36 (KHTML, like Gecko) "
    "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36"
)
KEY = UUID("6f1c2f9e-4c7b-4b0e-9d7a-2f3f5a1b8c9d")
SUMMARIES = [sumUrl, sumRemote, sumUserAgent, sumLanguage, sumServer]

Data = dict[str, Any]


class OldApp:
    """An app of Flask-Track-Usage's, of which only the import was changed."""

    def __init__(self, usage: ClickHouse) -> None:
        self.usage = usage
        self.app = Flask("shop")
        self.app.secret_key = "of the app"
        self.app.testing = True
        self.app.config["PROPAGATE_EXCEPTIONS"] = False
        self.calls: list[Data] = []
        self.app.add_url_rule("/", "home", lambda: "home")
        self.app.add_url_rule("/two", "two", lambda: "two")

    def get(self, path: str, peer: str = "203.0.113.7", **headers: str) -> TestResponse:
        """Send a request, of which the headers have underscores for dashes."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.app.test_client().get(path, headers=named, environ_base={"REMOTE_ADDR": peer})

    def stored(self, columns: str) -> list[tuple[Any, ...]]:
        """Return columns of the requests that ClickHouse has, the first one first."""
        processor = wiring._wiring.processor
        assert processor is not None
        assert processor.force_flush(30_000)
        return self.usage.query(
            f"SELECT {columns} FROM events WHERE event_name = 'request' ORDER BY timestamp"
        ).rows


@pytest.fixture
def old(serve: ServeProcess, usage: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[OldApp]:
    monkeypatch.setenv("OTEL_USAGE_DSN", serve.dsn_of(usage.dsn.database))
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    # However busy the machine is.
    monkeypatch.setattr(handover, "WAIT_SECONDS", 60.0)
    with clean_process(monkeypatch):
        yield OldApp(usage)


@pytest.fixture
def slow_endpoint() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a geo service that answers when it is told to, and what tells it."""
    may_answer = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            may_answer.wait(60)
            body = b'{"countryCode": "CH", "region": "Zurich", "city": "Zurich"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{{ip}}", may_answer.set
        may_answer.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "peer", "headers", "status"),
    [
        pytest.param("/product/" + "a" * 60, "203.0.113.7", {}, 200, id="a path of 69 characters"),
        pytest.param("/nowhere/" + "a" * 60, "203.0.113.7", {}, 404, id="a path that is not there"),
        pytest.param("/?q=" + "a" * 300, "203.0.113.7", {}, 200, id="a URL of 300 characters"),
        pytest.param("/", "2001:db8:85a3:8d3:1319:8a2e:370:7348", {}, 200, id="an IPv6 peer"),
        pytest.param(
            "/", "203.0.113.9", {"X_Forwarded_For": "203.0.113.7, 198.51.100.23"}, 200, id="two proxies"
        ),
        pytest.param("/", "203.0.113.7", {"User_Agent": PHONE + "x" * 100}, 200, id="a long agent"),
    ],
)
def test_no_request_is_too_long_to_be_answered_and_stored_whole(
    path: str, peer: str, headers: dict[str, str], status: int, old: OldApp
) -> None:
    old.app.add_url_rule("/product/<slug>", "product", lambda slug: slug)
    TrackUsage(old.app, old.calls.append)

    assert old.get(path, peer, **headers).status_code == status

    bare_path, _, query = path.partition("?")
    ((*texts, code, stored_peer, forwarded),) = old.stored(
        "path, query, status_code, toString(client_address), forwarded_for"
    )
    assert (texts, code) == ([bare_path, query], status)
    assert str(stored_peer).removeprefix("::ffff:") == peer
    assert forwarded == headers.get("X_Forwarded_For", "")
    assert old.calls[0]["url"] == f"http://localhost{path}"


def test_a_long_track_var_is_kept_whole(old: OldApp) -> None:
    old.app.add_url_rule("/long", "long", lambda: g.track_var.update(note="n" * 500) or "ok")
    TrackUsage(old.app, old.calls.append)

    assert old.get("/long").status_code == 200

    assert old.calls[0]["track_var"] == {"note": "n" * 500}
    assert old.stored("JSONExtractString(properties['track_var'], 'note')") == [("n" * 500,)]


def test_a_route_with_a_uuid_is_answered_and_stored(old: OldApp) -> None:
    old.app.add_url_rule("/order/<uuid:key>", "order", lambda key: str(key))
    TrackUsage(old.app, old.calls.append)

    assert old.get(f"/order/{KEY}").status_code == 200

    assert old.calls[0]["view_args"] == {"key": KEY}
    assert old.stored("view_args['key']") == [(str(KEY),)]


def test_a_locked_database_of_a_storage_is_not_felt_by_the_visitor(
    old: OldApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "SHUT_DOWN_SECONDS", 60.0)
    database = tmp_path / "usage.db"
    holder = sqlite3.connect(database, isolation_level=None)
    holder.executescript("CREATE TABLE requests (path TEXT); BEGIN IMMEDIATE")
    tried = threading.Event()

    def store(data: Data) -> None:
        tried.set()
        with sqlite3.connect(database, timeout=60) as connection:
            connection.execute("INSERT INTO requests VALUES (?)", (data["path"],))
        connection.close()

    old.app.testing = False
    TrackUsage(old.app, store)

    # Held by this very thread: a request that waited for it would never end.
    assert [old.get(path).status_code for path in ("/", "/two")] == [200, 200]

    assert old.stored("path") == [("/",), ("/two",)]
    assert tried.wait(30)
    holder.execute("ROLLBACK")
    wiring.shut_down()
    assert holder.execute("SELECT path FROM requests ORDER BY path").fetchall() == [("/",), ("/two",)]
    holder.close()


def test_each_key_of_a_summary_has_its_own_hits(old: OldApp) -> None:
    storage = old_sql_storage()
    TrackUsage(old.app, [storage])
    for path in ("/", "/two", "/two", "/two", "/two"):
        old.get(path)
    old.stored("path")

    for period in ("hour", "day", "month"):
        rows = storage.get_sum(sumUrl, datetime(2020, 1, 1), datetime(2100, 1, 1))[period]
        hits: Counter[str] = Counter()
        for row in rows:  # more than one of a URL, when an hour ends between the requests
            hits[row["url"]] += row["hits"]
        assert hits == {"http://localhost/": 1, "http://localhost/two": 4}


def test_summaries_need_no_table_and_no_database_of_a_certain_kind(old: OldApp) -> None:
    storage = old_sql_storage()
    TrackUsage(old.app, [storage])

    assert old.get("/", User_Agent=PHONE).status_code == 200

    old.stored("path")
    (day,) = storage.get_sum(sumUserAgent, datetime(2020, 1, 1), datetime(2100, 1, 1), target=PHONE)["day"]
    assert len(PHONE) > 128
    assert day["hits"] == 1


def old_sql_storage() -> SQLStorage:
    """The storage as the old app made it, with all summaries, on a database that they never worked on."""
    return SQLStorage(engine=sqlalchemy.create_engine("sqlite://"), hooks=SUMMARIES)


def test_a_geo_service_that_hangs_is_not_felt_and_its_answer_is_not_lost(
    old: OldApp, slow_endpoint: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its answer is waited for by the worker, however busy the machine is.
    monkeypatch.setattr(geo_background, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(geo_endpoint, "TIMEOUT_SECONDS", 60.0)
    endpoint, let_it_answer = slow_endpoint
    old.app.testing = False
    old.app.config.update(TRACK_USAGE_USE_FREEGEOIP=True, TRACK_USAGE_FREEGEOIP_ENDPOINT=endpoint)
    TrackUsage(old.app, old.calls.append)

    # The service answers only after the page is there.
    assert old.get("/", "203.0.113.7").status_code == 200
    let_it_answer()

    assert old.stored("path, country") == [("/", "CH")]


def test_no_storage_prints_anything_nor_asks_its_database(
    old: OldApp, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nobody listens there.
    storages = [MongoStorage("db", "usage", port=1), RedisStorage("127.0.0.1", 1)]
    TrackUsage(old.app, storages)

    assert old.get("/").status_code == 200

    old.stored("path")
    assert capsys.readouterr().out == ""
    assert [[row["path"] for row in storage.get_usage()] for storage in storages] == [["/"], ["/"]]


def test_the_date_is_right_where_clocks_are_put_forward(old: OldApp) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        # That night, clocks there went from 02:00 to 03:00.
        TrackUsage(old.app, old.calls.append, datetime(2026, 3, 8, 2, 30))
        before_ns = time.time_ns()
        old.get("/")
        after_ns = time.time_ns()
    time.tzset()

    assert old.calls[0]["date"] == calendar.timegm((2026, 3, 8, 2, 30, 0))
    ((moment_ns,),) = old.stored("toUnixTimestamp64Nano(timestamp)")
    assert before_ns <= moment_ns <= after_ns


def test_browser_system_language_and_agent_are_known_to_storages_and_in_the_database(old: OldApp) -> None:
    TrackUsage(old.app, old.calls.append)

    old.get("/", User_Agent=PHONE, Accept_Language="de-CH,de;q=0.9")

    agent = old.calls[0]["user_agent"]
    assert (agent.platform, agent.language, agent.string) == ("android", "de-CH", PHONE)
    assert agent.browser
    assert agent.version
    ((browser, system, whole),) = old.stored("browser, os, user_agent")
    assert (bool(browser), system, whole) == (True, "Android", PHONE)


@pytest.mark.parametrize("status", [200, 401])
def test_a_name_that_a_header_claims_is_nobodys_name(status: int, old: OldApp) -> None:
    old.app.add_url_rule("/door", "door", lambda: ("", status))
    TrackUsage(old.app, old.calls.append)

    old.get("/door", Authorization="Basic YWRtaW46Z3Vlc3M=")

    assert (old.calls[0]["authorization"], old.calls[0]["username"]) == (True, None)
    assert old.stored("user_id, has_authorization") == [("", True)]
