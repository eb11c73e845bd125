"""The tables of docs/ that are written from the code: `python -m tests.docs_tables` rewrites them in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

from otel_usage.cli import cli
from otel_usage.reports import REPORTS, load_sql
from otel_usage.settings import Settings, describe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MIGRATIONS = ROOT / "otel_usage" / "schema" / "migrations"


def settings_table() -> str:
    """Return every setting with its default and meaning, as a Markdown table."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for setting in describe(Settings()):
        default = f"`{setting.default}`" if setting.default else ""
        meaning = setting.meaning.replace("|", "\\|")
        rows.append(f"| `{setting.name}` | {default} | {meaning} |")
    return "\n".join(rows)


def migrations() -> list[tuple[str, str]]:
    """Return the opening comment and the statement of each migration, in order."""
    found = []
    for path in sorted(MIGRATIONS.glob("*.sql")):
        lines = path.read_text("utf-8").splitlines()
        comment = [line.removeprefix("--").strip() for line in lines[: _first_statement_line(lines)]]
        found.append(("\n".join(comment), "\n".join(lines[len(comment) :])))
    return found


def _first_statement_line(lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if not line.startswith("--"))


def events_table() -> str:
    """Return the columns of `events` as its migration declares them, as a Markdown table."""
    types: dict[str, str] = {}
    for _, statement in migrations():
        if "EXISTS events\n" in statement:
            types = dict(re.findall(r"^    ([a-z_]+) +(\S.*?) (?:CODEC|ALIAS)", statement, re.MULTILINE))
        elif statement.startswith("ALTER TABLE events\n"):
            added = re.findall(r"ADD COLUMN IF NOT EXISTS ([a-z_]+) (\S+) .*AFTER ([a-z_]+)", statement)
            for name, type_, neighbour in added:
                columns = list(types.items())
                columns.insert(list(types).index(neighbour) + 1, (name, type_))
                types = dict(columns)
    rows = [f"| `{name}` | `{type_}` |" for name, type_ in types.items()]
    return "\n".join(["| column | type |", "| --- | --- |", *rows])


def objects_table() -> str:
    """Return every table and view that the migrations create, as a Markdown table."""
    kinds: dict[str, str] = {}
    meanings: dict[str, str] = {}
    for comment, statement in migrations():
        what = " ".join(comment.partition("\n\n")[0].split()).replace("|", "\\|")
        for kind, name in re.findall(
            r"^CREATE ([A-Z ]+?) (?:IF NOT EXISTS )?([a-z_]+)", statement, re.MULTILINE
        ):
            kinds[name] = kind.lower()
            meanings[name] = what
    rows = [f"| `{name}` | {kind} | {meanings[name]} |" for name, kind in kinds.items()]
    return "\n".join(["| name | is | what |", "| --- | --- | --- |", *rows])


def reports_list() -> str:
    """Return a section for each report: its question, its columns and its SQL."""
    sections = []
    for report in REPORTS.values():
        columns = " ".join(f"`{name}`" for name in report_columns(load_sql(report.name)))
        sections.append(
            f"## {report.name}\n\n{report.description}.\n\nColumns: {columns}.\n\n"
            f"[SQL](../otel_usage/reports/sql/{report.name}.sql)"
        )
    return "\n\n".join(sections)


def report_columns(sql: str) -> list[str]:
    """Return the columns of a report's last outermost SELECT, by their names in the result."""
    start = [match.end() for match in re.finditer(r"^SELECT\n", sql, re.MULTILINE)][-1]
    lines = sql[start : sql.index("\nFROM", start)].split("\n")
    return [re.split(r"[ .]", line.strip().rstrip(","))[-1] for line in lines]


def commands_list() -> str:
    """Return a section for each command: what it does, its arguments and its options."""
    return "\n\n".join(_command_section(name, command) for name, command in _commands("", cli))


def _commands(prefix: str, group: click.Group) -> list[tuple[str, click.Command]]:
    """Return all commands by their words, those of a group below it."""
    found: list[tuple[str, click.Command]] = []
    for name, command in group.commands.items():
        found.append((f"{prefix}{name}", command))
        if isinstance(command, click.Group):
            found += _commands(f"{prefix}{name} ", command)
    return found


def _command_section(name: str, command: click.Command) -> str:
    rows = ["| option | default | meaning |", "| --- | --- | --- |", *map(_option_row, _options(command))]
    usage = " ".join([f"otel-usage {name}", *command.collect_usage_pieces(click.Context(command))])
    table = "\n\n" + "\n".join(rows) if len(rows) > 2 else ""
    return f"## {name}\n\n```text\n{usage}\n```\n\n{_one_sentence_a_line(command.help or '')}{table}"


def _one_sentence_a_line(text: str) -> str:
    return text.replace(". ", ".\n")


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _option_row(option: click.Option) -> str:
    default = f"`{option.default}`" if option.show_default else ""
    meaning = option.help or ""
    value = option.metavar or option.type.name.upper()
    if isinstance(option.type, click.Choice):
        value, meaning = "NAME", meaning or "One of: " + ", ".join(map(str, option.type.choices)) + "."
    if isinstance(option.type, click.IntRange):
        value = "N"
    return f"| `{option.opts[0]}{'' if option.is_flag else f' {value}'}` | {default} | {meaning} |"


WRITTEN_TABLES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("configuration.md", "settings", settings_table),
    ("cli.md", "commands", commands_list),
    ("reports.md", "reports", reports_list),
    ("schema.md", "events", events_table),
    ("schema.md", "objects", objects_table),
)
"""Page, name of the table in the page's markers, and what writes it."""


def split_page(text: str, name: str) -> tuple[str, str, str]:
    """Return a page before, between and after the markers of a table.

    Raises:
        ValueError: the page has no such markers.
    """
    head, start, rest = text.partition(f"<!-- {name}: ")
    marker, line_end, rest = rest.partition("\n")
    table, end, tail = rest.partition(f"<!-- end of {name} -->")
    if not (start and line_end and end):
        raise ValueError(f"The page has no markers of the table '{name}'")
    return head + start + marker + line_end, table, end + tail


def main() -> None:
    """Rewrite every table."""
    for page, name, write in WRITTEN_TABLES:
        path = DOCS / page
        head, _, tail = split_page(path.read_text("utf-8"), name)
        path.write_text(f"{head}\n{write()}\n\n{tail}", "utf-8")


if __name__ == "__main__":
    main()
