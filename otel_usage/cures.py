"""What a person can do about an error of ClickHouse, for the commands that a person runs."""

from __future__ import annotations

import shlex

from otel_usage.clickhouse import MISSING_SCHEMA_CODES, UNKNOWN_DATABASE
from otel_usage.dsn import parse_dsn
from otel_usage.errors import ClickHouseError, NoAnswer

_UNKNOWN_IDENTIFIER = 47
ACCOUNT_CODES = frozenset({164, 192, 193, 194, 195, 497, 516})
"""Codes of what only a person mends: no such user, a wrong password, rights that lack."""


def explain(error: ClickHouseError) -> str:
    """Return what is wrong and what to do, in one line.

    The statements of our commands are always the same, so a missing table or column means a database that is not
    ours or not up to date; the statement itself would tell a person nothing.
    """
    if isinstance(error, NoAnswer):
        return f"{error}. Is ClickHouse running? For a local one: otel-usage serve"
    if error.code in ACCOUNT_CODES:
        place = f" {parse_dsn(error.dsn)!r}" if error.dsn else ""
        return f"{error}. Look at user, password and rights in the DSN{place}"
    if not error.dsn:
        return str(error)
    if error.code == UNKNOWN_DATABASE:
        return f"There is no database {parse_dsn(error.dsn)!r}. Run: {migrate_command(error.dsn)}"
    if error.code in MISSING_SCHEMA_CODES or error.code == _UNKNOWN_IDENTIFIER:
        return (
            f"The database {parse_dsn(error.dsn)!r} has no tables of otel-usage, or those of an older version. "
            f"Run: {migrate_command(error.dsn)}"
        )
    return str(error)


def migrate_command(masked_dsn: str) -> str:
    """Return the command that brings a database up to date; the password is left to fill in."""
    return shlex.join(["otel-usage", "migrate", "--dsn", masked_dsn])
