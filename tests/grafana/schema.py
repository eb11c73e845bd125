"""Checks dashboards against Grafana's own types: the npm package `@grafana/schema`, read by the TypeScript compiler.

A dashboard is written down as TypeScript literals, one for each part, and compiled. So an unknown key, a value of the
wrong type and a word that an enumeration does not have are errors, also in the options and the custom field settings
of each kind of panel, which Grafana itself would pass over in silence.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.grafana.dashboards import Dashboard, Panel

SCHEMA_VERSION = "13.2.3"
"""Of `@grafana/schema`, which has the number of the Grafana that it belongs to."""
TYPESCRIPT_VERSION = "5.9.3"

_INSTALL_SECONDS = 300
_COMPILE_SECONDS = 300
_PANEL_TYPES = "@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen"
_ERROR = re.compile(r"^(?P<file>[^(\s]+)\.ts\((?P<line>\d+),\d+\): error (?P<text>.*)$")

# Enumerations are words in JSON; `${T}` is the union of the words of an enumeration.
_PREAMBLE = """\
import type * as grafana from '@grafana/schema';
type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Field = Omit<grafana.FieldConfig, 'custom'>;
type Properties = Omit<grafana.FieldConfigSource, 'defaults'>;
type Frame = Omit<grafana.Panel, 'options' | 'fieldConfig'>;
type Question = grafana.DataQuery & Record<string, unknown>;
type Whole = Omit<grafana.Dashboard, 'panels' | 'annotations'> & {
  annotations?: { list?: grafana.AnnotationQuery<Question>[] };
};
"""


class SchemaMissing(RuntimeError):
    """The schema is not here and cannot be had."""


def installed_schema() -> Path:
    """Return the directory whose `node_modules` has the schema, installed at the first call into the user's cache.

    Raises:
        SchemaMissing: there is no node, or the packages cannot be had.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SchemaMissing("node and npm are not here; install Node.js 20 or later")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-usage"
    home = cache / f"grafana-schema-{SCHEMA_VERSION}-typescript-{TYPESCRIPT_VERSION}"
    if not (home / "complete").exists():
        _install(home)
    return home


