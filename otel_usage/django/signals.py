"""The signal that an object was viewed: anybody may send it, anybody may receive it, and we record it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import Any

from django.dispatch import Signal
from django.http import HttpRequest

from otel_usage.instrumentation.api import object_viewed
from otel_usage.instrumentation.guard import report_error

object_viewed_signal = Signal()
"""Sent when an object is viewed, not when a page is.

Its sender is the class of the object, its arguments are `instance`, the object, and `request`, the `HttpRequest` in
which it was viewed or None.
"""

_is_recorded: ContextVar[bool] = ContextVar("otel_usage_is_recorded", default=False)
_sending: set[asyncio.Task[Any]] = set()


def send_object_viewed(instance: object, request: HttpRequest | None = None) -> None:
    """Send `object_viewed_signal` for an object. Never raises, whatever the receivers do.

    What a receiver raises is logged by Django as an error. In an asynchronous view, which cannot wait here, the
    view is recorded at once and all other receivers are called a moment later.

    Args:
        instance: what was viewed, such as an instance of a model.
        request: the request in which it was viewed, None where that is not known.
    """
    try:
        loop = _running_loop()
        if loop is None:
            object_viewed_signal.send_robust(type(instance), instance=instance, request=request)
            return
        object_viewed(instance)
        if len(object_viewed_signal.receivers) > 1:
            context = copy_context()
            context.run(_is_recorded.set, True)
            task = context.run(loop.create_task, _send_later(instance, request))
            # The loop itself holds on to a task only weakly.
            _sending.add(task)
            task.add_done_callback(_sending.discard)
    except Exception as error:
        report_error(error)


async def _send_later(instance: object, request: HttpRequest | None) -> None:
    try:
        await object_viewed_signal.asend_robust(type(instance), instance=instance, request=request)
    except Exception as error:
        report_error(error)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _record(instance: object = None, **named: object) -> None:
    if instance is not None and not _is_recorded.get():
        object_viewed(instance)


object_viewed_signal.connect(_record, weak=False, dispatch_uid="otel_usage.object_viewed")
