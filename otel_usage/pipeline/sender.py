"""The sending half of the worker: delivers frozen batches, one after the other, until each is settled."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from queue import Queue

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_usage.errors import DeliveryError, NotSetAside, PartlyRejected, RejectedBatch
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.pipeline.accounting import Accounting
from otel_usage.pipeline.exporters import Batch, EventExporter
from otel_usage.pipeline.rejection import rejections

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 30.0


class Sender:
    """Sends in a thread of its own, so that the next batch is made while the receiver works on the last one.

    At most one batch waits behind the one that is under way.

    Args:
        exporter: that sends.
        accounting: where each batch is counted when it is settled.
        stopping: set when the process ends; from then on a batch is tried once.
        on_settled: called with the number of events of each batch that is settled, whatever became of it.
        failure_log: bounds the log lines about failures.
    """

    def __init__(
        self,
        exporter: EventExporter,
        accounting: Accounting,
        stopping: threading.Event,
        on_settled: Callable[[int], None],
        failure_log: LogThrottle,
    ) -> None:
        self._exporter = exporter
        self._accounting = accounting
        self._stopping = stopping
        self._on_settled = on_settled
        self._failure_log = failure_log
        self._batches: Queue[Batch | None] = Queue(maxsize=1)
        self._has_given_up = False
        self._is_failing = False
        self._recovery_log = LogThrottle()
        self._thread = threading.Thread(target=self._run, name="otel-usage-sender", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the interpreter is going down.
        """
        self._thread.start()

    @property
    def has_given_up(self) -> bool:
        """Whether the process ends and the receiver did not answer: nothing more will be sent."""
        return self._has_given_up

    def put(self, batch: Batch) -> None:
        """Hand a batch over; waits while another one waits."""
        self._batches.put(batch)

    def finish(self) -> None:
        """Return when every batch that was handed over is settled."""
        self._batches.put(None)
        self._thread.join()

    def _run(self) -> None:
        # Our own HTTP calls must not become spans of the app.
        with suppress_instrumentation():
            while (batch := self._batches.get()) is not None:
                count = len(batch.events)
                try:
                    self._send_until_settled(batch)
                except Exception as error:
                    # A bug of ours costs one batch, never the thread.
                    self._accounting.settle_dropped("internal_error", count)
                    self._failure_log.log(
                        logger, logging.ERROR, "Lost %d usage events: %s", count, describe_error(error)
                    )
                self._on_settled(count)

    def _send_until_settled(self, batch: Batch) -> None:
        delay_seconds = _FIRST_RETRY_SECONDS
        count = len(batch.events)
        while not self._has_given_up:
            try:
                self._exporter.send(batch)
            except PartlyRejected as error:
                self._settle_partly(batch, error)
                return
            except NotSetAside as error:
                self._settle_without_set_aside(batch, error)
                return
            except RejectedBatch as error:
                self._reject(batch, str(error))
                return
            except DeliveryError as error:
                if self._stopping.is_set():
                    # One failed attempt is enough for everything that waits.
                    self._has_given_up = True
                    break
                self._is_failing = True
                self._failure_log.log(
                    logger,
                    logging.WARNING,
                    "Could not send %d usage events, trying again in %.1f s; %d events wait: %s",
                    count,
                    delay_seconds,
                    self._accounting.snapshot().waiting,
                    error,
                )
            else:
                self._settle_taken(batch, count)
                if self._is_failing:
                    self._is_failing = False
                    # As loud as the trouble, or whoever reads the log believes that it lasts.
                    self._recovery_log.log(logger, logging.WARNING, "Usage events are sent again")
                return
            # Jitter, so that the workers of a cluster do not all come back in the same second.
            self._stopping.wait(delay_seconds * random.uniform(0.8, 1.2))  # noqa: S311
            delay_seconds = min(delay_seconds * 2, _LAST_RETRY_SECONDS)
        self._accounting.settle_dropped("shut_down", count)

    def _settle_taken(self, batch: Batch, taken: int) -> None:
        """Count events of a batch that the receiver took: those to be set aside as such, the others as stored."""
        for reason, count in rejections(batch.events).items():
            set_aside = min(count, taken)
            taken -= set_aside
            self._settle_rejected(reason, set_aside)
        self._accounting.settle_stored(taken)

    def _settle_rejected(self, reason: str, count: int) -> None:
        if count:  # else the reason would be listed with none
            self._accounting.settle_rejected(reason, count)

    def _settle_partly(self, batch: Batch, error: PartlyRejected) -> None:
        count = len(batch.events)
        refused = min(max(error.count, 0), count)
        self._failure_log.log(
            logger, logging.ERROR, "%d of %d usage events were refused: %s", refused, count, error
        )
        self._settle_taken(batch, count - refused)
        # Which ones is not said, so none can be set aside.
        self._accounting.settle_dropped("rejected_and_lost", refused)

    def _settle_without_set_aside(self, batch: Batch, error: NotSetAside) -> None:
        lost = rejections(batch.events).total()
        self._failure_log.log(
            logger, logging.ERROR, "%d malformed usage events could not be set aside: %s", lost, error
        )
        self._accounting.settle_stored(len(batch.events) - lost)
        self._accounting.settle_dropped("rejected_and_lost", lost)

    def _reject(self, batch: Batch, reason: str) -> None:
        count = len(batch.events)
        self._failure_log.log(logger, logging.ERROR, "%d usage events were refused: %s", count, reason)
        try:
            self._exporter.set_aside(batch, reason)
        except DeliveryError as error:
            self._failure_log.log(logger, logging.ERROR, "Refused usage events are lost: %s", error)
            self._accounting.settle_dropped("rejected_and_lost", count)
            return
        malformed = rejections(batch.events)
        for own_reason, own_count in malformed.items():
            self._settle_rejected(own_reason, own_count)
        self._settle_rejected("refused", count - malformed.total())
