"""`manage.py fold_trackable_messages`: what waits in this process is sent now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from otel_usage.django.management.trackable_models import find_registered_model
from otel_usage.django.management.usage_command import UsageCommand
from otel_usage.wiring import runtime

_TIMEOUT_SECONDS = 30.0


class Command(UsageCommand):
    """Flushes the queue of this process."""

    help = (
        "Send the usage events that wait in the queue of this process, and say how many they were. "
        "Each process of a site has a queue of its own and sends it by itself within "
        "OTEL_USAGE_FLUSH_INTERVAL_SECONDS, so there is nothing to fold and no need to run this from cron; it is of "
        "use where code that counts calls it, by call_command()."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options in."""
        parser.add_argument(
            "models",
            nargs="*",
            metavar="app.Model",
            help="Registered models. Their names are checked; the queue is sent as a whole all the same.",
        )
        parser.add_argument(
            "--timeout", type=float, default=_TIMEOUT_SECONDS, help="Seconds to wait for the receiver."
        )

    def handle(self, *args: Any, models: list[str], timeout: float, **options: Any) -> None:
        """Run."""
        for label in models:
            find_registered_model(label)
        active = runtime()
        if active is None or active.processor is None:
            self.stdout.write("0 usage events sent: this process records none")
            return
        before = active.accounting.snapshot()
        is_done = active.processor.force_flush(int(timeout * 1000))
        after = active.accounting.snapshot()
        stored = after.stored - before.stored
        rejected = sum(after.rejected.values()) - sum(before.rejected.values())
        dropped = sum(after.dropped.values()) - sum(before.dropped.values())
        self.stdout.write(f"{stored} usage events sent, {rejected} set aside, {dropped} dropped")
        if not is_done:
            raise CommandError(
                f"{after.waiting} usage events still wait: they could not be sent within {timeout:g} s. "
                "They are tried again while this process runs"
            )
