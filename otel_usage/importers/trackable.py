"""Counters of django-trackable: one `counter` event for each value of each row.

The tables are the app's own: subclasses of TrackableData hold the totals of an object, those of
TrackableTimeSeriesData one row for each object and day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from otel_usage import attributes as names
from otel_usage.errors import OtelUsageError
from otel_usage.importers.chunk import Chunk
from otel_usage.importers.identity import build_event, row_id
from otel_usage.importers.old_database import OldDatabase, key_of, raw
from otel_usage.importers.old_rows import (
    ImportOptions,
    MadeRows,
    RowRefused,
    chunks_of,
    to_integer,
    to_nanoseconds,
    to_text,
)

SYSTEM = "django-trackable"
_OWN_COLUMNS = ("content_type_id", "object_id")
_DAY = "collected_during"
_CONTENT_TYPES = "django_content_type"


class TrackableCounters:
    """One table of counters.

    Args:
        database: of the app.
        options: of the import.
        table: its name; empty for the only one that has the columns of TrackableData.
        counters: its columns; empty for all whole numbers but those that TrackableData has itself.
        models: labels of models as Django writes them, such as `shop.Product`. Content types know them in lower
            case alone, and a type that is not among these keeps that.
        at_ns: time of totals, which have none; nanoseconds since the epoch.

    Raises:
        OtelUsageError: there is no such table or column.
    """

    def __init__(
        self,
        database: OldDatabase,
        options: ImportOptions,
        *,
        table: str = "",
        counters: Sequence[str] = (),
        models: Sequence[str] = (),
        at_ns: int,
    ) -> None:
        self._database = database
        self._options = options
        self._table = database.table(table or self._only_table(), "--table", [*_OWN_COLUMNS, *counters])
        self._counters = list(counters) or self._all_counters()
        self._label_by_type = self._read_types({model.lower(): model for model in models})
        self._at_ns = at_ns
        self._is_series = _DAY in self._table.columns

    @property
    def name(self) -> str:
        """Name of the table."""
        return self._table.name

    @property
    def lower_case_types(self) -> list[str]:
        """Object types that have no label of their own."""
        return sorted({label for label in self._label_by_type.values() if label.islower()})

    def _only_table(self) -> str:
        found = self._database.tables_with(*_OWN_COLUMNS)
        # Django's own log of the admin has them too, and its objects are texts.
        found = [name for name in found if name != "django_admin_log"]
        if len(found) == 1:
            return found[0]
        raise OtelUsageError(
            f"{self._database.name} has {'several tables' if found else 'no table'} with the columns "
            f"{' and '.join(_OWN_COLUMNS)}{': ' + ', '.join(found) if found else ''}. Name the table of counters with --table"
        )

    def _all_counters(self) -> list[str]:
        keys = {column.name for column in self._table.primary_key.columns}
        found = [
            column.name
            for column in self._table.columns
            if column.name not in {*_OWN_COLUMNS, *keys} and isinstance(column.type, sa.Integer)
        ]
        if not found:
            raise OtelUsageError(
                f"The table {self._table.name!r} has no column with whole numbers; it has: "
                f"{', '.join(self._table.columns.keys())}. Name the counters with --counter"
            )
        return found

    def _read_types(self, label_by_name: Mapping[str, str]) -> dict[object, str]:
        types = self._database.table(_CONTENT_TYPES, "--url", ["id", "app_label", "model"])
        query = sa.select(*(raw(types.columns[name], name) for name in ("id", "app_label", "model")))
        found = {}
        for page in self._database.pages(query, types):
            for row in page:
                name = f"{row['app_label']}.{row['model']}"
                found[row["id"]] = label_by_name.get(name.lower(), name)
        return found

    def chunks(self) -> Iterator[Chunk]:
        """Yield the counters, in the order of their keys."""
        columns = [*_OWN_COLUMNS, *([_DAY] if self._is_series else []), *self._counters]
        query = sa.select(*(raw(self._table.columns[name], name) for name in columns))
        return chunks_of(self._database.pages(query, self._table), self._add, self._options.service)

    def _add(self, row: dict[str, Any], made: MadeRows) -> None:
        for counter in self._counters:
            event_id = row_id(
                self._options.service, SYSTEM, self._table.name, key_of(row), row["content_type_id"], row["object_id"],
                row.get(_DAY), counter,
            )  # fmt: skip
            try:
                self._add_counter(row, counter, event_id, made)
            except RowRefused as error:
                made.refuse(str(error), {**row, "counter": counter}, event_id)

    def _add_counter(self, row: dict[str, Any], counter: str, event_id: bytes, made: MadeRows) -> None:
        value = 0 if row[counter] is None else to_integer(row[counter])
        object_type = self._label_by_type.get(row["content_type_id"])
        if object_type is None:
            raise RowRefused(f"a content type that {_CONTENT_TYPES} does not have")
        # A day of the old system's, whatever its zone was, stays that day.
        time_ns = to_nanoseconds(row[_DAY], self._options.zone) if self._is_series else self._at_ns
        made.events.append(
            build_event(
                names.COUNTER,
                event_id,
                time_ns,
                self._options.service,
                {
                    names.EVENT_NAME: names.COUNTER,
                    names.OBJECT_TYPE: to_text(object_type),
                    names.OBJECT_ID: to_text(row["object_id"]),
                    names.COUNTER_NAME: to_text(counter),
                    names.COUNTER_VALUE: value,
                },
            )
        )
