"""One port of `serve`: bound first, answering later, and finished without cutting an answer off."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from otel_usage.errors import OtelUsageError

_MAX_CONNECTIONS = 512
_MAX_HEAD_BYTES = 262_144
"""Longest request line and headers: a statement may stand in the URL."""
_SHUTDOWN_SECONDS = 30
"""How long a client may take to send and read, before its connection is cut."""


class Port:
    """A port that is bound, so that nobody else gets it, and does not listen yet.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        option: of the command line, which errors name.

    Raises:
        OtelUsageError: the address cannot be used; one line that says why and what to do.
    """

    def __init__(self, host: str, port: int, option: str) -> None:
        self._place, self._option = f"{host}:{port}", option
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer takes 44 ms.
        self._listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((host, port))
        except (OSError, OverflowError) as error:
            self._listener.close()
            raise self._cannot_listen(error) from None
        self.url = _url(self._listener)
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, app: ASGIApp) -> None:
        """Listen, and return when connections are accepted.

        Raises:
            OtelUsageError: another process has begun to listen there meanwhile.
        """
        server = self._server = _UvicornServer(_config(app))
        task = self._task = asyncio.create_task(server.serve([self._listener]))
        while not server.started:
            if task.done():
                raise self.failure()
            await asyncio.sleep(0.001)

    async def ended(self) -> None:
        """Return when the port answers no more, for whatever reason; at once if it never began."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def failure(self) -> OtelUsageError:
        """Return why a port has ended that was not asked to."""
        error = _error_of(self._task)
        if isinstance(error, OSError) and not (self._server and self._server.started):
            return self._cannot_listen(error)
        reason = f"{type(error).__name__}: {error}" if error else "nobody asked it to"
        return OtelUsageError(
            f"The server at {self.url} has ended by itself ({reason}). What was confirmed is stored; start it again"
        )

    async def finish(self) -> None:
        """Accept nothing more, and return when all requests are answered."""
        if self._server is not None:
            self._server.should_exit = True
        await self.ended()
        # Looked at, or asyncio would complain; whoever waits for the port's end has told of it.
        _error_of(self._task)

    def _cannot_listen(self, error: OSError | OverflowError) -> OtelUsageError:
        number = getattr(error, "errno", None)
        # What asyncio raises has a longer text, with the address in it once more.
        reason = "address already in use" if number == errno.EADDRINUSE else _reason(error)
        is_host = isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL
        cure = (
            "Choose an address of this computer with --host"
            if is_host
            else f"Choose another port with {self._option}"
        )
        return OtelUsageError(f"Cannot listen on {self._place}: {reason}. {cure}")


class _UvicornServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `Server`, which stops several ports in order."""
        yield


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
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


def is_wildcard(host: str) -> bool:
    """Return whether an address to listen on means all of this computer's."""
    return host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


def _error_of(task: asyncio.Task[None] | None) -> BaseException | None:
    return None if task is None or task.cancelled() else task.exception()


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _url(listener: socket.socket) -> str:
    """Return where a client on this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    if is_wildcard(host):
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
