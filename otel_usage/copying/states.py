"""Copies the states of days whose events are gone: what is left of them are the states themselves."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from otel_usage.clickhouse import compress_blocks
from otel_usage.copying.census import StateCount, Unit, count_bucket
from otel_usage.copying.sides import Sides, patiently
from otel_usage.importers.lookup import name_digits
from otel_usage.schema.states import StateTable

_KEYS_A_BATCH = 100_000


class Lacking(NamedTuple):
    """Keys of one table and unit that the target has none of."""

    table: StateTable
    unit: Unit
    where: str
    """Condition on the columns of `state`; the service is a parameter."""
    keys: int


class StateCopier:
    """Copies states as they are, each key once.

    They go in batches of keys, each of which is there as a whole or not at all, so that a run after one that was killed
    goes on. The batches are the same as long as the source has as many keys.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        # New in each run: between two runs somebody may have deleted what the first one stored.
        self._token = f"copy-{secrets.token_hex(16)}"
        self._batches = 0

    def lacking(self, table: StateTable, unit: Unit, wanted: StateCount) -> list[Lacking] | None:
        """Return what the target lacks of one day and service of a table.

        None when it has other states of them, of which nobody can tell what they count.
        """
        # A power of two, so that more batches than the last time are parts of its ones.
        batches = 1 << (max(wanted.keys - 1, 0) // _KEYS_A_BATCH).bit_length()
        found = []
        for number in range(batches):
            where = _where(table, unit, batches, number)
            source, target = (count_bucket(client, table, where, unit) for client in self._sides)
            if source is not None and target is None:
                found.append(Lacking(table, unit, where, source.keys))
            elif source != target:
                return None
        return found

    def send(self, lacking: Lacking) -> None:
        """Store them.

        Raises:
            OtelUsageError: ClickHouse did not take them for a minute.
        """
        table, unit, where, _ = lacking
        columns = table.column_names
        blocks = patiently(
            self._sides.source,
            lambda: self._sides.source.query_blocks(
                columns, f"FROM {table.name} AS state WHERE {where}", {"service": name_digits(unit[1])}
            ),
        )
        self._batches += 1
        token = f"{self._token}-{self._batches}"
        block = compress_blocks(blocks)
        patiently(
            self._sides.target,
            lambda: self._sides.target.insert_native(table.name, columns, block, token=token),
        )


def _where(table: StateTable, unit: Unit, batches: int, number: int) -> str:
    of_unit = f"state.day = toDate('{unit[0]}') AND state.service_name = unhex({{service:String}})"
    keys = ", ".join(f"state.{key}" for key in table.keys)
    return of_unit if batches == 1 else f"{of_unit} AND cityHash64({keys}) % {batches} = {number}"
