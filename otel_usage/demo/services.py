"""The two servers of the demo: `otel-usage serve`, and the shop under the launcher with two workers."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from otel_usage.demo.processes import Child, ChildError
from otel_usage.demo.requirements import LAUNCHER, PROGRAMS
from otel_usage.demo.shop import SECRET_VARIABLE
from otel_usage.demo.stacks import FLASK, Stack

SERVICE_NAME = "demo-shop"
FUNNELS_FILE = Path(__file__).with_name("funnels.toml")
PROBE_PATH = "/static/otel-usage-demo-probe"
"""Asked for until the shop answers. Excluded from tracking, in whatever way the demo is run."""

_FOREIGN_SETTINGS = ("OTEL_", "FLASK_", "DJANGO_", "GUNICORN_", "UVICORN_", SECRET_VARIABLE)
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Serve:
    """A running `otel-usage serve`."""

    child: Child
    http: str
    """Address of the ClickHouse HTTP interface."""
    otlp: str
    """Address of the OTLP receiver."""
    dsn: str


@dataclass(frozen=True, slots=True)
class Shop:
    """The running shop."""

    child: Child
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def running_serve(directory: Path) -> Iterator[Serve]:
    """Run `otel-usage serve` on free ports with its data below a directory.

    Raises:
        ChildError: it did not start.
    """
    command: list[str | Path] = [sys.executable, "-m", "otel_usage", "serve", "--data", directory / "data"]
    command += ["--http-port", "0", "--otlp-port", "0"]
    with Child("otel-usage serve", command, log_path=directory / "serve.log", env=_environment()) as child:
        ready = child.wait_for_line("^ready (.+)", timeout_seconds=_START_SECONDS)
        words = shlex.split(ready[1])
        address_by_name = dict(word.split("=", 1) for word in words if "=" in word)
        yield Serve(child, address_by_name["http"], address_by_name["otlp"], address_by_name["dsn"])


@contextmanager
def running_shop(directory: Path, settings: Mapping[str, str], stack: Stack = FLASK) -> Iterator[Shop]:
    """Run the shop under `opentelemetry-instrument` and a server of its framework.

    Args:
        directory: where its log is written.
        settings: environment variables on top of those that every way of running the demo needs.
        stack: the framework and the server.

    Raises:
        ChildError: it did not start.
    """
    command: list[str | Path] = [PROGRAMS / LAUNCHER, PROGRAMS / stack.program, *stack.arguments]
    env = {
        **_environment(),
        "OTEL_SERVICE_NAME": SERVICE_NAME,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_USAGE_FUNNELS": str(FUNNELS_FILE),
        "OTEL_USAGE_TRUSTED_PROXIES": "127.0.0.0/8,::1",
        SECRET_VARIABLE: secrets.token_hex(32),
        **stack.environment,
        **settings,
    }
    with Child("the shop", command, log_path=directory / "shop.log", env=env) as child:
        listening = child.wait_for_line(stack.listening_line, timeout_seconds=_START_SECONDS)
        place = urlsplit(listening[1])
        shop = Shop(child, place.hostname or "", place.port or 0)
        _wait_until_it_answers(shop)
        yield shop


def _environment() -> dict[str, str]:
    """Return our environment without what would make the servers do something else than the plan expects."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}


def _wait_until_it_answers(shop: Shop) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and shop.child.is_running():
        connection = HTTPConnection(shop.host, shop.port, timeout=5)
        try:
            connection.request("GET", PROBE_PATH)
            connection.getresponse().read()
            return
        except (OSError, HTTPException):
            time.sleep(_POLL_SECONDS)
        finally:
            connection.close()
    raise ChildError("the shop does not answer")
