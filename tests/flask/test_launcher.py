"""Real servers under the real launcher, with no change to the app: every request is stored, once."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
from pathlib import Path

import pytest

from otel_usage.clickhouse import ClickHouse, connect
from tests.flask.launching import launched
from tests.ports import free_port
from tests.serving import ServeProcess, start_serve, wait_for

REQUESTS = 80

FLASK = ["flask", "--app", "tests.flask.launched_app:create_app", "run", "--port", "{port}"]
GUNICORN = ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "tests.flask.launched_app:app"]
UVICORN = ["uvicorn", "--port", "{port}", "--no-access-log", "tests.flask.launched_asgi:app"]
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}

needs_asgiref = pytest.mark.skipif(
    importlib.util.find_spec("asgiref") is None, reason="WsgiToAsgi needs asgiref"
)


def environ_of(serve: ServeProcess, usage: ClickHouse, **more: str) -> dict[str, str]:
    return {
        **QUIET,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_USAGE_DSN": serve.dsn_of(usage.dsn.database),
        **more,
    }


def stored(usage: ClickHouse) -> tuple[object, ...]:
    """Return the number of requests, of different events, of spans with route and visit, and of services."""
    return usage.query(
        """
        SELECT countIf(event_name = 'request'), uniqExact(event_id),
               countIf(route = '/item/<int:number>' AND visit_key != ''),
               groupUniqArray(service_name)
        FROM events
        """
    ).rows[0]


@pytest.mark.parametrize(
    ("command", "more"),
    [
        pytest.param(FLASK, {}, id="flask run"),
        pytest.param([*GUNICORN, "-w", "4"], {}, id="gunicorn -w 4"),
        pytest.param([*GUNICORN, "-w", "4", "--preload"], {}, id="gunicorn -w 4 --preload"),
        pytest.param(
            [*GUNICORN, "--worker-class", "gthread", "--threads", "4"], {}, id="gunicorn with threads"
        ),
        pytest.param(UVICORN, {}, id="uvicorn", marks=needs_asgiref),
        pytest.param(
            GUNICORN,
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            id="traces sampled at 1 %",
        ),
        pytest.param(
            GUNICORN,
            {"OTEL_TRACES_SAMPLER": "otel_usage", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            id="our sampler by its name",
        ),
        pytest.param(GUNICORN, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"}, id="contrib switched off"),
        pytest.param(
            GUNICORN, {"OTEL_TRACES_EXPORTER": "otel_usage_clickhouse"}, id="our traces exporter by its name"
        ),
        pytest.param(
            GUNICORN,
            {"OTEL_PYTHON_DISTRO": "none", "OTEL_PYTHON_CONFIGURATOR": "none"},
            id="without a distro",
        ),
    ],
)
def test_every_request_is_stored_though_the_server_is_told_to_end_right_after(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path, command: list[str], more: dict[str, str]
) -> None:
    with launched(command, environ_of(serve, usage, **more), tmp_path / "log") as server:
        answers = server.send(REQUESTS)
        server.terminate()

    assert {status for status, _ in answers} == {200}
    assert stored(usage) == (REQUESTS, REQUESTS, REQUESTS, ["shop"])


def test_events_that_are_sent_by_otlp_are_stored_once(tmp_path: Path) -> None:
    serve = start_serve(tmp_path / "data")
    usage = connect(serve.dsn)
    environ = {
        **QUIET,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_USAGE_EXPORTER": "otlp",
        "OTEL_USAGE_OTLP_ENDPOINT": serve.otlp_url,
    }

    try:
        with launched(GUNICORN, environ, tmp_path / "log") as server:
            server.send(REQUESTS)
            server.terminate()

        assert stored(usage) == (REQUESTS, REQUESTS, REQUESTS, ["shop"])
    finally:
        usage.close()
        serve.stop()


def test_disabled_the_app_runs_as_if_we_were_not_there(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    environ = environ_of(serve, usage, OTEL_USAGE_DISABLED="true")

    with launched(FLASK, environ, tmp_path / "log") as server:
        answers = server.send(5)
        server.terminate()

    assert {status for status, _ in answers} == {200}
    assert stored(usage)[0] == 0


def test_with_a_dead_clickhouse_a_server_ends_in_bounded_time(tmp_path: Path) -> None:
    environ = {**QUIET, "OTEL_USAGE_DSN": f"http://127.0.0.1:{free_port()}/otel_usage"}

    with launched(FLASK, environ, tmp_path / "log") as server:
        answers = server.send(20)
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(30)

    assert {status for status, _ in answers} == {200}
    assert code == -signal.SIGTERM
    assert (
        "Shutting down with 20 usage events that could not be sent and are lost"
        in (tmp_path / "log").read_text()
    )


def test_a_visit_goes_on_over_all_workers_of_a_server(
    serve: ServeProcess, usage: ClickHouse, tmp_path: Path
) -> None:
    with launched(GUNICORN, environ_of(serve, usage), tmp_path / "log") as server:
        pids: set[bytes] = set()
        cookie, sent = "", 0

        def have_two_answered() -> bool:
            nonlocal cookie, sent
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request(
                "GET", f"/item/{sent}", headers={"Cookie": cookie, "User-Agent": "Mozilla/5.0"}
            )
            response = connection.getresponse()
            pids.add(response.read())
            cookie = (response.getheader("Set-Cookie") or cookie).partition(";")[0]
            connection.close()
            sent += 1
            return sent >= 40 and len(pids) > 1

        # The first worker may be there long before the other one is.
        wait_for(have_two_answered, "an answer of the second worker")
        server.terminate()

    assert usage.query("SELECT count(), uniqExact(visit_key), sum(visit_is_new) FROM events").rows == [
        (sent, 1, 1)
    ]


def test_killing_clickhouse_during_traffic_changes_no_answer_and_loses_no_event(tmp_path: Path) -> None:
    port = free_port()
    data = tmp_path / "data"
    first = start_serve(data, "--http-port", str(port))
    environ = {**QUIET, "OTEL_USAGE_DSN": first.dsn, "OTEL_USAGE_FLUSH_INTERVAL_SECONDS": "0.05"}
    kill_at, requests = 300, 900

    def kill(number: int) -> None:
        if number == kill_at:
            os.kill(first.process.pid, signal.SIGKILL)

    with launched(GUNICORN, environ, tmp_path / "log") as server:
        answers = server.send(requests, kill)
        with first.process:
            assert first.process.wait(60) == -signal.SIGKILL
        second = start_serve(data, "--http-port", str(port))
        try:
            client = connect(second.dsn)
            wait_for(
                lambda: client.query("SELECT count() FROM events").rows[0][0] >= requests,
                "storing everything",
            )
            server.terminate()

            assert {status for status, _ in answers} == {200}
            assert client.query("SELECT count(), uniqExact(event_id) FROM events").rows == [
                (requests, requests)
            ]
            views = ("browsers_daily", "ips_daily", "pages_daily", "visits")
            sums = {view: client.query(f"SELECT sum(requests) FROM {view}").rows[0][0] for view in views}
            assert sums == dict.fromkeys(views, requests)
            client.close()
        finally:
            second.stop()
