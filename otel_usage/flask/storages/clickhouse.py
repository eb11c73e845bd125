"""The storage that reads what the exporter has stored in ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from otel_usage.flask.storages.base import Hook, Storage
from otel_usage.flask.storages.summarization import Summary


class ClickHouseReader(Storage):
    """Answers `get_usage` and `get_sum`. It stores nothing itself: the exporter has each event anyway.

    Where events go is said by the settings of the process, `OTEL_USAGE_DSN` first of all.
    """

    keeps_sums = True
    _dsn: str | None = None
    _service: str | None = None

    def store(self, data: dict[str, Any]) -> object:
        """Do nothing: the event itself is on its way to ClickHouse."""

    @property
    def needs_data(self) -> bool:
        """Whether anybody wants to be called for a request: a hook, or a subclass that stores something."""
        return type(self).store is not ClickHouseReader.store or any(
            not isinstance(hook, Summary) for hook in self._post_storage_hooks
        )

    def _get_usage(
        self, start_date: datetime | None, end_date: datetime | None, limit: int, page: int
    ) -> list[dict[str, Any]]:
        # Here, because an app that only writes never needs it.
        from otel_usage.reports.usage import get_usage

        return get_usage(start_date, end_date, limit, page, service=self._service, dsn=self._dsn)

    def get_sum(
        self,
        hook: object,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        limit: int = 500,
        page: int = 1,
        target: object = None,
    ) -> Any:
        """Return the sums of a summary, or those that a hook of this storage keeps itself; see `Sink.get_sum`.

        Returns:
            `{"hour": […], "day": […], "month": […]}`.

        Raises:
            NotImplementedError: there is no such summary and no such hook.
            ClickHouseError: ClickHouse could not answer.
        """
        if self._sums_of(hook) is not None:
            return super().get_sum(hook, start_date, end_date, limit, page, target)
        from otel_usage.reports.summaries import get_sum

        return get_sum(hook, start_date, end_date, limit, page, target, service=self._service, dsn=self._dsn)


class ClickHouseStorage(ClickHouseReader):
    """The readable storage of an app: `get_usage` and `get_sum` over ClickHouse."""

    def set_up(
        self,
        dsn: str | None = None,
        hooks: Sequence[Hook | type] | None = None,
        service: str | None = None,
    ) -> None:
        """Take the place to read from.

        Args:
            dsn: where to ask; None for `OTEL_USAGE_DSN`.
            service: whose requests to answer with, by its name; None for those of all services in the database.
            hooks: called for each request, off its thread. The summaries need not be among them.
        """
        self._dsn = dsn
        self._service = service
