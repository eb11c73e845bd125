"""Holds the answer of a query against what its panel does with it: time, names in overrides, links, transformations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from otel_usage.clickhouse import QueryResult
from tests.grafana.dashboards import TIME_SERIES, TRACES, Panel, texts

_TIME_TYPES = ("Date", "DateTime")
_NUMBER_TYPES = ("Int", "UInt", "Float", "Decimal")
_TRACE_COLUMNS = {
    "traceID",
    "spanID",
    "parentSpanID",
    "operationName",
    "serviceName",
    "startTime",
    "duration",
}
"""What Grafana draws a trace from: grafana.com/docs/grafana/latest/explore/trace-integration, data frame structure."""
_FIELD_OF_LINK = re.compile(r"\$\{__data\.fields(?:\.([\w ]+)|\[\\?[\"']([^\"'\\]+)\\?[\"']\])[^}]*\}")


def bare_type(name: str) -> str:
    """Return a type of ClickHouse without `Nullable`, `LowCardinality` and arguments."""
    while wrapped := re.fullmatch(r"(?:Nullable|LowCardinality)\((.*)\)", name):
        name = wrapped[1]
    return name.partition("(")[0]


def is_time(name: str) -> bool:
    """Return whether Grafana takes a column of the type for time."""
    return bare_type(name).startswith(_TIME_TYPES)


def is_number(name: str) -> bool:
    """Return whether Grafana takes a column of the type for a number."""
    return bare_type(name).startswith(_NUMBER_TYPES)


def faults(panel: Panel, form: int, result: QueryResult) -> list[str]:
    """Return what the panel would not find in the answer."""
    found = list(_time_faults(result)) if form == TIME_SERIES else []
    if form == TRACES and (missing := _TRACE_COLUMNS - {*result.columns}):
        found.append(f"a trace needs {sorted(missing)}")
    if form != TIME_SERIES or not _labels(result):
        found += _name_faults(panel, result.columns)
    return found


def _time_faults(result: QueryResult) -> Iterator[str]:
    times = [index for index, of_type in enumerate(result.types) if is_time(of_type)]
    if len(times) != 1:
        yield f"a time series needs one column of time, and {len(times)} of {result.columns} are"
        return
    if not any(is_number(of_type) for of_type in result.types):
        yield f"a time series needs a number, and none of {result.columns} is one"
    moments = [row[times[0]] for row in result.rows]
    if moments != sorted(moments):
        yield "a time series must be in the order of time"


def unnamed(panel: Panel, form: int, result: QueryResult) -> list[str]:
    """Return the columns that a table, or a panel of lines without labels, would show by their names in SQL."""
    if panel.type == "table":
        shown = list(result.columns)
    elif form == TIME_SERIES and not _labels(result):
        shown = [name for name, of in zip(result.columns, result.types, strict=True) if is_number(of)]
    else:
        return []
    named = _names_of_overrides(panel)
    return [f"the column {name!r} has no name for people" for name in shown if name not in named]


def annotation_faults(result: QueryResult) -> list[str]:
    """Return what Grafana would miss to draw annotations from an answer."""
    types = dict(zip(result.columns, result.types, strict=True))
    found = [] if is_time(types.get("time", "")) else ["an annotation needs a column time"]
    return found if "text" in types else [*found, "an annotation needs a column text"]


def _labels(result: QueryResult) -> bool:
    """Return whether the numbers are told apart by texts, whose values then name the series."""
    return any(not is_time(of_type) and not is_number(of_type) for of_type in result.types)


def _name_faults(panel: Panel, columns: Sequence[str]) -> Iterator[str]:
    names = {*columns}
    for transformation in panel.content.get("transformations", ()):
        known = _TRANSFORMED.get(transformation["id"])
        if known is None:
            yield f"the transformation {transformation['id']} is not one that these tests understand"
            return
        named, names = known(transformation["options"], names)
        for name in sorted(named):
            yield f"the transformation {transformation['id']} names {name!r}, which no column is called"
    for name in _names_of_overrides(panel):
        if name not in names:
            yield f"an override names {name!r}, expected one of {sorted(names)}"
    for name in names_of_links(panel.content):
        if name not in names | {*columns}:
            yield f"a link names {name!r}, expected one of {sorted(names)}"
    for name in _names_of_options(panel.content.get("options", {})):
        if name not in names:
            yield f"the options name {name!r}, expected one of {sorted(names)}"


def names_of_links(node: object) -> set[str]:
    """Return the columns that links below a node take values from."""
    return {found[1] or found[2] for text in texts(node) for found in _FIELD_OF_LINK.finditer(text)}


def _names_of_overrides(panel: Panel) -> set[str]:
    overrides = panel.content.get("fieldConfig", {}).get("overrides", ())
    found = {
        override["matcher"]["options"] for override in overrides if override["matcher"]["id"] == "byName"
    }
    for override in overrides:
        if override["matcher"]["id"] == "byNames":
            found |= set(override["matcher"]["options"]["names"])
    return found


def _names_of_options(options: Mapping[str, Any]) -> set[str]:
    found = {field["displayName"] for field in options.get("sortBy", ())}
    found |= {options[key] for key in ("xField", "colorByField") if options.get(key)}
    return found


def _organized(options: Mapping[str, Any], names: set[str]) -> tuple[set[str], set[str]]:
    renamed = options.get("renameByName", {})
    excluded = {name for name, out in options.get("excludeByName", {}).items() if out}
    mentioned = {*renamed, *excluded, *options.get("indexByName", {}), *options.get("includeByName", {})}
    return mentioned - names, {renamed.get(name) or name for name in names - excluded}


def _sorted(options: Mapping[str, Any], names: set[str]) -> tuple[set[str], set[str]]:
    return {field["field"] for field in options["sort"]} - names, names


_TRANSFORMED = {"organize": _organized, "sortBy": _sorted}
"""What a transformation names that is not there, and the columns behind it."""
