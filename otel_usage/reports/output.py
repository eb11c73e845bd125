"""Rows as a table, as JSON, as CSV and as TSV.

Rows hold what clients sent. No control character of theirs reaches a terminal or a file, and no cell of a CSV
or TSV file begins as a formula.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_usage.reports.model import ReportResult

FORMATS = ("table", "json", "csv", "tsv")
_DELIMITERS = {"csv": ",", "tsv": "\t"}

NOT_FOUND = "(not found)"
"""Shown in a table as the path of all requests that were answered with 404 and fitted no route."""

_WIDEST = 1_000_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_result(result: ReportResult, output_format: str, output: TextIO) -> None:
    """Write the rows.

    JSON is a list of objects, one a line. CSV and TSV have a header; a text cell that a spreadsheet would take
    for a formula gets a leading apostrophe. A table is as wide as its longest cells when the output is no terminal.
    """
    if output_format == "json":
        _write_json(result, output)
    elif output_format in _DELIMITERS:
        _write_separated(result, output, _DELIMITERS[output_format])
    else:
        _write_table(result, output)


def to_plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): to_plain(part) for key, part in value.items()}
    return str(value)


def printable(text: str) -> str:
    """Return the text with everything that is not to be seen, such as an escape sequence, written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _write_json(result: ReportResult, output: TextIO) -> None:
    rows = (dict(zip(result.columns, map(to_plain, row), strict=True)) for row in result.rows)
    # ASCII, so that nothing in it can steer a terminal.
    lines = ",\n".join(json.dumps(row) for row in rows)
    output.write(f"[\n{lines}\n]\n" if lines else "[]\n")


def _write_separated(result: ReportResult, output: TextIO, delimiter: str) -> None:
    writer = csv.writer(output, delimiter=delimiter, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in result.rows)


def _csv_cell(value: Any) -> Any:
    plain = to_plain(value)
    if not isinstance(plain, str):
        return json.dumps(plain) if isinstance(plain, (list, dict)) else plain
    return printable(f"'{plain}" if plain.startswith(_FORMULA_STARTS) else plain)


def _write_table(result: ReportResult, output: TextIO) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(result.columns):
        is_number = bool(result.rows) and all(
            isinstance(row[index], (int, float)) and not isinstance(row[index], bool) for row in result.rows
        )
        table.add_column(
            name, justify="right" if is_number else "left", no_wrap=not output.isatty(), overflow="fold"
        )
    for row in _rows_with_labels(result):
        table.add_row(*(_table_cell(value) for value in row))
    # Nothing is cut off for a reader that is a file or another program.
    width = None if output.isatty() else _WIDEST
    console = Console(file=output, highlight=False, markup=False, emoji=False, width=width)
    console.print(table)
    if not result.rows:
        console.print("(no rows in this period)")


def _rows_with_labels(result: ReportResult) -> Iterable[tuple[Any, ...]]:
    """Yield the rows as people read them: the page without route and path is named."""
    if not {"route", "path"} <= set(result.columns):
        return result.rows
    route, path = result.columns.index("route"), result.columns.index("path")
    return (
        row if row[route] or row[path] else (*row[:path], NOT_FOUND, *row[path + 1 :]) for row in result.rows
    )


def _table_cell(value: Any) -> Text:
    plain = to_plain(value)
    if isinstance(plain, float):
        return Text(f"{plain:.3f}".rstrip("0").rstrip("."))
    if plain is None:
        return Text("")
    return Text(printable(plain if isinstance(plain, str) else str(plain)))
