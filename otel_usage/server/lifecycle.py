"""Starts and stops the parts of `serve` in the right order."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from otel_usage.clickhouse import connect
from otel_usage.errors import OtelUsageError
from otel_usage.schema import migrate
from otel_usage.server.access import AccessCheck, is_loopback_name
from otel_usage.server.bodies import BodyReader
from otel_usage.server.clickhouse_http import DEFAULT_DATABASE, ClickHouseHttp
from otel_usage.server.engine import Engine
from otel_usage.server.otlp import OtlpReceiver
from otel_usage.server.serve import ServeOptions
from otel_usage.server.sessions import Sessions
from otel_usage.server.sql_guard import SqlGuard

_ENGINE_THREADS = 8
_OTLP_THREADS = 2
_MAX_CONNECTIONS = 512
_MAX_HEAD_BYTES = 262_144
"""Longest request line and headers: a statement may stand in the URL."""
_FINISH_SECONDS = 20
"""How long running statements may take after the signal, before they are cancelled."""
_SHUTDOWN_SECONDS = 30
"""How long a client may take to send and read, before its connection is cut."""


class Server:
    """All parts of one `serve`.

    Args:
        options: how to serve.
        on_ready: gets the line that tells the addresses, once everything answers.

    Raises:
        OtelUsageError: a port or the data directory cannot be used; one line that says why and what to do.
    """

    def __init__(self, options: ServeOptions, on_ready: Callable[[str], None]) -> None:
        self._on_ready = on_ready
        self._options = options
        self._data = options.data.absolute()
        # The ports first: opening the engine takes longer and writes. Nothing is undone after a failure, because
        # the process ends.
        self._http_socket = _bind(options.host, options.http_port, "--http-port")
        self._otlp_socket = _bind(options.host, options.otlp_port, "--otlp-port")
        self._http_url, self._otlp_url = _url(self._http_socket), _url(self._otlp_socket)
        self._dsn = f"{self._http_url}/{DEFAULT_DATABASE}"
        self._engine = Engine(self._data)
        self._engine_threads = ThreadPoolExecutor(_ENGINE_THREADS, "engine")
        self._otlp_threads = ThreadPoolExecutor(_OTLP_THREADS, "otlp")

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            OtelUsageError: the schema could not be brought up to date.
        """
        self._stop = asyncio.Event()
        self._handle_signals()
        options = self._options
        self._create_database()
        guard = SqlGuard(self._engine.catalogue())
        sessions = Sessions(self._engine, DEFAULT_DATABASE)
        reader = BodyReader(options.max_body_bytes)
        clickhouse = ClickHouseHttp(self._engine, guard, sessions, self._engine_threads, reader)
        receiver = OtlpReceiver(self._dsn, self._otlp_threads, reader)
        http = self._start(clickhouse.app, self._http_socket)
        try:
            await http.answering()
            await asyncio.to_thread(self._migrate)
            otlp = self._start(receiver.app, self._otlp_socket)
            await otlp.answering()
            _spare_garbage_collection()
            self._on_ready(self._ready_line())
            await self._stop.wait()
            # The receiver first: what it has accepted goes through the other port.
            await self._finish(otlp)
        finally:
            receiver.close()
            await self._finish(http)
            self._otlp_threads.shutdown()
            self._engine_threads.shutdown()
            sessions.close()
            self._engine.close()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if self._stop.is_set():
            # The second signal: somebody does not want to wait. The engine's directory survives a kill.
            self._engine.bodies.remove()
            os._exit(128 + number)
        self._stop.set()

    def _create_database(self) -> None:
        with self._engine.handle() as handle:
            handle.run(f"CREATE DATABASE IF NOT EXISTS {DEFAULT_DATABASE} ENGINE = Atomic")

    def _migrate(self) -> None:
        client = connect(self._dsn)
        try:
            migrate(client, retention_days=self._options.retention_days)
        finally:
            client.close()

    def _start(self, app: ASGIApp, listener: socket.socket) -> _Port:
        allowed = self._options.allowed_hosts
        if not _is_wildcard(self._options.host):
            allowed = (*allowed, self._options.host)
        return _Port(AccessCheck(app, allowed), listener)

    async def _finish(self, port: _Port) -> None:
        """Let a port answer what it has accepted; what takes too long is cancelled and answered with an error."""
        finishing = asyncio.create_task(port.finish())
        await asyncio.wait([finishing], timeout=_FINISH_SECONDS)
        if not finishing.done():
            await asyncio.to_thread(self._engine.cancel_queries)
        await finishing

    def _ready_line(self) -> str:
        reach = "loopback only" if is_loopback_name(self._options.host) else "open to all who reach this host"
        data = shlex.quote(str(self._data))
        return f"ready http={self._http_url} otlp={self._otlp_url} data={data} dsn={self._dsn} ({reach})"


class _UvicornServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `Server`, which stops several ports in order."""
        yield


class _Port:
    """One listening port, from its start on."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        self._server = _UvicornServer(config)
        self._task = asyncio.create_task(self._server.serve([listener]))

    async def answering(self) -> None:
        """Return when the port accepts connections."""
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.001)

    async def finish(self) -> None:
        """Accept nothing more, and return when all requests are answered."""
        self._server.should_exit = True
        await self._task


def _spare_garbage_collection() -> None:
    """Collect seldom.

    A batch makes tens of thousands of objects and no cycles; looking for some took a quarter of the time of decoding.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _bind(host: str, port: int, option: str) -> socket.socket:
    """Return a bound socket that does not listen yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer takes 44 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        is_host = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        cure = (
            "Choose an address of this computer with --host" if is_host else f"Choose another port with {option}"
        )
        raise OtelUsageError(f"Cannot listen on {host}:{port}: {reason}. {cure}") from None
    return listener


def _is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


def _url(listener: socket.socket) -> str:
    """Return where a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    if _is_wildcard(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
