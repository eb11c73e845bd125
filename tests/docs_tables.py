"""The tables of docs/ that are written from the code: `python -m tests.docs_tables` rewrites them in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from otel_usage.settings import Settings, describe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def settings_table() -> str:
    """Return every setting with its default and meaning, as a Markdown table."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for setting in describe(Settings()):
        default = f"`{setting.default}`" if setting.default else ""
        meaning = setting.meaning.replace("|", "\\|")
        rows.append(f"| `{setting.name}` | {default} | {meaning} |")
    return "\n".join(rows)


WRITTEN_TABLES: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("configuration.md", "settings", settings_table),
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
