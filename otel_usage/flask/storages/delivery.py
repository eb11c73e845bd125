"""From one request event to every storage: each has its own queue, its own thread and its own copy of the data."""

from __future__ import annotations

import inspect
import itertools
import time
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from otel_usage.flask.storages.base import Sink
from otel_usage.flask.storages.data import MORE_KEYS, RequestExtras, build_data, more_data
from otel_usage.flask.storages.sink_thread import SinkThread, StorageAccounting, StorageCallable, close_sinks
from otel_usage.model import Event

QUEUE_SIZE = 4096
"""Requests that may wait for one storage."""

_numbers = itertools.count()
_deliveries: weakref.WeakValueDictionary[int, Delivery] = weakref.WeakValueDictionary()
"""Those of this process, in the order in which they were made."""


def storage_accounting() -> tuple[StorageAccounting, ...]:
    """Return what became of the requests that the storages of this process were offered, a line for each storage.

    Storages that are never called, such as a `ClickHouseStorage` without hooks, have none.
    """
    return tuple(line for delivery in list(_deliveries.values()) for line in delivery.accounting())


class Delivery:
    """Hands request events to the storages of an app.

    A storage that is slow, hangs or raises costs neither the request, nor ClickHouse, nor another storage anything.
    Nothing is tried again: a storage that can do better by a second try makes it itself.
    """

    def __init__(
        self,
        storages: StorageCallable | Iterable[StorageCallable],
        *,
        server_name: str = "",
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        """Take the storages. No thread is started before the first event.

        Args:
            storages: one callable, or several.
            server_name: the app's name, for requests whose extras name none.
            queue_size: requests that may wait for each storage; further ones are dropped and counted.

        Raises:
            TypeError: one of them cannot be called with the data.
            ValueError: one wants a key that there is not.
        """
        self._server_name = server_name
        self.sinks = tuple(
            SinkThread(storage, queue_size)
            for storage in _checked(storages)
            if getattr(storage, "needs_data", True)
        )
        """Of the storages that are called, in their order. One that has work outlives the delivery."""
        _deliveries[next(_numbers)] = self
        # The threads hold what they need, and would wait for ever for an app that is gone.
        weakref.finalize(self, _let_end, self.sinks).atexit = False

    @property
    def has_work(self) -> bool:
        """False when no storage wants to be called, as with a `ClickHouseStorage` alone: then no event need come."""
        return bool(self.sinks)

    def start(self) -> None:
        """Start the threads that do not run yet; costs nothing once they do.

        `offer` starts them too, but the last events of a process are made when it ends, and then Python 3.12.0 and
        3.12.1 start no thread any more. So whoever serves a request calls this.
        """
        for sink in self.sinks:
            sink.start()

    def offer(self, event: Event, extras: RequestExtras) -> None:
        """Queue a request for every storage. Never blocks, and calls no code of the app.

        Args:
            event: of a request, enriched.
            extras: what its data has beside the event.
        """
        if not extras.app_name and self._server_name:
            extras = extras._replace(app_name=self._server_name)
        data = build_data(event, extras)
        for sink in self.sinks:
            sink.offer({**data, **more_data(event, sink.more_keys)} if sink.more_keys else data)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the storages are done with what was offered before, and return whether they were in time."""
        deadline = time.monotonic() + timeout_seconds
        return all(sink.flush(deadline) for sink in self.sinks)

    def close(self, timeout_seconds: float) -> None:
        """Refuse further events, store what waits within the time, drop and count the rest."""
        close_sinks(self.sinks, timeout_seconds)

    def accounting(self) -> tuple[StorageAccounting, ...]:
        """Return what became of the requests of this process, for each storage in order that is called at all."""
        return tuple(sink.accounting() for sink in self.sinks)


def _let_end(sinks: Sequence[SinkThread]) -> None:
    for sink in sinks:
        sink.begin_to_close()


def _checked(storages: Any) -> list[StorageCallable]:
    given = [storages] if callable(storages) else list(storages)
    for storage in given:
        _check(storage)
    return given


def _check(storage: Any) -> None:
    name = getattr(storage, "__name__", type(storage).__name__)
    if inspect.isclass(storage) and issubclass(storage, Sink):
        raise TypeError(f"The storage {name} is a class, expected an instance: {name}(…)")
    if not callable(storage):
        raise TypeError(f"A storage is a {name}, expected a callable that takes the data of a request")
    for function in (storage, type(storage).__call__):
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"The storage {name} is async or a generator, expected a plain callable")
    unknown = sorted(set(getattr(storage, "more_keys", ())) - MORE_KEYS)
    if unknown:
        raise ValueError(
            f"The storage {name} has {unknown[0]!r} in its more_keys, expected some of: {', '.join(sorted(MORE_KEYS))}"
        )
