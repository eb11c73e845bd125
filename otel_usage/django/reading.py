"""The connection on which the pages and commands of a Django site ask ClickHouse, one for each process."""

from __future__ import annotations

import os

from otel_usage.clickhouse import ClickHouse, connect
from otel_usage.errors import SettingError
from otel_usage.settings import Settings
from otel_usage.wiring import configured_settings

_CONNECT_TIMEOUT_SECONDS = 3
_RECEIVE_TIMEOUT_SECONDS = 20
"""A page waits for it, so it is shorter than what a report on the command line gets."""


def usage_client() -> ClickHouse:
    """Return the process's connection to the ClickHouse of `OTEL_USAGE_DSN`, opened at the first call.

    Any number of threads may use it at the same time, and a forked child gets its own. It is for asking only;
    events go their own way. Never call it on the way of an ordinary request: it opens a socket.

    Raises:
        SettingError: the DSN is unset or cannot be used.
        ClickHouseUnavailable: nobody answers, or not yet. The next call tries again.
    """
    return _shared.client_of(_dsn())


def settings_in_force() -> Settings:
    """Return the settings in force, or, in a process that tracks nothing, those that would be."""
    return configured_settings() or Settings.load_or_default(None)


def _dsn() -> str:
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


class _SharedClient:
    """One client, that of the last DSN; there is more than one DSN only where tests change it."""

    def __init__(self) -> None:
        self._opened: tuple[str, ClickHouse] | None = None
        # A forked child would write into the sockets of its parent.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._opened = None

    def client_of(self, dsn: str) -> ClickHouse:
        # Without a lock, so that nobody queues where nobody answers: two first callers open one each, and one
        # of the two goes when its caller is done.
        opened = self._opened
        if opened is None or opened[0] != dsn:
            client = connect(
                dsn,
                connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
                receive_timeout_seconds=_RECEIVE_TIMEOUT_SECONDS,
            )
            opened = self._opened = (dsn, client)
        return opened[1]


_shared = _SharedClient()
