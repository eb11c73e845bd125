"""Expands a panel's query as Grafana and version 4 of its ClickHouse data source do, strictly.

Facts from the sources of the data source (github.com/grafana/clickhouse-datasource): `pkg/macros/macros.go` says what
each macro becomes, `src/data/CHDatasource.ts` how `$__conditionalAll` reads its arguments and that it comes first, the
variables second; the macros follow in the back end, which is all that an alert rule sees.

Its time filters are closed at both ends and of whole seconds, and its `toDateTime` is of the server's time zone, which
makes no difference to the moment that is compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from tests.grafana.variables import ALL, Choice, Choices, UnknownName, interpolate, sql_default

_MACRO = re.compile(r"\$__(\w+)", re.ASCII)
_CONDITIONAL = "$__conditionalAll("
_VARIABLE_NAME = re.compile(r"\$\{(\w+)\}|\$(\w+)", re.ASCII)
_NOT_A_VARIABLE = "all"
"""`'$__all'` in a query is a text: no variable has that name, so Grafana leaves it."""


@dataclass(frozen=True)
class TimeRange:
    """What the time picker says, and the step that Grafana made of it for a panel."""

    start: datetime
    end: datetime
    interval: timedelta = timedelta(minutes=1)

    @property
    def seconds(self) -> int:
        """Return the whole seconds between both ends."""
        return int((self.end - self.start).total_seconds())


def expand(sql: str, choices: Choices, time_range: TimeRange) -> str:
    """Return the SQL that ClickHouse gets for a panel, a variable or an annotation.

    Raises:
        UnknownName: it names a variable, a format or a macro that does not exist.
        ValueError: a macro has the wrong number of arguments.
    """
    _check_macros(sql, {*_FRONT_END_NAMES, "conditionalAll", _NOT_A_VARIABLE})
    known = {**choices, **_front_end_choices(time_range)}
    left = [f"__{name}" for name in (*MACROS, _NOT_A_VARIABLE)]
    text = interpolate(_without_conditions(sql, choices), known, default=sql_default, leave=left)
    return expand_macros(text, time_range)


def expand_rule(sql: str, time_range: TimeRange) -> str:
    """Return the SQL that ClickHouse gets for an alert rule, for which nobody replaces variables.

    Raises:
        UnknownName: it names a variable or a macro that the back end does not know.
        ValueError: a macro has the wrong number of arguments.
    """
    _check_macros(sql, set())
    interpolate(sql, {}, default=sql_default, leave=[f"__{name}" for name in MACROS])
    return expand_macros(sql, time_range)


def expand_macros(sql: str, time_range: TimeRange) -> str:
    """Return the SQL after the back end's macros; an unknown one stays, as it may be part of a variable's value."""
    done, place = [], 0
    while found := _MACRO.search(sql, place):
        done.append(sql[place : found.start()])
        place = found.end()
        if found[1] not in MACROS:
            done.append(found[0])
            continue
        arguments: list[str] = []
        if sql[place : place + 1] == "(":
            arguments, place = _arguments(sql, place)
        done.append(MACROS[found[1]].written(found[1], arguments, time_range))
    return "".join(done) + sql[place:]


@dataclass(frozen=True)
class Macro:
    """One macro of the back end."""

    arguments: int
    write: Callable[[list[str], TimeRange], str]

    def written(self, name: str, arguments: list[str], time_range: TimeRange) -> str:
        """Return the SQL that stands for it."""
        given = [] if arguments == [""] else arguments
        if len(given) != self.arguments:
            raise ValueError(f"$__{name} has {len(given)} arguments, expected {self.arguments}")
        return self.write(given, time_range)


def _seconds(moment: datetime) -> str:
    return f"toDateTime({int(moment.timestamp())})"


def _milliseconds(moment: datetime) -> str:
    return f"fromUnixTimestamp64Milli({_unix_ms(moment)})"


def _date(moment: datetime) -> str:
    return f"toDate('{moment.astimezone(timezone.utc):%Y-%m-%d}')"


def _between(column: str, time_range: TimeRange, write: Callable[[datetime], str]) -> str:
    return f"{column} >= {write(time_range.start)} AND {column} <= {write(time_range.end)}"


def _date_and_time(arguments: list[str], time_range: TimeRange) -> str:
    date, time = arguments
    return f"({_between(date, time_range, _date)}) AND ({_between(time, time_range, _seconds)})"


def _step_seconds(time_range: TimeRange) -> int:
    return int(max(time_range.interval.total_seconds(), 1))


def _step_ms(time_range: TimeRange) -> int:
    return max(time_range.interval // timedelta(milliseconds=1), 1)


MACROS = {
    "fromTime": Macro(0, lambda _, of: _seconds(of.start)),
    "toTime": Macro(0, lambda _, of: _seconds(of.end)),
    "fromTime_ms": Macro(0, lambda _, of: _milliseconds(of.start)),
    "toTime_ms": Macro(0, lambda _, of: _milliseconds(of.end)),
    "timeFilter": Macro(1, lambda given, of: _between(given[0], of, _seconds)),
    "timeFilter_ms": Macro(1, lambda given, of: _between(given[0], of, _milliseconds)),
    "dateFilter": Macro(1, lambda given, of: _between(given[0], of, _date)),
    "dateTimeFilter": Macro(2, _date_and_time),
    "dt": Macro(2, _date_and_time),
    "timeInterval": Macro(
        1,
        lambda given, of: f"toStartOfInterval(toDateTime({given[0]}), INTERVAL {_step_seconds(of)} second)",
    ),
    "timeInterval_ms": Macro(
        1,
        lambda given, of: (
            f"toStartOfInterval(toDateTime64({given[0]}, 3), INTERVAL {_step_ms(of)} millisecond)"
        ),
    ),
    "interval_s": Macro(0, lambda _, of: str(_step_seconds(of))),
}
"""What the data source's back end replaces, by the name behind `$__`."""

