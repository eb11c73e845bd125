"""Real servers under the real launcher, with no change to the site: every request is stored, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.flask.launching import ROOT, launched
from tests.ports import free_port
from tests.serving import ServeProcess, wait_for

REQUESTS = 40
ITEM = "/item/{}/"
MANAGE = str(Path(__file__).parent / "launched" / "manage.py")
RUNSERVER = ["python", MANAGE, "runserver", "127.0.0.1:{port}"]
GUNICORN = ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "tests.django.launched.wsgi"]
UVICORN = ["uvicorn", "--port", "{port}", "--no-access-log", "tests.django.launched.asgi:application"]
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.django.project.settings"}
WITHOUT_CONTRIB = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "django"}
CURE = "Set it before the start: export DJANGO_SETTINGS_MODULE="


def environ_of(serve: ServeProcess, usage: ClickHouse, **more: str) -> dict[str, str]:
    return {**QUIET, "OTEL_SERVICE_NAME": "shop", "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database), **more}


def stored(usage: ClickHouse) -> tuple[object, ...]:
    """Return the number of requests, of different events, and of those with route and visit."""
    return usage.query(
        """
        SELECT countIf(event_name = 'request'), uniqExact(event_id),
               countIf(route = 'item/<int:number>/' AND visit_key != '')
        FROM events
        """
    ).rows[0]


@pytest.mark.parametrize(
    ("command", "more"),
    [
        pytest.param([*RUNSERVER, "--noreload"], SETTINGS, id="runserver --noreload"),
        pytest.param(GUNICORN, SETTINGS, id="gunicorn"),
        pytest.param([*GUNICORN, "--preload", "--max-requests", "15"], SETTINGS, id="gunicorn --preload"),
        pytest.param([*GUNICORN, "--threads", "4"], SETTINGS, id="gunicorn with threads"),
        pytest.param(GUNICORN, WITHOUT_CONTRIB, id="contrib switched off, and no variable"),
        pytest.param(UVICORN, SETTINGS, id="uvicorn"),
        pytest.param([*UVICORN, "--workers", "2"], SETTINGS, id="uvicorn with two workers"),
        pytest.param(UVICORN, {**SETTINGS, **WITHOUT_CONTRIB}, id="uvicorn without contrib"),
    ],
)
def test_every_request_is_stored_though_the_server_is_told_to_end_right_after(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, command: list[str], more: dict[str, str]
) -> None:
    with launched(command, environ_of(serve, usage, **more), tmp_path / "log") as server:
        answers = server.send(REQUESTS, path=ITEM)
        server.terminate()

    assert {status for status, _ in answers} == {200}
    assert stored(usage) == (REQUESTS, REQUESTS, REQUESTS)
    assert CURE not in (tmp_path / "log").read_text()


def test_runserver_with_its_reloader_stores_every_request(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    with launched(RUNSERVER, environ_of(serve, usage, **SETTINGS), tmp_path / "log") as server:
        server.send(REQUESTS, path=ITEM)
        # The reloader ends its child by SIGKILL, so what it has not sent by then is lost.
        wait_for(lambda: stored(usage)[0] == REQUESTS, "storing everything")
        server.terminate()

    assert stored(usage) == (REQUESTS, REQUESTS, REQUESTS)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*RUNSERVER, "--noreload"], id="runserver"),
        pytest.param([*GUNICORN, "-w", "1"], id="gunicorn"),
        pytest.param(UVICORN, id="uvicorn"),
    ],
)
def test_without_the_variable_of_the_settings_the_log_names_the_cure_once(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, command: list[str]
) -> None:
    log = tmp_path / "log"

    try:
        with launched(command, environ_of(serve, usage), log) as server:
            server.get("/item/1/")
            server.terminate()
    except AssertionError:
        pass  # some servers do not get as far as to listen

    assert log.read_text().count(CURE) == 1


@pytest.mark.parametrize(
    ("settings", "cause", "cure"),
    [
        ("shop.setings", "is 'shop.setings', which could not be found", "put that into PYTHONPATH"),
        ("broken_settings", "'broken_settings' could not be loaded", "python -c 'import broken_settings'"),
    ],
)
def test_settings_that_cannot_be_had_are_told_apart_from_those_that_nobody_named(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, settings: str, cause: str, cure: str
) -> None:
    (tmp_path / "broken_settings.py").write_text("import a_package_that_is_not_there\n")
    log = tmp_path / "log"
    environ = environ_of(
        serve, usage, DJANGO_SETTINGS_MODULE=settings, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}"
    )

    with launched([*GUNICORN, "-w", "1"], environ, log) as server:
        server.get("/item/1/")

    told = [line for line in log.read_text().splitlines() if "gave Django empty settings" in line]
    assert len(told) == 1
    assert cause in told[0]
    assert cure in told[0]


APP_WITHOUT_LAUNCHER = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="s", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, INSTALLED_APPS=["otel_usage.django"], MIDDLEWARE=[]
)
django.setup()
urlpatterns = []
from django.test import Client
for _ in range(2):
    assert Client().get("/").status_code == 404
"""


def test_the_app_without_the_launcher_says_once_that_requests_are_not_tracked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APP_WITHOUT_LAUNCHER],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr.count("requests and logins are not tracked in this process") == 1


WITHOUT_DJANGO = """
import sys
if "block" in sys.argv:
    sys.modules["django"] = None
import logging
logging.basicConfig(level=0, stream=sys.stdout)
import otel_usage
otel_usage.configure(exporter="console")
from otel_usage.django import DjangoUsageInstrumentor
from otel_usage.flask import FlaskUsageInstrumentor
DjangoUsageInstrumentor().instrument()
FlaskUsageInstrumentor().instrument()
import flask
app = flask.Flask("shop")
app.add_url_rule("/", "home", lambda: "home")
assert app.test_client().get("/").status_code == 200
assert sys.modules.get("django") is None
assert not [name for name in sys.modules if name.startswith("django.")]
otel_usage.wiring.shut_down()
"""


@pytest.mark.parametrize("option", ["block", "installed"])
def test_a_process_of_flask_alone_never_imports_django(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DJANGO, option], capture_output=True, text=True, timeout=120, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stdout
    assert '"request"' in done.stdout


def test_with_a_dead_clickhouse_pages_are_served_and_the_server_ends_in_bounded_time(tmp_path: Path) -> None:
    environ = {**QUIET, **SETTINGS, "OTEL_USAGE_DSN": f"http://127.0.0.1:{free_port()}/otel_usage"}

    with launched([*RUNSERVER, "--noreload"], environ, tmp_path / "log") as server:
        answers = server.send(20, path=ITEM)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)

    assert {status for status, _ in answers} == {200}
    lost = "Shutting down with 20 usage events that could not be sent and are lost"
    assert lost in (tmp_path / "log").read_text()
