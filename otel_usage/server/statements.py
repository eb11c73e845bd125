"""Splits a request into the SQL that the guard reads and the data that an INSERT brings along.

Data never becomes part of the SQL text: it goes through a file (`FROM INFILE`), because a `;` or a quote in
binary data would otherwise end the statement.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from otel_usage.server.sql_tokens import MARK, SqlRefused, Token, tokens_of

MAX_INSERT_HEAD = 65_536
"""Bytes in which the part of an INSERT before its data must end."""
MAX_INLINE_VALUES = 262_144
"""Bytes up to which a VALUES list is read as SQL, with expressions; a longer one holds literals only."""

_NAME = rb'(?:[A-Za-z_][A-Za-z0-9_]*|`[^`\\\x00]+`|"[^"\\\x00]+")'
_PLAIN_INSERT = re.compile(
    rb"\s*INSERT\s+INTO\s+(?:TABLE\s+)?(?:(?P<database>"
    + _NAME
    + rb")\s*\.\s*)?(?P<table>"
    + _NAME
    + rb")\s*"
    rb"(?:\(\s*" + _NAME + rb"(?:\s*,\s*" + _NAME + rb")*\s*\)\s*|(?<=\s))"
    rb"FORMAT\s+(?P<format>[A-Za-z][A-Za-z0-9]*)(?P<gap>[ \t\f]*\r?\n|[ \t\f]+|$)",
    re.IGNORECASE,
)
_SQL_DATA = frozenset({"SELECT", "WITH", "FROM", "VALUES"})


class SqlText(NamedTuple):
    """A statement that is SQL from beginning to end."""

    sql: str


class DataInsert(NamedTuple):
    """An INSERT whose rows come as data in a format."""

    before_file: str
    """SQL up to where the file is named."""
    after_file: str
    """SQL behind it: settings and the format."""
    parts: tuple[memoryview, ...]
    """The data; together `size` bytes."""
    is_plain: bool
    """Matches the strict pattern of an insert into a table by name, which needs no guard."""
    literals_only: bool = False
    """The data is a VALUES list in which expressions must not run."""

    @property
    def size(self) -> int:
        """Bytes of data."""
        return sum(part.nbytes for part in self.parts)

    @property
    def sql(self) -> str:
        """The statement without its data, for the guard."""
        return f"{self.before_file} {self.after_file}"

    def sql_with(self, path: Path) -> str:
        """Return the statement that reads its data from a file. `path` holds no quote: we made it."""
        return f"{self.before_file} FROM INFILE '{path}' {self.after_file}"


def split_statement(query: bytes, body: bytes) -> SqlText | DataInsert:
    """Return what a request says.

    Args:
        query: the `query` parameter; a statement or its beginning.
        body: the unpacked body, which continues it on a new line.

    Raises:
        SqlRefused: it cannot be read; says why.
    """
    if query and body:
        plain = _plain_insert(query, body)
        if plain:
            return plain
        body = query + b"\n" + body
    elif query:
        body = query
    plain = _plain_insert(body, b"")
    if plain:
        return plain
    head = body[:MAX_INSERT_HEAD].decode("latin-1")
    first = next(tokens_of(head), None)
    if first and first.upper == "INSERT":
        return _split_insert(head, body)
    return SqlText(_decode(body))


def _plain_insert(head: bytes, tail: bytes) -> DataInsert | None:
    found = _PLAIN_INSERT.match(head)
    if (
        found is None
        or found.group("format").upper() == b"VALUES"
        or (found.group("database") or b"").strip(b'`"') == b"default"
        or b"\x00" in found.group()
    ):
        return None
    start = found.start("format")
    before = _decode(head[:start])
    # The word FORMAT stands right before the name of the format.
    before_file = before[: before.upper().rindex("FORMAT")]
    format_name = found.group("format").decode()
    parts = tuple(memoryview(part) for part in (head[found.end() :], tail) if part)
    return DataInsert(before_file, f"FORMAT {format_name}", parts, is_plain=True)


def _split_insert(head: str, body: bytes) -> SqlText | DataInsert:
    settings: Token | None = None
    depth = 0
    previous = ""
    # Positions in `head` are positions in `body`: Latin-1 has one byte for each character.
    for token in tokens_of(head):
        if token.kind == MARK:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        elif depth == 0 and token.upper == "SETTINGS" and previous != ".":
            settings = token
        elif depth == 0 and previous == "FORMAT" and token.is_name:
            return _data_insert(body, settings, token)
        elif token.upper in _SQL_DATA and previous != ".":
            if token.upper == "VALUES" and len(body) - token.end > MAX_INLINE_VALUES:
                return _long_values(body, settings, token)
            return SqlText(_decode(body))
        previous = token.upper if token.kind != MARK else token.text
    if len(body) > len(head):
        raise SqlRefused(
            f"No FORMAT, VALUES or SELECT within the first {MAX_INSERT_HEAD} bytes of the INSERT", code=62
        )
    return SqlText(_decode(body))


def _data_insert(body: bytes, settings: Token | None, name: Token) -> SqlText | DataInsert:
    format_start = body[: name.start].upper().rindex(b"FORMAT")
    if name.text.upper() == "VALUES":
        # Values are expressions, so they are read as what they are.
        as_sql = body[:format_start] + b"VALUES " + body[name.end :]
        if len(as_sql) > MAX_INLINE_VALUES:
            return _long_values(body, settings, Token(name.kind, "VALUES", format_start, name.end))
        return SqlText(_decode(as_sql))
    gap = re.compile(rb"[ \t\f]*(?:\r?\n)?").match(body, name.end)
    data = memoryview(body)[gap.end() if gap else name.end :]
    file_start = settings.start if settings else format_start
    return DataInsert(
        _decode(body[:file_start]),
        _decode(body[file_start : name.end]),
        (data,) if data else (),
        is_plain=False,
    )


def _long_values(body: bytes, settings: Token | None, values: Token) -> DataInsert:
    file_start = settings.start if settings else values.start
    return DataInsert(
        _decode(body[:file_start]),
        _decode(body[file_start : values.start]) + " FORMAT Values",
        (memoryview(body)[values.end :],),
        is_plain=False,
        literals_only=True,
    )


def _decode(sql: bytes) -> str:
    try:
        text = sql.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SqlRefused(f"The SQL text is not UTF-8 at byte {error.start}", code=62) from None
    if "\x00" in text:
        raise SqlRefused("The SQL text holds a NUL byte. Write it as \\0 inside of quotes", code=62)
    return text
