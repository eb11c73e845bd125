"""Rows as a table, as JSON and as CSV, however hostile their text."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime, timezone
from ipaddress import ip_address
from typing import Any

import pytest

from otel_usage.reports.model import ReportResult
from otel_usage.reports.output import FORMATS, printable, to_plain, write_result

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "bell\x07 back\x08 nul\x00 del\x7f",
    "two\nlines\rone",
    "\u202egnp.exe",
    "\u2028line separator",
    "lone \ud800 surrogate",
)


def write(rows: list[tuple[Any, ...]], output_format: str, columns: tuple[str, ...] = ("value",)) -> str:
    output = io.StringIO()
    write_result(ReportResult(columns, rows), output_format, output)
    return output.getvalue()


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_character_of_a_client_comes_out(text: str, output_format: str) -> None:
    written = write([(text,)], output_format)

    assert all(character.isprintable() or character == "\n" for character in written)
    written.encode("utf-8")


@pytest.mark.parametrize("text", [*HOSTILE, '"quoted"', "a\\b", "ümlaut", "\U0001f600"])
def test_json_gives_back_the_very_text(text: str) -> None:
    assert json.loads(write([(text,)], "json")) == [{"value": text}]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_no_cell_of_a_csv_file_begins_as_a_formula(text: str) -> None:
    (_, (cell,)) = csv.reader(io.StringIO(write([(text,)], "csv")))

    assert cell == "'" + printable(text)


@pytest.mark.parametrize("value", [-5, -0.25, 10**19])
def test_a_number_of_a_csv_file_stays_a_number(value: float) -> None:
    assert write([(value,)], "csv") == f"value\n{value}\n"


def test_a_csv_file_keeps_commas_and_quotes_in_their_cells() -> None:
    row = ('a,b "c"', "", "ümlaut")

    written = write([row], "csv", ("x", "y", "z"))

    assert list(csv.reader(io.StringIO(written))) == [["x", "y", "z"], list(row)]


def test_a_tsv_file_has_tabs_between_its_cells_and_in_none() -> None:
    assert write([("a,b", "=c\td")], "tsv", ("x", "y")) == "x\ty\na,b\t'=c\\td\n"


def test_a_list_is_one_cell_of_a_csv_file() -> None:
    (_, (cell,)) = csv.reader(io.StringIO(write([(["=1", 2],)], "csv")))

    assert json.loads(cell) == ["=1", 2]


def test_markup_of_the_terminal_library_is_text_like_any_other() -> None:
    text = "[red]x[/red] [/] :smile: [link=http://evil.example]y[/link]"

    assert text in write([(text,)], "table")


def test_a_table_is_never_cut_off_for_a_reader_that_is_no_terminal() -> None:
    long = "x" * 5000

    header, row = write([(long, 1)], "table", ("path", "requests")).splitlines()

    assert header.split() == ["path", "requests"]
    assert row.split() == [long, "1"]


def test_numbers_stand_at_the_right_of_their_column() -> None:
    lines = write([(5, "x"), (12345, "y")], "table", ("n", "t")).splitlines()

    assert [line[:5] for line in lines] == ["    n", "    5", "12345"]


def test_a_fraction_of_a_table_has_at_most_three_digits() -> None:
    assert [line.strip() for line in write([(1 / 3,), (2.0,), (None,)], "table").splitlines()[1:]] == [
        "0.333",
        "2",
        "",
    ]


@pytest.mark.parametrize(
    ("output_format", "written"),
    [("json", "[]\n"), ("csv", "a,b\n"), ("table", "a  b\n(no rows in this period)\n")],
)
def test_no_rows_are_said_in_each_format(output_format: str, written: str) -> None:
    lines = "".join(line.rstrip() + "\n" for line in write([], output_format, ("a", "b")).splitlines())

    assert lines == written


def test_json_is_one_object_a_line() -> None:
    assert (
        write([(1, "x"), (2, "y")], "json", ("n", "t")) == '[\n{"n": 1, "t": "x"},\n{"n": 2, "t": "y"}\n]\n'
    )


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 3, 10, 12, tzinfo=timezone.utc), "2026-03-10T12:00:00Z"),
        (date(2026, 3, 10), "2026-03-10"),
        (math.nan, None),
        (math.inf, None),
        (0.5, 0.5),
        (True, True),
        (None, None),
        ((1, math.nan), [1, None]),
        ({1: date(2026, 3, 10)}, {"1": "2026-03-10"}),
        (ip_address("2001:db8::1"), "2001:db8::1"),
    ],
)
def test_every_value_has_a_form_in_json(value: object, plain: object) -> None:
    assert to_plain(value) == plain
