"""A result as text: columns that line up in a terminal and are Markdown at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """What one benchmark measured; the cells are text already, and the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        """Return the table with its title above and its notes below."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        rule = "|".join(
            f" {'-' * widths[0]} " if place == 0 else f" {'-' * (width - 1)}: "
            for place, width in enumerate(widths)
        )
        head, *body = (_line(cells, widths) for cells in lines)
        text = [f"### {self.title}", "", head, f"|{rule}|", *body]
        if self.notes:
            text += ["", *self.notes]
        return "\n".join(text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"
