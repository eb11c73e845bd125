"""The exporter of a process whose events stay inside: only its own storages get them."""

from __future__ import annotations

from collections.abc import Sequence

from otel_usage.model import Event
from otel_usage.pipeline.exporters import Batch


class DiscardExporter:
    """Takes every batch and keeps nothing. The accounting calls them stored, as all that an exporter took."""

    def prepare(self) -> None:
        """Do nothing: all is here."""

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        """Return the batch with nothing to send."""
        return Batch(token, events, None)

    def send(self, batch: Batch) -> None:
        """Drop the batch."""

    def set_aside(self, batch: Batch, reason: str) -> None:
        """Drop the batch; it is never refused."""

    def close(self) -> None:
        """Do nothing: nothing was opened."""
