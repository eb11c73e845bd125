"""What travels beside a span in the memory of its process, and must never be an attribute of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span

from otel_usage.model import Event

_MOST_WAITING = 10_000
"""Spans that have a companion and have not ended. Far more than requests are ever served at once: only spans
that never end come to it."""


class Companion(NamedTuple):
    """What the worker is told of an event, and nobody else."""

    client_address: str = ""
    """The address before it was masked or hashed; may be empty where the event carries it in full."""
    on_event: Callable[[Event], None] | None = None
    """Called on the worker's thread with the enriched event, which it must not change."""
    opted_out: bool = False
    """The visitor does not want to be followed: the address is told to nobody."""


NO_COMPANION = Companion()


class Companions:
    """Keeps companions from the moment when the span is annotated until it ends, which may be in another thread.

    Each step is one operation on a dictionary, so that no lock is needed on a request thread.
    """

    def __init__(self) -> None:
        self._by_span: dict[int, Companion] = {}

    def attach(self, span: Span, companion: Companion) -> None:
        """Remember what goes with a span that has not ended. Beyond the limit it goes alone."""
        if len(self._by_span) < _MOST_WAITING:
            self._by_span[span.get_span_context().span_id] = companion

    def take(self, span: ReadableSpan) -> Companion:
        """Return what goes with a span that ended, and forget it; `NO_COMPANION` when nothing does."""
        if not self._by_span:
            return NO_COMPANION
        context = span.get_span_context()
        return self._by_span.pop(context.span_id, NO_COMPANION) if context is not None else NO_COMPANION
