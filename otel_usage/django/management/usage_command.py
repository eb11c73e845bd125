"""What our commands of `manage.py` share: where ClickHouse is, and errors in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand, CommandError

from otel_usage.cures import explain
from otel_usage.dsn import DEFAULT_DSN
from otel_usage.errors import ClickHouseError, OtelUsageError, SettingError
from otel_usage.reports.connection import settings_in_force

_WRONG_USAGE = 2


def dsn_in_force() -> str:
    """Return where ClickHouse is: as the site's settings say, or `otel-usage serve` at its usual place."""
    return settings_in_force().dsn or DEFAULT_DSN


def wrong_usage(error: ValueError) -> CommandError:
    """Return the error of a command that was asked for what it cannot do; its exit code is 2."""
    return CommandError(str(error), returncode=_WRONG_USAGE)


class UsageCommand(BaseCommand):
    """A command that needs neither the site's checks nor its database."""

    requires_system_checks = []
    requires_migrations_checks = False

    @staticmethod
    @contextmanager
    def errors_in_one_line() -> Iterator[None]:
        """Turn what goes wrong into one line on stderr; `--traceback` shows where.

        Raises:
            CommandError: with what is wrong and what to do.
        """
        try:
            yield
        except SettingError as error:
            raise CommandError(str(error), returncode=_WRONG_USAGE) from error
        except ClickHouseError as error:
            raise CommandError(explain(error)) from error
        except OtelUsageError as error:
            raise CommandError(str(error)) from error
