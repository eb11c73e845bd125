"""How a long list is turned page by page: a page is asked for by the place of the row next to it.

So pages neither repeat nor skip a row while others arrive, and the last page costs what the first one does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Row = TypeVar("Row")
Place = TypeVar("Place")

Ask: TypeAlias = Callable[[int, "Place | None", "Place | None"], "list[Row]"]
"""Takes how many rows, and either the place before them or the place behind them. Returns the rows that are nearest
to the place, the nearest first; without a place the first rows of the list."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row, Place]):
    """Some rows in the order of the list, and where the pages beside them are."""

    rows: list[Row]
    previous: Place | None
    """Ask for the rows before this place; None: this is the beginning of the list."""
    next: Place | None
    """Ask for the rows behind this place; None: this is the end of the list."""


def read_page(
    ask: Ask[Place, Row],
    place_of: Callable[[Row], Place],
    size: int,
    *,
    behind: Place | None = None,
    before: Place | None = None,
) -> Page[Row, Place]:
    """Return the first rows of a list, those right behind a place, or those right before one.

    Args:
        ask: reads rows.
        place_of: returns where a row stands.
        size: most rows of a page.
        behind: the place of the last row of the page that was seen.
        before: the place of the first row of the page that was seen; not together with `behind`.
    """
    found = ask(size + 1, behind, before)
    rows, has_more = found[:size], len(found) > size
    if before is None:
        previous = place_of(rows[0]) if behind is not None and rows else None
        return Page(rows, previous, place_of(rows[-1]) if has_more else None)
    if not has_more:
        # Fewer than a page stand before the place, so this is the beginning, and what follows fills its page.
        return read_page(ask, place_of, size)
    rows.reverse()
    return Page(rows, place_of(rows[0]), place_of(rows[-1]))
