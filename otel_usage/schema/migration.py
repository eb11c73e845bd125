"""The migrations as files: `migrations/NNNN_verb_what.sql`, never edited after a release."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_STATE_VIEW = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO \w+_state\b")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a database of version N - 1 to version N."""

    version: int
    name: str
    sql: str

    @property
    def statements(self) -> tuple[str, ...]:
        """What is to be run, in order: one statement, or a family of plain views."""
        parts = (part.strip() for part in _COMMENT.sub("", self.sql).split(";"))
        return tuple(part for part in parts if part)

    @property
    def state_view(self) -> str:
        """The materialized view that it creates, if that keeps states of `events`; empty for the others."""
        found = _STATE_VIEW.search(self.sql)
        return found[1] if found else ""

    @property
    def checksum(self) -> str:
        """Names the statements themselves: comments and white space do not count."""
        statement = " ".join(_COMMENT.sub("", self.sql).split())
        return hashlib.sha256(statement.encode()).hexdigest()

    def __str__(self) -> str:
        """Return the name of the file, without its ending."""
        return f"{self.version:04}_{self.name}"


@lru_cache(maxsize=1)
def load_migrations() -> tuple[Migration, ...]:
    """Return all migrations in order; their versions are 1, 2, 3 and so on."""
    migrations = []
    for file in files(__package__).joinpath("migrations").iterdir():
        found = _FILE_NAME.fullmatch(file.name)
        if found:
            migrations.append(Migration(int(found[1]), found[2], file.read_text("utf-8")))
    return tuple(sorted(migrations, key=lambda migration: migration.version))
