"""One session per user under gunicorn with several processes, launched without a change to the site."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.flask.launching import ROOT, Launched, launched
from tests.flask.test_launcher import QUIET
from tests.serving import ServeProcess, wait_for

GUNICORN = ["gunicorn", "-w", "3", "-b", "127.0.0.1:{port}", "django.core.wsgi:get_wsgi_application()"]
MAKE_USER = "import django; django.setup(); from django.contrib.auth import get_user_model as m; m().objects.create_user('ann')"
BROWSERS = 8


class Browser:
    """A client with cookies of its own."""

    def __init__(self, server: Launched) -> None:
        self._base = f"http://127.0.0.1:{server.port}"
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self._opener.addheaders = [("User-Agent", "Mozilla/5.0 Firefox/127.0")]

    def get(self, path: str) -> str:
        with self._opener.open(self._base + path, timeout=60) as response:
            return str(response.read().decode())


@pytest.fixture(params=["db", "file", "signed_cookies"])
def server(
    request: pytest.FixtureRequest, serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> Iterator[Launched]:
    environ = {
        **QUIET,
        "DJANGO_SETTINGS_MODULE": "tests.django.project.settings",
        "TEST_SITE_DATABASE": str(tmp_path / "site.sqlite3"),
        "TEST_SITE_SESSION_ENGINE": f"django.contrib.sessions.backends.{request.param}",
        "TMPDIR": str(tmp_path),
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database),
        "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.1",
        "OTEL_USAGE_ONE_SESSION_PER_USER": "true",
    }
    for command in (["-m", "django", "migrate", "--run-syncdb", "-v", "0"], ["-c", MAKE_USER]):
        subprocess.run(
            [sys.executable, *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ, "OTEL_USAGE_DISABLED": "true"},
            check=True,
        )
    with launched(GUNICORN, environ, tmp_path / "log") as running:
        yield running


def test_logins_one_after_the_other_and_at_once_leave_one_live_session(
    server: Launched, usage: ClickHouse
) -> None:
    first, second = Browser(server), Browser(server)
    first.get("/login/ann/")
    second.get("/login/ann/")
    assert [browser.get("/who/") for browser in (first, second)] == ["AnonymousUser", "ann"]

    browsers = [Browser(server) for _ in range(BROWSERS)]
    together = threading.Barrier(BROWSERS)

    def sign_in(browser: Browser) -> str:
        together.wait()
        return browser.get("/login/ann/")

    with ThreadPoolExecutor(BROWSERS) as threads:
        answers = list(threads.map(sign_in, browsers))

    assert answers == ["in"] * BROWSERS
    signed_in = [browser.get("/who/") for browser in (first, second, *browsers)]
    assert sorted(signed_in) == ["AnonymousUser"] * (BROWSERS + 1) + ["ann"]

    def ended() -> list[tuple[str, str]]:
        return usage.query(
            "SELECT properties['session'], properties['reason'] FROM events WHERE event_name = 'session_ended'"
        ).rows

    wait_for(lambda: len(ended()) == BROWSERS + 1, "the end of all sessions but one")
    assert {reason for _, reason in ended()} == {"one_session_per_user"}

    def logins() -> tuple[int, int]:
        count, different = usage.query(
            "SELECT count(), uniqExact(properties['session']) FROM events WHERE event_name = 'login'"
        ).rows[0]
        return count, different

    # Each worker has a queue of its own, so another one's logins may come later.
    wait_for(lambda: logins()[0] >= BROWSERS + 2, "storing the logins")
    assert logins() == (BROWSERS + 2, BROWSERS + 2)
