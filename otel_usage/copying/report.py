"""What a copy did, and whether both sides agree in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class TableLine(NamedTuple):
    """The numbers of one table: rows of it, of a state table its keys."""

    table: str
    in_source: int
    copied: int
    already_there: int
    in_target: int


@dataclass(slots=True)
class CopyReport:
    """What there is to say."""

    is_dry_run: bool
    tables: list[TableLine] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, and no fault."""
    faults: list[str] = field(default_factory=list)
    """What the target lacks, or has wrong."""
    compared: str = ""
    """What was found equal."""
