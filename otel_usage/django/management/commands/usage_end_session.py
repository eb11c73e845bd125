"""`manage.py usage_end_session`: logs somebody out from outside."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from otel_usage.django.management.usage_command import UsageCommand
from otel_usage.django.user_sessions import end_session, end_sessions_of, is_installed
from otel_usage.log_throttle import describe_error


class Command(UsageCommand):
    """Ends one session, or all sessions of a user."""

    help = "End a session, or all sessions of a user; who uses them is logged out with the next request. Repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options in."""
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument(
            "key",
            nargs="?",
            help="The session's key, or its name: the 64 hex digits that the event `login` has as its property `session`.",
        )
        whom.add_argument("--user", metavar="ID", help="The primary key of a user: end all sessions.")

    def handle(self, *args: Any, key: str | None, user: str | None, **options: Any) -> None:
        """Run."""
        if user is not None:
            self._end_all(user)
        elif not end_session(key or "", reason="command"):
            raise CommandError("The session could not be ended; the log says why")
        else:
            self.stdout.write("The session has ended")

    def _end_all(self, user: str) -> None:
        if not is_installed():
            raise CommandError(
                "--user needs the table of live sessions. Add 'otel_usage.django' to INSTALLED_APPS and run: "
                "manage.py migrate otel_usage"
            )
        try:
            count = end_sessions_of(user, reason="command")
        except Exception as error:
            raise CommandError(
                f"The sessions could not be ended ({describe_error(error)}). If the table is not there yet, run: "
                "manage.py migrate otel_usage"
            ) from error
        self.stdout.write("1 session ended" if count == 1 else f"{count} sessions ended")
