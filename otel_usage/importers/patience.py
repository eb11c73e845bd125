"""Tries statements again that ClickHouse does not take, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from otel_usage.cures import ACCOUNT_CODES
from otel_usage.errors import ClickHouseUnavailable, OtelUsageError

_Result = TypeVar("_Result")

PATIENCE_SECONDS = 60.0
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 0.5, 5.0


def until_taken(
    ask: Callable[[], _Result],
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str = "ClickHouse did not take a batch",
) -> _Result:
    """Return the answer of a statement that may be repeated.

    Args:
        ask: sends the statement.
        seconds: how long it is tried again when ClickHouse does not take it.
        what: how the error begins.

    Raises:
        OtelUsageError: ClickHouse did not take it in all that time.
        ClickHouseUnavailable: the account may not do that, which no waiting changes.
    """
    give_up = time.monotonic() + seconds
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            return ask()
        except ClickHouseUnavailable as error:
            if error.code in ACCOUNT_CODES:
                raise
            if time.monotonic() + delay > give_up:
                raise OtelUsageError(
                    f"{what} for {seconds:.0f} seconds: {error}. What was stored stays; run the same command again, "
                    "and it goes on from there"
                ) from error
        time.sleep(delay)
        delay = min(delay * 2, _LAST_RETRY_SECONDS)
