"""What a source hands over, and what becomes of it: `read = stored + already there + refused`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from otel_usage.importers.event_rows import Rows

CHUNK_SIZE = 20_000
"""Lines or rows. Each insert costs the views some milliseconds, whatever its size."""
_PLACES_SHOWN = 5


class Refusal(NamedTuple):
    """A line or row that is no event."""

    reason: str
    place: str
    """Where it stands: the number of the line, the key of the row."""
    event_id: str = ""
    """Of a row: the id that it would have had."""
    body: str = ""
    """Of a row: what is kept of it in `rejected_events`."""


class Chunk(NamedTuple):
    """Some lines or rows, each of which gave an event or a refusal."""

    rows: Rows
    """One event for each line or row that can be one."""
    further: Rows
    """What follows from some of them, such as stages reached."""
    refused: list[Refusal]


@dataclass(slots=True)
class Refused:
    """How often something was refused for one reason, and where first."""

    count: int = 0
    places: list[str] = field(default_factory=list)

    def shown_places(self) -> str:
        """Return some of the places."""
        more = ", …" if self.places and self.count > len(self.places) else ""
        return ", ".join(self.places) + more


@dataclass(slots=True)
class Tally:
    """The numbers of one source. `noun` says what it counts."""

    name: str
    noun: str
    stored: int = 0
    already_there: int = 0
    further: int = 0
    """Further events that were stored, such as stages reached."""
    refused: dict[str, Refused] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """All lines or rows, of which each is counted once more below."""
        return self.stored + self.already_there + self.refused_count

    @property
    def refused_count(self) -> int:
        """All that were refused."""
        return sum(refused.count for refused in self.refused.values())

    def refuse(self, reason: str, place: str = "", count: int = 1) -> None:
        """Count lines or rows that were refused for a reason."""
        refused = self.refused.setdefault(reason, Refused())
        refused.count += count
        if place and len(refused.places) < _PLACES_SHOWN:
            refused.places.append(place)

    def lines(self, *, is_dry_run: bool) -> list[str]:
        """Return the numbers for people."""
        done = "new" if is_dry_run else "stored"
        lines = [
            f"{self.name}: {self.read:,} {self.noun}: {self.stored:,} {done}, "
            f"{self.already_there:,} already there, {self.refused_count:,} refused"
        ]
        if self.further:
            lines.append(f"  {self.further:,} further events {done} that follow from them")
        for reason, refused in sorted(self.refused.items(), key=lambda item: -item[1].count):
            places = refused.shown_places()
            lines.append(f"  {refused.count:,} refused: {reason}" + (f" ({places})" if places else ""))
        return lines
