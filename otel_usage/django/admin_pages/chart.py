"""A simple bar chart as SVG that the server draws; the template writes the same numbers as a table below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

WIDTH, HEIGHT = 700, 150
_MARGIN = 24
"""Left and right of it, for half of the text below the first and the last bar."""
_MOST_TICKS = 8
_GAP = 0.25
"""Of the width of a bar."""


class Bar(NamedTuple):
    """One bar, of which a part is drawn darker.

    Lengths are units of the drawing, as text: Django would write a number in the language of the reader.
    """

    label: str
    value: int
    part: int
    x: str
    width: str
    y: str
    height: str
    part_y: str
    part_height: str
    middle: str
    tick: str
    """What stands below it; empty where there is no room."""
    top: str
    """Where the number above it stands."""
    number: str
    """Empty where there is no room."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template needs."""

    title: str
    labels: tuple[str, str]
    """What a whole bar is, and what its darker part is."""
    bars: list[Bar]
    last_day: str
    """Of the last bar."""
    base: str
    """Where zero is."""
    scale: str
    """The length of the highest bar, where the bars do not say theirs; else empty."""
    width: int = WIDTH
    width_with_margins: int = WIDTH + 2 * _MARGIN

    @property
    def summary(self) -> str:
        """What the chart shows, in a sentence."""
        if not self.bars:
            return "There is nothing to show."
        total, part = sum(bar.value for bar in self.bars), sum(bar.part for bar in self.bars)
        return f"From {self.bars[0].label} to {self.last_day}. {self.labels[0]}: {total:,}. {self.labels[1]}: {part:,}."


def bar_chart(
    title: str,
    names: list[str],
    values: list[int],
    parts: list[int],
    *,
    labels: tuple[str, str],
    last_day: str = "",
) -> Chart:
    """Return a chart of one bar for each name.

    Args:
        title: what it shows.
        names: of the bars, from left to right: the first day of each.
        values: the length of each bar; may be negative.
        parts: how much of each is drawn darker.
        labels: what a whole bar is, and what its darker part is.
        last_day: the last day of the last bar; its first one by default.
    """
    highest = max((*values, *parts, 0))
    lowest = min((*values, *parts, 0))
    scale = HEIGHT / ((highest - lowest) or 1)
    base = highest * scale if highest > lowest else HEIGHT
    step = WIDTH / max(len(names), 1)
    every = -(-len(names) // _MOST_TICKS) or 1
    bars = []
    for number, (name, value, part) in enumerate(zip(names, values, parts, strict=True)):
        y, height = _span(value, base, scale)
        part_y, part_height = _span(part, base, scale)
        x = number * step + step * _GAP / 2
        # Counted from the right, so that the last one, today, always has its name.
        tick = name[5:] if (len(names) - 1 - number) % every == 0 else ""
        width = step * (1 - _GAP)
        number_above = f"{value:,}" if len(names) <= _MOST_TICKS else ""
        bars.append(
            Bar(name, value, part, _length(x), _length(width), y, height, part_y, part_height, _length(x + width / 2), tick,
                _length(float(y) - 5), number_above)
        )  # fmt: skip
    return Chart(
        title,
        labels,
        bars,
        last_day or "".join(names[-1:]),
        _length(base),
        f"{highest:,}" if len(names) > _MOST_TICKS else "",
    )


def _span(value: int, base: float, scale: float) -> tuple[str, str]:
    height = abs(value) * scale
    return _length(base - height if value > 0 else base), _length(height)


def _length(number: float) -> str:
    return f"{number:.2f}"
