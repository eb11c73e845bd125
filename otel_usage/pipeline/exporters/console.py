"""The exporter that prints events, one JSON object a line, for a first look."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TextIO

from otel_usage.errors import DeliveryError
from otel_usage.model import Event
from otel_usage.pipeline.exporters import Batch


class ConsoleExporter:
    """Writes each event with its attributes to a stream, standard output by default."""

    def __init__(self, output: TextIO | None = None) -> None:
        self._output = output

    def prepare(self) -> None:
        """Do nothing: all is here."""

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        """Return the batch with its text."""
        lines = [
            json.dumps(
                {
                    "event_id": event.id,
                    "event_name": event.name,
                    "timestamp_ns": event.timestamp_ns,
                    "duration_ns": event.duration_ns,
                    "service_name": event.service_name,
                    "attributes": event.attributes,
                },
                default=str,
            )
            for event in events
        ]
        return Batch(token, events, "\n".join(lines) + "\n")

    def send(self, batch: Batch) -> None:
        """Write the batch."""
        output = self._output or sys.stdout
        try:
            output.write(batch.payload)
            output.flush()
        except (OSError, ValueError) as error:
            raise DeliveryError(f"cannot write to the console ({type(error).__name__})") from error

    def set_aside(self, batch: Batch, reason: str) -> None:
        """Raise: a console has no place for rejected events, and refuses none."""
        raise DeliveryError("the console has no place for refused events")

    def close(self) -> None:
        """Leave the stream to its owner."""
