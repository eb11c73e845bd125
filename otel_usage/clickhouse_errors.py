"""Sorts what the driver raises into our errors: what may pass, what never will, and in words that people know."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from otel_usage.dsn import Dsn
from otel_usage.errors import ClickHouseError, ClickHouseUnavailable, NoAnswer

_HTTP_STATUS = re.compile(r"HTTP status (\d{3})")
_SERVER_VERSION = re.compile(r"\s*\(version [^()]*(\([^()]*\))?[^()]*\)")
_STATEMENT = re.compile(r"[.:]? [Ii]n scope .*?(?=\. \([A-Z_]+\)$|$)")
_NO_TLS = re.compile("wrong.version.number|record.layer.failure", re.IGNORECASE)
_REASON = re.compile(r"\[Errno -?\d+\] ([^\"')]+)|(timed out)")
_HOPELESS_STATUSES = frozenset({400, 411, 413, 414, 415, 422})
"""Answers of a proxy, without ClickHouse's own code, that the same body will get every time."""

PASSING_CODES = frozenset(
    {
        # The schema is missing or old: `otel-usage migrate` mends it.
        *(16, 60, 81, 218),
        # Too slow, too much at once, out of memory or disk, too many parts, shutting down.
        *(159, 160, 173, 201, 202, 203, 236, 241, 243, 252, 290, 373, 394, 425, 439, 692, 745),
        # Network, replicas, Keeper, storage behind the server.
        *(74, 75, 76, 198, 209, 210, 225, 242, 279, 285, 286, 297, 319, 473, 499, 733, 999, 1000),
        # Read-only for now, or the account does not fit yet: a person mends it.
        *(164, 192, 193, 194, 195, 497, 516),
    }
)
"""ClickHouse's error codes of troubles that may pass, so that the same statement may succeed later.

Any other code speaks about the statement or its data, and will be the same next time.
Source: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

NO_SUCH_COLUMN, UNKNOWN_TABLE, UNKNOWN_DATABASE = 16, 60, 81
MISSING_SCHEMA_CODES = frozenset({NO_SUCH_COLUMN, UNKNOWN_TABLE, UNKNOWN_DATABASE})
"""`otel-usage migrate` mends them."""

INSERTS_HELD = "inserts_held"
"""Name of the constraint by which `schema/hold.py` keeps inserts waiting for some seconds."""
_VIOLATED_CONSTRAINT = 469
_TOO_MANY_PARTS = 252


@contextmanager
def errors_sorted(dsn: Dsn, *, encoding: bool = False) -> Iterator[None]:
    """Turn the driver's exceptions into ours, and keep its log lines back: the caller logs, at intervals."""
    try:
        with _driver_errors_turned_into_ours(dsn, encoding=encoding):
            yield
    except ClickHouseError as error:
        error.dsn = error.dsn or dsn.masked
        raise


@contextmanager
def _driver_errors_turned_into_ours(dsn: Dsn, *, encoding: bool) -> Iterator[None]:
    from urllib3.exceptions import HTTPError

    try:
        from clickhouse_connect.driver.exceptions import DataError, Error, OperationalError
    except ImportError as error:
        raise ClickHouseUnavailable(f"{dsn!r} needs the package clickhouse-connect: {error}") from error
    try:
        with _driver_logs_held_back():
            yield
    except DataError as error:
        raise ClickHouseError(_clean(error, dsn), error.code) from error
    except Error as error:
        raise _sort(error, error.code, isinstance(error, OperationalError), dsn) from error
    except (HTTPError, OSError) as error:
        raise _no_answer(_clean(error, dsn), dsn) from error
    except ImportError as error:
        # The driver raises one of its own, without a name, from the one that has it.
        package = error.name or getattr(error.__cause__, "name", None) or str(error)
        raise ClickHouseUnavailable(
            f"{dsn!r} needs the package {package}. Install it with: pip install 'otel-usage[serve]'"
        ) from error
    except (TypeError, ValueError, AttributeError, ArithmeticError, KeyError) as error:
        if not encoding:
            raise
        raise ClickHouseError(f"The batch cannot be encoded: {_clean(error, dsn)}") from error


def _sort(error: Exception, code: int | None, is_operational: bool, dsn: Dsn) -> ClickHouseError:
    text = _clean(error, dsn)
    if code is None:
        status = _HTTP_STATUS.search(text)
        if status is not None:
            kind = ClickHouseError if int(status[1]) in _HOPELESS_STATUSES else ClickHouseUnavailable
            return kind(
                f"{dsn!r} answered, but not as ClickHouse does ({text}). Look at host and port of the DSN"
            )
        if is_operational or "chdb engine" in text:
            return _no_answer(text, dsn)
        return ClickHouseError(text)
    is_held = code == _VIOLATED_CONSTRAINT and f"Constraint `{INSERTS_HELD}`" in text
    # One code for what passes, a table with too many parts just now, and for rows of too many months for any insert.
    is_hopeless = code == _TOO_MANY_PARTS and "Too many partitions" in text
    may_pass = is_held or (code in PASSING_CODES and not is_hopeless)
    kind = ClickHouseUnavailable if may_pass else ClickHouseError
    return kind(text, code)


def _no_answer(text: str, dsn: Dsn) -> ClickHouseUnavailable:
    if _NO_TLS.search(text):
        return ClickHouseUnavailable(
            f"{dsn!r} speaks no TLS; try http:// instead of https:// in the DSN, or its port for TLS"
        )
    # urllib3 tells the same thing in three layers; the innermost one is what people know.
    reason = _REASON.search(text)
    if reason is None:
        return ClickHouseUnavailable(f"{dsn!r} does not answer: {text}")
    return NoAnswer(f"{dsn!r} does not answer: {reason[1] or reason[2]}")


def _clean(error: Exception, dsn: Dsn) -> str:
    """Return the error in one line, without the server's version, the statement, the URL and the password."""
    text = _STATEMENT.sub("", _SERVER_VERSION.sub("", " ".join(str(error).split())))
    text = re.sub(
        r"\s*\(for url [^)]*\)|^Received ClickHouse exception, code: \d+, server response: ", "", text
    )
    return text.replace(dsn.password, "***") if dsn.password else text


_quiet = threading.local()


def _lets_through(record: logging.LogRecord) -> bool:
    return not getattr(_quiet, "depth", 0)


@contextmanager
def _driver_logs_held_back() -> Iterator[None]:
    # The driver and urllib3 warn once per failed try; the app's log wants one line a minute, which ours gives.
    # Only this thread is quiet: the app may use the same libraries.
    for name in ("clickhouse_connect.driver._backend.http_sync", "urllib3.connectionpool"):
        driver_logger = logging.getLogger(name)
        if _lets_through not in driver_logger.filters:
            driver_logger.addFilter(_lets_through)
    _quiet.depth = getattr(_quiet, "depth", 0) + 1
    try:
        yield
    finally:
        _quiet.depth -= 1
