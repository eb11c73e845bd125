"""The tables of docs/ that are written from the code: `python -m tests.docs_tables` rewrites them in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

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
    rows = ["| column | type |", "| --- | --- |"]
    for _, statement in migrations():
        if "EXISTS events\n" in statement:
            for name, type_ in re.findall(
                r"^    ([a-z_]+) +(\S.*?) (?:CODEC|ALIAS)", statement, re.MULTILINE
            ):
                rows.append(f"| `{name}` | `{type_}` |")
    return "\n".join(rows)


def objects_table() -> str:
    """Return every table and view that the migrations create, as a Markdown table."""
    rows = ["| name | is | what |", "| --- | --- | --- |"]
    for comment, statement in migrations():
        created = re.match(r"CREATE ([A-Z ]+?) (?:IF NOT EXISTS )?([a-z_]+)", statement)
        if created:
            what = " ".join(comment.partition("\n\n")[0].split()).replace("|", "\\|")
            rows.append(f"| `{created[2]}` | {created[1].lower()} | {what} |")
    return "\n".join(rows)


WRITTEN_TABLES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("configuration.md", "settings", settings_table),
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
