"""Types and groups of options of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

from otel_usage.data_directory import data_path
from otel_usage.dsn import DEFAULT_DSN
from otel_usage.settings import Settings

dsn_option = click.option("--dsn", help=f"ClickHouse; default: OTEL_USAGE_DSN, else {DEFAULT_DSN}")


def dsn_in_force(dsn: str | None) -> str:
    """Return the DSN of the option, of the environment, or the default one of `otel-usage serve`."""
    return dsn or Settings.load().dsn or DEFAULT_DSN


class WholeNumber(click.IntRange):
    """A whole number with its range in the message of whatever is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r}, expected a whole number from {self.min} to {self.max}", param, ctx)


class Day(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no type arguments
    """A day, UTC."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day."""
        try:
            # Python 3.11 also takes other forms of ISO 8601.
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", str(value)):
                return date.fromisoformat(str(value))
        except ValueError:
            pass
        self.fail(f"{value!r} is no day, expected YYYY-MM-DD", param, ctx)


class DataDirectory(click.Path):
    """A directory that may be missing; an empty text is none."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | Path:
        """Return the path."""
        try:
            data_path(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)  # type: ignore[return-value]


def not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """Refuse an empty name, which the reports would take for all names; return '' for none given."""
    if value == "":
        raise click.BadParameter("is empty, expected a name")
    return value or ""


def person_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say who is meant, of which one must be given."""
    for name, metavar, meaning in (
        ("--address", "IP", "Everything from this client address."),
        ("--visitor", "ID", "Everything of this visitor: 32 hex digits."),
        ("--visit", "KEY", "One visit: 32 hex digits."),
        ("--user", "ID", "Everything of the visits in which this user was signed in."),
    ):
        command = click.option(name, metavar=metavar, help=meaning)(command)
    return command
