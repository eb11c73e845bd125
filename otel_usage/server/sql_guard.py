"""Decides which SQL the engine may see: an allow-list over the tokens of the statement.

The engine is told the same a second time by the grants of `engine_config`; these cannot forbid scalar functions
(`file`), Python objects, files named by settings, or OUTFILE and INFILE, so the guard is the first line.

Rule of the names: whatever the engine could call must be allowed by name or category. A name before a parenthesis
must be known and allowed, or stand where the user's own names stand. Because functions can also be passed by name
(`arrayMap(file, ...)`, `APPLY file`), a scalar function that is not allowed may not appear as an identifier at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from otel_usage.server import allowed_names
from otel_usage.server.sql_tokens import MARK, QUOTED, STRING, WORD, SqlRefused, Token, tokens_of

MAX_SQL_CHARACTERS = 1_048_576
"""Longest statement that is read as SQL; inserted data is not part of it."""
_MAX_CACHED_CHARACTERS = 8192

_COMBINATORS = re.compile(
    "(?:If|Array|Map|Distinct|State|Merge|ForEach|OrDefault|OrNull|Resample|SimpleState|ArgMin|ArgMax|Null|Tuple)$",
    re.IGNORECASE,
)
_END = Token(MARK, "", 0, 0)


class FunctionRow(NamedTuple):
    """One row of `system.functions`; `alias_to` and `category` are empty where the engine says nothing."""

    name: str
    alias_to: str
    category: str
    is_aggregate: bool


class Catalogue(NamedTuple):
    """What the engine itself says it knows."""

    functions: Sequence[FunctionRow]
    table_functions: Iterable[str]
    engines: Iterable[str]
    types: Iterable[str]
    codecs: Iterable[str]
    formats: Iterable[str]
    settings: Mapping[str, str]
    """Type by name, of queries and of MergeTree tables."""


class Verdict(NamedTuple):
    """What the server must know of an accepted statement."""

    kind: str
    """Its first word, in capitals."""
    reads: bool
    """Answers with rows and changes nothing."""
    output_format: str
    """The name after FORMAT, empty without one."""
    identifiers: tuple[str, ...]
    """Names of the parameters that stand for identifiers: `{name:Identifier}`."""
    keeps_state: bool
    """Leaves something in the session: SET, USE, a temporary table."""


class SqlGuard:
    """Accepts or refuses statements, by the names that one engine knows."""

    def __init__(self, catalogue: Catalogue) -> None:
        allowed, refused, self._aggregates = _split_functions(catalogue.functions)
        self._refused_scalars = frozenset(refused)
        table_functions = {name.lower() for name in catalogue.table_functions}
        self._engines = frozenset(name.lower() for name in catalogue.engines)
        self._refused_calls = (
            self._refused_scalars
            | (table_functions - allowed_names.TABLE_FUNCTIONS - allowed)
            # ALIAS is an engine and a word of column definitions; ENGINE is looked at by itself.
            | (self._engines - allowed_names.ENGINES - allowed_names.TABLE_FUNCTIONS - allowed - {"alias"})
        )
        self._allowed_calls = (
            allowed
            | allowed_names.TABLE_FUNCTIONS
            | allowed_names.ENGINES
            | allowed_names.KEYWORDS_BEFORE_PARENTHESIS
            | {name.lower() for name in (*catalogue.types, *catalogue.codecs)}
        ) - self._refused_calls
        self._settings = {
            name
            for name, type_ in catalogue.settings.items()
            if name not in allowed_names.REFUSED_SETTINGS
            and (type_ in allowed_names.SETTING_TYPES or name in allowed_names.TEXT_SETTINGS)
        }
        self._formats = frozenset(catalogue.formats)
        self._known_settings = frozenset(catalogue.settings)
        # The same statements come again and again: dashboards, reports, inserts.
        self._check_cached = lru_cache(maxsize=512)(self._check)

    def check(self, sql: str) -> Verdict:
        """Return what the statement is.

        Raises:
            SqlRefused: it names something that is not allowed; says what.
        """
        return self._check_cached(sql) if len(sql) <= _MAX_CACHED_CHARACTERS else self._check(sql)

    def check_setting(self, name: str) -> None:
        """Refuse a setting that could name a file, a host or an expression.

        Raises:
            SqlRefused: it may not be changed here, or does not exist (code 115).
        """
        if name in self._settings:
            return
        if name in self._known_settings:
            raise SqlRefused(
                f"Setting {name} is not accepted by this server: it can reach outside of the database"
            )
        raise SqlRefused(
            f"Setting {name[:100]!a} is neither a builtin setting nor accepted by this server", code=115
        )

    def check_format(self, name: str) -> None:
        """Refuse a format that the engine does not know (code 73).

        Raises:
            SqlRefused: there is no such format.
        """
        if name not in self._formats:
            raise SqlRefused(f"Unknown format {name[:100]!a}", code=73)

    def check_identifiers(self, verdict: Verdict, parameters: Mapping[str, str]) -> None:
        """Refuse a parameter that brings the name of a refused function in through `{name:Identifier}`."""
        for name in verdict.identifiers:
            value = parameters.get(name, "")
            parts = [part.strip(' `"').lower() for part in value.split(".")]
            if "\\" in value or parts[0] == "default" or not self._refused_scalars.isdisjoint(parts):
                raise SqlRefused(f"Parameter {name!a} is not accepted as an identifier")

    def _check(self, sql: str) -> Verdict:
        if len(sql) > MAX_SQL_CHARACTERS:
            raise SqlRefused(
                f"The statement has {len(sql)} characters, at most {MAX_SQL_CHARACTERS} are read as SQL. "
                "Send the values as data: INSERT INTO ... FORMAT ...",
                code=62,
            )
        tokens = [*tokens_of(sql)]
        while tokens and tokens[-1].text == ";" and tokens[-1].kind == MARK:
            tokens.pop()
        if not tokens:
            raise SqlRefused("Empty query", code=62)
        kind = _statement_kind(tokens)
        _check_words(tokens)
        self._check_names(tokens, kind)
        self._check_settings(tokens, kind)
        return Verdict(
            kind,
            kind in allowed_names.READING_STATEMENTS and not any(token.upper == "INSERT" for token in tokens),
            _output_format(tokens),
            tuple(_identifier_parameters(tokens)),
            kind in ("SET", "USE") or (kind == "CREATE" and _follows_create(tokens) == "TEMPORARY"),
        )

    def _check_names(self, tokens: Sequence[Token], kind: str) -> None:
        padded = [_END, *tokens, _END, _END]
        for index in range(1, len(tokens) + 1):
            before, token, after = padded[index - 1], padded[index], padded[index + 1]
            if after.text == "(" and after.kind == MARK:
                self._check_call(tokens, index - 1)
            if not token.is_name:
                continue
            name = token.text.lower()
            is_member = before.text == "." and padded[index - 2].kind in (WORD, QUOTED)
            if name in self._refused_scalars and not is_member:
                raise SqlRefused(
                    f"{token.text!a} is a function that this server does not offer. "
                    "A column of that name must be written as table.column"
                )
            if token.text == "default" and (
                after.text == "." or before.upper in ("USE", "DATABASE", "EXISTS")
            ):
                raise SqlRefused(
                    "Database 'default' is not offered by this server, use 'otel_usage' or your own"
                )
            if kind in ("CREATE", "ALTER") and token.upper == "ENGINE":
                engine = padded[index + 2] if after.text == "=" else after
                if engine.is_name and engine.text.lower() in self._engines - allowed_names.ENGINES:
                    raise SqlRefused(
                        f"Engine {engine.text!a} is not offered by this server: it reaches outside of it"
                    )

    def _check_call(self, tokens: Sequence[Token], index: int) -> None:
        """Refuse the parenthesis after `tokens[index]` if it may be a call of something that is not allowed."""
        token = tokens[index]
        if token.kind == STRING:
            raise SqlRefused("A parenthesis after a text is not accepted", code=62)
        if token.text == "}" and token.kind == MARK:
            opening = max((i for i in range(index) if tokens[i].text == "{"), default=0)
            if opening == 0 or tokens[opening - 1].upper not in {"INTO", "TABLE", "VIEW", "EXISTS", "TO"}:
                raise SqlRefused("A parameter cannot name a function", code=62)
        if not token.is_name:
            return
        name = token.text.lower()
        if name in self._refused_calls:
            raise SqlRefused(
                f"{token.text!a} is not offered by this server: it reaches outside of the database"
            )
        if name in self._allowed_calls or self._is_aggregate(name):
            return
        first = index
        while first >= 2 and tokens[first - 1].text == "." and tokens[first - 2].is_name:
            first -= 2
        if first == 0 or tokens[first - 1].upper not in allowed_names.NAMED_BEFORE_COLUMNS:
            raise SqlRefused(f"Unknown function {token.text[:100]!a}", code=46)

    def _is_aggregate(self, name: str) -> bool:
        while (shorter := _COMBINATORS.sub("", name)) != name:
            if shorter in self._aggregates:
                return True
            name = shorter
        return False

    def _check_settings(self, tokens: Sequence[Token], kind: str) -> None:
        starts = [i for i, token in enumerate(tokens) if token.upper in ("SETTINGS", "SETTING")]
        if kind == "SET":
            starts.append(0)
        for start in starts:
            depth = 0
            for index in range(start + 1, len(tokens) - 1):
                token = tokens[index]
                if token.kind == MARK:
                    depth += {"(": 1, ")": -1}.get(token.text, 0)
                    if depth < 0:
                        break
                is_assigned = tokens[index + 1].text == "=" and tokens[index + 1].kind == MARK
                follows = index == start + 1 or tokens[index - 1].text == ","
                if is_assigned and follows and token.is_name:
                    self.check_setting(token.text)


def _split_functions(rows: Sequence[FunctionRow]) -> tuple[set[str], set[str], frozenset[str]]:
    """Return the names of allowed functions, of refused scalar functions, and of aggregate functions."""
    category_by_name = {row.name: row.category for row in rows}
    allowed: set[str] = set()
    refused: set[str] = set()
    aggregates: set[str] = set()
    for row in rows:
        original = row.alias_to or row.name
        name = row.name.lower()
        if row.is_aggregate:
            aggregates.add(name)
        is_allowed = (
            row.is_aggregate
            or category_by_name.get(original, "") in allowed_names.FUNCTION_CATEGORIES
            or original.lower() in allowed_names.FUNCTIONS
        )
        (allowed if is_allowed else refused).add(name)
    return allowed - refused, refused, frozenset(aggregates)


def _statement_kind(tokens: Sequence[Token]) -> str:
    first = next((token for token in tokens if token.text != "("), _END)
    kind = first.upper
    allowed_next = allowed_names.STATEMENTS.get(kind)
    if allowed_next is None or (tokens[0].text == "(" and kind not in ("SELECT", "WITH", "FROM")):
        raise SqlRefused(
            f"Statement {first.text[:50]!a} is not accepted by this server, "
            f"expected one of: {', '.join(allowed_names.STATEMENTS)}",
            code=497 if kind in allowed_names.REFUSED_STATEMENTS else 62,
        )
    follower = _follows_create(tokens) if kind == "CREATE" else (tokens[1].upper if len(tokens) > 1 else "")
    if allowed_next and follower not in allowed_next:
        raise SqlRefused(
            f"Statement {kind} {follower[:50]} is not accepted by this server, "
            f"expected {kind} and one of: {', '.join(allowed_next)}"
        )
    if kind == "SET" and not (len(tokens) > 2 and tokens[1].is_name and tokens[2].text == "="):
        raise SqlRefused("SET is accepted for settings only: SET name = value")
    return kind


def _follows_create(tokens: Sequence[Token]) -> str:
    words = [token.upper for token in tokens[1:4]]
    if words[:2] == ["OR", "REPLACE"]:
        words = words[2:]
    return words[0] if words else ""


def _check_words(tokens: Sequence[Token]) -> None:
    for index, token in enumerate(tokens):
        if token.kind == MARK and token.text == ";":
            raise SqlRefused("Only one statement at a time is accepted", code=62)
        word = token.upper
        if word in ("OUTFILE", "INFILE"):
            raise SqlRefused(
                f"{word} is not accepted by this server: it does not read or write files for its clients"
            )
        if word == "PARALLEL" and index + 1 < len(tokens) and tokens[index + 1].upper == "WITH":
            raise SqlRefused("PARALLEL WITH is not accepted by this server")


def _output_format(tokens: Sequence[Token]) -> str:
    depth = 0
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if token.kind == MARK:
            depth += {")": 1, "(": -1}.get(token.text, 0)
        elif depth == 0 and token.is_name and tokens[index - 1].upper == "FORMAT":
            return token.text
    return ""


def _identifier_parameters(tokens: Sequence[Token]) -> Iterable[str]:
    for index, token in enumerate(tokens):
        if token.is_name and token.text.lower() == "identifier" and index and tokens[index - 1].text == ":":
            if index < 3 or tokens[index - 3].text != "{":
                raise SqlRefused(
                    "A parameter of type Identifier must be written as {name:Identifier}", code=62
                )
            yield tokens[index - 2].text
