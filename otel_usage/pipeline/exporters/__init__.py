"""Where batches go. An exporter freezes a batch once and may be asked to send it many times."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from otel_usage.errors import SettingError
from otel_usage.model import Event

EXPORTER_GROUP = "otel_usage_exporter"
_BUILT_IN = ("clickhouse", "otlp", "console", "none")


def exporter_names() -> list[str]:
    """Return what `OTEL_USAGE_EXPORTER` may be: our own exporters, then those of installed packages."""
    return [*_BUILT_IN, *sorted(entry_points(group=EXPORTER_GROUP).names)]


def unknown_exporter(name: str) -> SettingError:
    """Return the error that names what there is instead."""
    return SettingError(f"OTEL_USAGE_EXPORTER is {name!r}, expected one of: {', '.join(exporter_names())}")


class Batch(NamedTuple):
    """Events whose payload, order and token never change again, so that a retry is the very same insert."""

    token: str
    """Identifies the batch for ever; never used for other events."""
    events: Sequence[Event]
    payload: Any
    """What the exporter sends; only it knows the shape."""


class EventExporter(Protocol):
    """What the worker needs of an exporter.

    One thread calls `prepare` and `freeze`, another one `send` and `set_aside`, at the same time.

    A batch may hold events that are to be set aside, those with a `reason_to_reject`: they are sent with the
    others and kept where their owner can look at them, and the sender counts them as rejected.
    """

    def prepare(self) -> None:
        """Import what `freeze` and `send` need, and do no I/O beyond that.

        Called once by the worker's thread, before its first batch. Nothing may be imported later: a process
        that forks meanwhile gives its child a module that stays locked for ever.
        """

    def freeze(self, events: Sequence[Event], token: str) -> Batch:
        """Return the batch that will be sent. Does no I/O."""

    def send(self, batch: Batch) -> None:
        """Deliver the batch, or raise.

        Raises:
            DeliveryError: not delivered, or not known to be; the same batch may be sent again.
            RejectedBatch: the receiver will never take it.
            PartlyRejected: the receiver took the others, and will never take some.
            NotSetAside: the receiver took the others, and has no place for those that are to be set aside.
        """

    def set_aside(self, batch: Batch, reason: str) -> None:
        """Keep a rejected batch where its owner can look at it.

        Raises:
            DeliveryError: it could not be kept.
        """

    def close(self) -> None:
        """Give back connections. The exporter may be used again after that."""