def _install(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    packages = (f"@grafana/schema@{SCHEMA_VERSION}", f"typescript@{TYPESCRIPT_VERSION}")
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
    # Often, because one answer that is lost would fail the tests; soon, for those who have no network.
    retries = ("--fetch-retries=4", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
    command = ["npm", "install", "--prefix", str(home), *options, *retries, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SchemaMissing(f"npm install took more than {_INSTALL_SECONDS} seconds") from None
    if done.returncode:
        raise SchemaMissing(f"npm install {' '.join(packages)} failed: {done.stderr.strip()[-500:]}")
    (home / "complete").touch()


def schema_errors(dashboards: Sequence[Dashboard], home: Path, work: Path) -> list[str]:
    """Return what Grafana's types have against the dashboards, one line each with the dashboard and the part.

    Args:
        dashboards: to check, all in one run of the compiler.
        home: of `installed_schema`.
        work: an empty directory for the program that is compiled.
    """
    (work / "node_modules").symlink_to(home / "node_modules", target_is_directory=True)
    programs = {dashboard.path.stem: "".join(_program(dashboard)) for dashboard in dashboards}
    for name, program in programs.items():
        (work / f"{name}.ts").write_text(program, "utf-8")
    options = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    ]
    compiler = str(home / "node_modules" / "typescript" / "bin" / "tsc")
    done = subprocess.run(
        ["node", compiler, *options, *(f"{name}.ts" for name in programs)],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=_COMPILE_SECONDS,
        check=False,
    )
    errors = [_located(line, programs) for line in done.stdout.splitlines() if not line.startswith(" ")]
    if done.returncode and not errors:
        raise AssertionError(f"the compiler failed: {done.stderr}")
    return errors


def _located(line: str, programs: Mapping[str, str]) -> str:
    """Return a line of the compiler with the part of the dashboard in place of the line of the program."""
    found = _ERROR.match(line)
    if found is None:
        return line
    above = programs[found["file"]].splitlines()[: int(found["line"])]
    part = next((text[3:] for text in reversed(above) if text.startswith("// ")), "")
    # Behind this the compiler writes out the whole type.
    return f"{found['file']}: {part}: {found['text'].partition(' in type ')[0]}"


def _program(dashboard: Dashboard) -> Iterator[str]:
    """Yield the TypeScript that says what a dashboard is."""
    yield _PREAMBLE
    kinds = sorted({panel.type for panel in dashboard.panels} - {"row", *_WITHOUT_TYPES})
    for kind in kinds:
        yield f"import type * as {_identifier(kind)} from '{_types_of(kind)}';\n"
    whole = {key: value for key, value in dashboard.content.items() if key != "panels"}
    variables = [_without(variable, _OF_INTERVALS) for variable in dashboard.variables.values()]
    whole["templating"] = {**whole.get("templating", {}), "list": variables}
    yield _literal("the dashboard", "Plain<Whole>", whole)
    for panel in dashboard.panels:
        yield from _panel_program(panel)


def _panel_program(panel: Panel) -> Iterator[str]:
    place = f"panel {panel.id} ({panel.title})"
    if panel.type == "row":
        row = {key: value for key, value in panel.content.items() if key != "panels"}
        yield _literal(place, "Plain<Omit<grafana.RowPanel, 'panels'>>", row)
        return
    kind = _identifier(panel.type)
    frame = {key: value for key, value in panel.content.items() if key not in ("options", "fieldConfig")}
    yield _literal(place, "Plain<Frame>", frame)
    known = "Record<string, never>" if panel.type in _WITHOUT_TYPES else f"Plain<{kind}.Options>"
    yield _literal(f"{place}, options", known, _without(panel.content.get("options", {}), _OF_GRAFANA_12))
    fields = dict(panel.content.get("fieldConfig", {}))
    defaults = dict(fields.pop("defaults", {}))
    custom = defaults.pop("custom", {})
    yield _literal(f"{place}, fields", "Plain<Properties>", {"overrides": [], **fields})
    yield _literal(f"{place}, field defaults", "Plain<Field>", defaults)
    if custom:
        yield _literal(f"{place}, custom", f"Plain<Partial<{kind}.FieldConfig>>", custom)
    for override in fields.get("overrides", ()):
        yield from _override_program(place, kind, override)


def _override_program(place: str, kind: str, override: Mapping[str, Any]) -> Iterator[str]:
    name = f"{place}, override of {override['matcher'].get('options')}"
    for changed in override["properties"]:
        first, *path = changed["id"].split(".")
        custom = first == "custom"
        of_kind = f"Plain<Partial<{kind}.FieldConfig>>" if custom else "Plain<Field>"
        value = changed.get("value")
        for key in reversed(path if custom else [first, *path]):
            value = {key: value}
        yield _literal(name, of_kind, value)


def _without(node: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


# What the Foundation SDK, whose newest release follows Grafana 11.6, writes with every variable and every table:
_OF_INTERVALS = ("auto", "auto_min", "auto_count")
"""Keys that the schema has for variables of intervals alone, in its second form; other variables pass over them."""
_OF_GRAFANA_12 = ("footer",)
"""An option of tables up to Grafana 12; later ones have it among the settings of a field."""

_numbers = iter(range(10**9))


def _literal(place: str, of_type: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, indent=1)
    title = " ".join(place.split())
    return f"// {title}\nexport const part{next(_numbers)}: {of_type} =\n{text};\n"


def _identifier(kind: str) -> str:
    return "kind_" + re.sub(r"\W", "_", kind)


_NAMES = {
    "barchart": "BarChart",
    "bargauge": "BarGauge",
    "gauge": "Gauge",
    "heatmap": "Heatmap",
    "histogram": "Histogram",
    "logs": "Logs",
    "piechart": "PieChart",
    "stat": "Stat",
    "state-timeline": "StateTimeline",
    "table": "Table",
    "text": "Text",
    "timeseries": "TimeSeries",
    "xychart": "XYChart",
}
"""Kinds of panels, by the name of their types in the package."""
_WITHOUT_TYPES = ("traces",)
"""Kinds that the package says nothing of; they may have no options here."""


def _types_of(kind: str) -> str:
    if kind not in _NAMES:
        raise AssertionError(
            f"{kind} is no kind of panel with known types, expected one of: {', '.join(_NAMES)}"
        )
    return _PANEL_TYPES.format(kind=kind.replace("-", ""), name=_NAMES[kind])
