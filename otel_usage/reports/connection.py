"""The connection on which a process asks ClickHouse about usage, one for each database."""

from __future__ import annotations

import os
from collections.abc import Callable

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import SettingError
from otel_usage.settings import Settings

_CONNECT_TIMEOUT_SECONDS = 3
_RECEIVE_TIMEOUT_SECONDS = 20
"""A page waits for it, so it is shorter than what a report on the command line gets."""
_MOST_CLIENTS = 8


def usage_client(dsn: str | None = None) -> ClickHouse:
    """Return the process's connection to a database, opened at the first call.

    Any number of threads may use it at the same time, and a forked child gets its own. It is for asking only;
    events go their own way. Never call it on the way of an ordinary request: it opens a socket.

    Args:
        dsn: where to ask; None for the DSN in force, that of `configure()` or of `OTEL_USAGE_DSN`.

    Raises:
        SettingError: no DSN is in force, or it cannot be used.
        ClickHouseUnavailable: nobody answers, or not yet. The next call tries again.
    """
    return _shared.client_of(dsn if dsn is not None else _dsn_in_force())


def settings_in_force() -> Settings:
    """Return the settings in force, or, in a process that tracks nothing, those that would be."""
    return _configured() or Settings.load_or_default(None)


def find_configured_settings_with(ask: Callable[[], Settings | None]) -> None:
    """Name who knows what the process was configured with: the wiring, which stands above this layer."""
    global _configured
    _configured = ask


def _nobody_configured() -> Settings | None:
    return None


_configured: Callable[[], Settings | None] = _nobody_configured


def _dsn_in_force() -> str:
    dsn = settings_in_force().dsn
    if dsn is None:
        raise SettingError(
            "Usage is read from ClickHouse, and OTEL_USAGE_DSN does not say where that is. Set it to "
            "http(s)://user:password@host:port/database, which for `otel-usage serve` is in its first line"
        )
    if dsn.startswith("chdb:"):
        raise SettingError(
            "OTEL_USAGE_DSN begins with chdb:, which an app must not open: its forked children would hang. "
            "Run `otel-usage serve` and use its http:// address"
        )
    return dsn


class _SharedClients:
    """One client for each DSN. There is more than one DSN only where somebody names others by hand."""

    def __init__(self) -> None:
        self._opened: dict[str, ClickHouse] = {}
        # A forked child would write into the sockets of its parent.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._opened = {}

    def client_of(self, dsn: str) -> ClickHouse:
        # Without a lock, so that nobody queues where nobody answers: two first callers open one each, and one
        # of the two goes when its caller is done.
        opened = self._opened
        client = opened.get(dsn)
        if client is None:
            client = connect(
                dsn,
                connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
                receive_timeout_seconds=_RECEIVE_TIMEOUT_SECONDS,
            )
            kept = list(opened.items())[1 - _MOST_CLIENTS :]
            self._opened = {**dict(kept), dsn: client}
        return client


_shared = _SharedClients()
