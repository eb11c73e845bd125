"""Reads the dashboards in collector_config/grafana/dashboards: their panels, their variables and all their queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.docs_tables import ROOT

GRAFANA = ROOT / "collector_config" / "grafana"
DASHBOARDS = GRAFANA / "dashboards"
DATA_SOURCE_UID = "otel-usage"
DATA_SOURCE_TYPE = "grafana-clickhouse-datasource"

TIME_SERIES, TABLE, TRACES = 0, 1, 3
"""How the data source is told to read an answer, `format` of a query."""


@dataclass(frozen=True)
class Query:
    """One question to ClickHouse, with its place in the dashboard."""

    place: str
    sql: str
    format: int = TABLE


@dataclass(frozen=True)
class Panel:
    """A panel or a row of panels, as it stands in the JSON."""

    content: Mapping[str, Any]

    @property
    def id(self) -> int:
        """Return the number that links and alert rules name."""
        return int(self.content["id"])

    @property
    def title(self) -> str:
        """Return the title; variables stand in it."""
        return str(self.content.get("title", ""))

    @property
    def type(self) -> str:
        """Return the kind of panel, such as `timeseries`."""
        return str(self.content["type"])

    @property
    def queries(self) -> list[Query]:
        """Return its questions; those to other panels (`-- Dashboard --`) are none."""
        return [
            Query(f"{self.title} {target['refId']}", target["rawSql"], int(target.get("format", TABLE)))
            for target in self.content.get("targets", ())
            if not target.get("hide") and "rawSql" in target
        ]


@dataclass(frozen=True)
class Dashboard:
    """One file."""

    path: Path
    content: Mapping[str, Any]

    @property
    def uid(self) -> str:
        """Return what links name it by."""
        return str(self.content["uid"])

    @cached_property
    def panels(self) -> list[Panel]:
        """Return all panels, those in rows too."""
        return list(_panels(self.content.get("panels", ())))

    @property
    def variables(self) -> dict[str, Mapping[str, Any]]:
        """Return the variables by name."""
        return {variable["name"]: variable for variable in self.content.get("templating", {}).get("list", ())}

    @property
    def queries(self) -> list[Query]:
        """Return every question: of panels, of variables and of annotations."""
        of_panels = [query for panel in self.panels for query in panel.queries]
        of_variables = [
            Query(f"variable {name}", variable_sql(variable))
            for name, variable in self.variables.items()
            if variable["type"] == "query"
        ]
        of_annotations = [
            Query(f"annotation {annotation['name']}", annotation["target"]["rawSql"])
            for annotation in self.content.get("annotations", {}).get("list", ())
            if "rawSql" in annotation.get("target", {})
        ]
        return of_panels + of_variables + of_annotations


def variable_sql(variable: Mapping[str, Any]) -> str:
    """Return the question that gives a variable its values."""
    query = variable["query"]
    return str(query["rawSql"] if isinstance(query, Mapping) else query)


def read_dashboards() -> list[Dashboard]:
    """Return all dashboards, by name."""
    return [
        Dashboard(path, json.loads(path.read_text("utf-8"))) for path in sorted(DASHBOARDS.glob("*.json"))
    ]


def texts(node: object) -> Iterator[str]:
    """Yield every text below a node of the JSON."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def linked_dashboards(node: object) -> set[tuple[str, tuple[str, ...]]]:
    """Return the uid of each dashboard that a node links to, with the names of the variables that go along."""
    found = set()
    for text in texts(node):
        for link in re.finditer(r"(?:^|[\s\"'(])/d/([\w-]+)([^\s\"]*)", text):
            found.add((link[1], tuple(sorted(set(re.findall(r"[?&]var-(\w+)=", link[2]))))))
    return found


def _panels(nodes: Any) -> Iterator[Panel]:
    for node in nodes:
        yield Panel(node)
        yield from _panels(node.get("panels", ()))
