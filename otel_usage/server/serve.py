"""`otel-usage serve`: opens the engine, brings the schema up to date, listens, and stops without losing anything."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from otel_usage.errors import OtelUsageError, SettingError

DEFAULT_MAX_BODY_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve. A port of 0 takes a free one, which the ready line tells."""

    data: Path
    """Directory of the data, created if it is missing. One process at a time."""
    host: str = "127.0.0.1"
    http_port: int = 8123
    """ClickHouse HTTP interface."""
    otlp_port: int = 4318
    """OTLP/HTTP receiver."""
    allowed_hosts: tuple[str, ...] = ()
    """Names accepted in the Host header besides those of loopback."""
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    """Longest request body, as it arrives and unpacked."""
    retention_days: int | None = None
    """Days after which events are deleted; None leaves the present rule alone."""
    summary_retention_days: int | None = None
    """The same of the summaries."""
    traces_retention_days: int | None = None
    """The same of the spans that a Collector stores."""


def serve(options: ServeOptions) -> int:
    """Serve until SIGTERM or SIGINT; must be called in the main thread of a process that will not fork.

    Prints one line `ready http=... otlp=... data=... dsn=...` to stdout when everything answers, with values quoted
    as a shell would.

    Returns:
        The exit code: 0 after a signal; with one line on stderr, 1 when it could not start or a port stopped by
        itself, and 2 when the options cannot be used.
    """
    try:
        from otel_usage.server.lifecycle import Server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "otel_usage":
            raise
        return _failed(f"serve needs {error.name}. Install it with: pip install 'otel-usage[serve]'")
    try:
        asyncio.run(Server(options, _tell).run())
    except ModuleNotFoundError as error:
        return _failed(f"serve needs {error.name}. Install it with: pip install 'otel-usage[serve]'")
    except SettingError as error:
        return _failed(str(error), 2)
    except OtelUsageError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        # Ctrl-C before the signals were ours: while the engine was opening.
        return 130
    return 0


def _tell(line: str) -> None:
    # Whoever started us may have gone, and serving goes on.
    with suppress(BrokenPipeError):
        print(line, flush=True)


def _failed(message: str, code: int = 1) -> int:
    print(f"otel-usage: {message}", file=sys.stderr)
    return code
