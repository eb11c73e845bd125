"""Starts and stops the parts of `serve` in the right order."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp

from otel_usage.clickhouse import connect
from otel_usage.errors import SettingError
from otel_usage.schema import migrate
from otel_usage.server.access import AccessCheck, check_allowed_host, is_loopback_name
from otel_usage.server.bodies import BodyReader
from otel_usage.server.clickhouse_http import DEFAULT_DATABASE, ClickHouseHttp
from otel_usage.server.engine import Engine
from otel_usage.server.otlp import OtlpReceiver
from otel_usage.server.port import Port, is_wildcard
from otel_usage.server.serve import ServeOptions
from otel_usage.server.sessions import Sessions
from otel_usage.server.sql_guard import SqlGuard

_ENGINE_THREADS = 8
_OTLP_THREADS = 2
_FINISH_SECONDS = 20
"""How long running statements may take after the signal, before they are cancelled."""


class Server:
    """All parts of one `serve`.

    Args:
        options: how to serve.
        on_ready: gets the line that tells the addresses, once everything answers.

    Raises:
        SettingError: the options do not fit together, or the data directory holds what is not ours.
        OtelUsageError: a port or the data directory cannot be used; one line that says why and what to do.
    """

    def __init__(self, options: ServeOptions, on_ready: Callable[[str], None]) -> None:
        self._on_ready = on_ready
        self._options = options
        self._data = options.data.resolve()
        _check(options)
        # The ports first: opening the engine takes longer and writes. Nothing is undone after a failure, because
        # the process ends.
        self._http = Port(options.host, options.http_port, "--http-port")
        self._otlp = Port(options.host, options.otlp_port, "--otlp-port")
        self._dsn = f"{self._http.url}/{DEFAULT_DATABASE}"
        self._engine = Engine(self._data)
        self._engine_threads = ThreadPoolExecutor(_ENGINE_THREADS, "engine")
        self._otlp_threads = ThreadPoolExecutor(_OTLP_THREADS, "otlp")

    async def run(self) -> None:
        """Serve until a signal comes.

        Raises:
            OtelUsageError: the schema could not be brought up to date, or a port does not listen, or no more.
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
        try:
            await self._start(self._http, clickhouse.app)
            await asyncio.to_thread(self._migrate)
            await self._start(self._otlp, receiver.app)
            _spare_garbage_collection()
            self._on_ready(self._ready_line())
            await self._until_stopped()
        finally:
            # The receiver first: what it has accepted goes through the other port.
            await self._finish(self._otlp)
            receiver.close()
            await self._finish(self._http)
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
            migrate(
                client,
                retention_days=self._options.retention_days,
                summary_retention_days=self._options.summary_retention_days,
                traces_retention_days=self._options.traces_retention_days,
            )
        finally:
            client.close()

    async def _start(self, port: Port, app: ASGIApp) -> None:
        allowed = self._options.allowed_hosts
        if not is_wildcard(self._options.host):
            allowed = (*allowed, self._options.host)
        await port.start(AccessCheck(app, allowed))

    async def _until_stopped(self) -> None:
        """Return after a signal.

        Raises:
            OtelUsageError: a port has ended by itself.
        """
        stopping = asyncio.create_task(self._stop.wait())
        ends = {asyncio.create_task(port.ended()): port for port in (self._http, self._otlp)}
        await asyncio.wait([stopping, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *ends):
            task.cancel()
        for task, port in ends.items():
            if task.done() and not self._stop.is_set():
                raise port.failure()

    async def _finish(self, port: Port) -> None:
        """Let a port answer what it has accepted; what takes too long is cancelled and answered with an error."""
        finishing = asyncio.create_task(port.finish())
        await asyncio.wait([finishing], timeout=_FINISH_SECONDS)
        if not finishing.done():
            await asyncio.to_thread(self._engine.cancel_queries)
        await finishing

    def _ready_line(self) -> str:
        reach = "loopback only" if is_loopback_name(self._options.host) else "open to all who reach this host"
        data = shlex.quote(str(self._data))
        return f"ready http={self._http.url} otlp={self._otlp.url} data={data} dsn={self._dsn} ({reach})"


def _check(options: ServeOptions) -> None:
    """Refuse options that can never work, before anything is opened."""
    for host in options.allowed_hosts:
        check_allowed_host(host)
    if options.http_port and options.http_port == options.otlp_port:
        raise SettingError(
            f"--http-port and --otlp-port are both {options.http_port}. Choose another port with --otlp-port"
        )


def _spare_garbage_collection() -> None:
    """Collect seldom.

    A batch makes tens of thousands of objects and no cycles; looking for some took a quarter of the time of decoding.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
