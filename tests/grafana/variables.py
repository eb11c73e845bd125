"""Puts the choices of a dashboard's variables into a text, as Grafana's front end does before it asks a data source.

Facts from the sources of Grafana (github.com/grafana/scenes, packages/scenes/src/variables: `constants.ts` for the
syntax, `interpolation/sceneInterpolator.ts` and `formatRegistry.ts` for the formats; github.com/grafana/grafana,
packages/grafana-data/src/utils/url.ts for `queryparam`) and of its ClickHouse data source
(github.com/grafana/clickhouse-datasource, src/data/CHDatasource.ts: what a variable without a format becomes).

Grafana leaves an unknown name as it is and takes an unknown format for `glob`. Here both are errors, because both are
slips of whoever wrote the panel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

ALL = "$__all"
"""What the choice "All" is called where Grafana does not list the values instead."""

_REFERENCE = re.compile(r"\$(\w+)|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}", re.ASCII)
_OLD_REFERENCE = re.compile(r"\[\[([A-Za-z_]\w*)(?::\w+)?\]\]", re.ASCII)


class UnknownName(ValueError):
    """A text names a variable, a format or a macro that does not exist."""


@dataclass(frozen=True)
class Choice:
    """What is chosen for a variable.

    Several values are a tuple, also when only one of them is chosen. The choice "All" of a variable is the tuple of
    all of them with `is_all`, or the `custom_all` that the dashboard names for it, which goes in as it is.
    """

    value: str | tuple[str, ...]
    is_all: bool = False
    custom_all: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the values as a tuple."""
        return self.value if isinstance(self.value, tuple) else (self.value,)


Choices = Mapping[str, Choice]
Default = Callable[[Choice], str]


def interpolate(text: str, choices: Choices, *, default: Default, leave: Sequence[str] = ()) -> str:
    """Return a text with the variables in it replaced.

    Args:
        text: of a query, a title or a link.
        choices: by the name of the variable.
        default: writes a choice where the text names no format.
        leave: names that somebody else replaces later.

    Raises:
        UnknownName: the text names a variable that is neither chosen nor left, or an unknown format.
    """
    if old := _OLD_REFERENCE.search(text):
        raise UnknownName(f"{old[0]} is the old syntax of variables, expected ${{{old[1]}}}")

    def replaced(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in leave:
            return found[0]
        if name not in choices:
            known = ", ".join(sorted({*choices, *leave}))
            raise UnknownName(f"{found[0]} names nothing, expected one of: {known}")
        if found[3]:
            raise UnknownName(f"{found[0]} asks for a field, which only the variables of links have")
        return write(name, choices[name], found[4], default)

    return _REFERENCE.sub(replaced, text)


def write(name: str, choice: Choice, format_name: str | None, default: Default) -> str:
    """Return a choice in a format, `${name:format_name}`.

    Raises:
        UnknownName: there is no such format.
    """
    if format_name == "queryparam":
        return _query_parameters(name, choice)
    if choice.is_all and choice.custom_all is not None:
        return choice.custom_all
    if format_name is None:
        return default(choice)
    if format_name not in _FORMATS:
        raise UnknownName(f"{format_name} is no format, expected one of: {', '.join(sorted(_FORMATS))}")
    return _FORMATS[format_name](choice)


def sql_default(choice: Choice) -> str:
    """Return what the ClickHouse data source makes of a variable without a format: nothing is escaped."""
    if isinstance(choice.value, tuple):
        return "'" + "','".join(choice.value) + "'"
    return choice.value


def glob(choice: Choice) -> str:
    """Return what Grafana itself makes of a variable without a format."""
    return "{" + ",".join(choice.texts) + "}" if len(choice.texts) > 1 else "".join(choice.texts)


def _strictly_encoded(choice: Choice) -> str:
    text = "{" + ",".join(choice.value) + "}" if isinstance(choice.value, tuple) else choice.value
    return quote(text, safe="")


def _query_parameters(name: str, choice: Choice) -> str:
    # As Angular encoded them: a quote stays a quote, so this format is no way into SQL.
    values = (ALL,) if choice.is_all else choice.texts
    return "&".join(f"var-{name}={quote(value, safe='!*()@:$,;' + chr(39))}" for value in values)


def _quoted(escape: Callable[[str], str]) -> Callable[[Choice], str]:
    return lambda choice: ",".join(escape(value) for value in choice.texts)


_FORMATS: dict[str, Callable[[Choice], str]] = {
    "raw": lambda choice: ",".join(choice.texts),
    "csv": lambda choice: ",".join(choice.texts),
    "pipe": lambda choice: "|".join(choice.texts),
    "glob": glob,
    "json": lambda choice: (
        json.dumps(choice.value, separators=(",", ":"), ensure_ascii=False)
        if isinstance(choice.value, tuple)
        else choice.value
    ),
    "percentencode": _strictly_encoded,
    # None of the three escapes a backslash, which in ClickHouse escapes the quote behind it.
    "singlequote": _quoted(lambda value: "'" + value.replace("'", "\\'") + "'"),
    "doublequote": _quoted(lambda value: '"' + value.replace('"', '\\"') + '"'),
    "sqlstring": _quoted(lambda value: "'" + value.replace("'", "''").replace('"', '\\"') + "'"),
}
