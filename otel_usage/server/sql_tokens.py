r"""Cuts SQL into tokens the way ClickHouse's own lexer does, and refuses what the two might read differently.

The guard decides by these tokens, so a difference between this lexer and the engine's would be a hole.
Rare syntax is therefore refused instead of imitated: heredocs, `#` and `//` comments, nested comments,
typographic quotes and other text outside ASCII, backslashes in quoted identifiers (`fi\x6ce`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

WORD = "word"
QUOTED = "quoted"
STRING = "string"
NUMBER = "number"
MARK = "mark"

_TOKEN = re.compile(
    r"""
    (?P<space> [ \t\n\r\f\v]+ | --[^\n]* | /\*[^*/]*(?:(?:\*(?!/)|/(?!\*))[^*/]*)*\*/ )
  | (?P<word> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<string> '[^'\\]*(?:(?:\\.|'')[^'\\]*)*' )
  | (?P<quoted> `[^`\\]*(?:``[^`\\]*)*` | "[^"\\]*(?:""[^"\\]*)*" )
  | (?P<number> 0[xX][0-9a-fA-F]+ | [0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? )
  | (?P<mark> [()\[\]{},.;:?+*%=<>!|^&~-] | /(?![/*]) )
    """,
    re.VERBOSE | re.DOTALL,
)


class SqlRefused(Exception):
    """A statement is refused before the engine sees it.

    Attributes:
        code: the ClickHouse error code that a client understands; 497 is ACCESS_DENIED.
    """

    def __init__(self, message: str, code: int = 497) -> None:
        super().__init__(message)
        self.code = code


class Token(NamedTuple):
    """One significant token. `text` of a quoted identifier is its name; `start` and `end` are positions."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The keyword that a bare word may be; empty for anything else, because only bare words are keywords."""
        return self.text.upper() if self.kind == WORD else ""

    @property
    def is_name(self) -> bool:
        """Whether the engine may read it as an identifier."""
        return self.kind in (WORD, QUOTED)


def tokens_of(sql: str) -> Iterator[Token]:
    """Yield the tokens of a statement without spaces and comments.

    Raises:
        SqlRefused: at the first character that this lexer does not read like the engine.
    """
    position = 0
    match = _TOKEN.match
    while position < len(sql):
        found = match(sql, position)
        if found is None:
            raise SqlRefused(_unreadable(sql, position), code=62)
        kind, end = str(found.lastgroup), found.end()
        if kind != "space":
            text = found.group()
            if kind == QUOTED:
                quote = text[0]
                text = text[1:-1].replace(quote * 2, quote)
            yield Token(kind, text, position, end)
        position = end


def _unreadable(sql: str, position: int) -> str:
    character = sql[position]
    if character in "'\"`" or sql.startswith("/*", position):
        return (
            f"Syntax error at position {position + 1}: a quote or comment is not closed, "
            "is nested, or is an identifier with a backslash"
        )
    return (
        f"Syntax error at position {position + 1}: {character!a} is not accepted outside of quotes. "
        "This server takes plain ASCII SQL, comments as -- or /* */ and no $heredocs$"
    )