_FRONT_END_NAMES = ("from", "to", "interval", "interval_ms", "range_s", "range_ms")


def _front_end_choices(time_range: TimeRange) -> dict[str, Choice]:
    values = (
        str(_unix_ms(time_range.start)),
        str(_unix_ms(time_range.end)),
        f"{_step_seconds(time_range)}s",
        str(_step_ms(time_range)),
        str(time_range.seconds),
        str(time_range.seconds * 1000),
    )
    return {f"__{name}": Choice(value) for name, value in zip(_FRONT_END_NAMES, values, strict=True)}


def _unix_ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _check_macros(sql: str, further: set[str]) -> None:
    # Before the values are in: a value may hold anything.
    for found in re.finditer(r"\$\{?__(\w+)", sql, re.ASCII):
        if found[1] not in MACROS and found[1] not in further:
            known = ", ".join(f"$__{name}" for name in sorted({*MACROS, *further}))
            raise UnknownName(f"{found[0]} is no macro, expected one of: {known}")


def _without_conditions(sql: str, choices: Choices) -> str:
    """Return the SQL with each `$__conditionalAll(condition, $variable)` replaced, from the last to the first."""
    while (place := sql.rfind(_CONDITIONAL)) >= 0:
        arguments, end = _arguments(sql, place + len(_CONDITIONAL) - 1)
        if len(arguments) != 2:
            raise ValueError(f"$__conditionalAll has {len(arguments)} arguments, expected 2")
        name = _VARIABLE_NAME.search(arguments[1])
        if name is None or (name[1] or name[2]) not in choices:
            raise UnknownName(f"$__conditionalAll asks for {arguments[1].strip()}, which is no variable")
        choice = choices[name[1] or name[2]]
        is_open = choice.is_all or choice.texts in {(), ("",), (ALL,)}
        sql = sql[:place] + ("1=1" if is_open else arguments[0]) + sql[end:]
    return sql


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """Return the arguments in the brackets that open at a place, and the place behind them.

    The front end pays no heed to quotes, so a bracket or a comma in a text confuses it; that is an error here.
    """
    arguments, depth, begin = [], 0, opening + 1
    for place in range(opening, len(sql)):
        sign = sql[place]
        depth += (sign == "(") - (sign == ")")
        if depth == 0 or (depth == 1 and sign == ","):
            arguments.append(sql[begin:place].strip())
            begin = place + 1
        if depth == 0:
            if any(argument.count("'") % 2 for argument in arguments):
                raise ValueError(f"{sql[opening:begin]}: a bracket or a comma in a text splits the arguments")
            return arguments, begin
    raise ValueError(f"{sql[opening : opening + 50]}: a bracket is open")
