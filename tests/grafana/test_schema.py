"""The dashboards are what Grafana's types say, and the check would notice if they were not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.dashboards import Dashboard, read_dashboards
from tests.grafana.required import is_missing
from tests.grafana.schema import SchemaMissing, installed_schema, schema_errors

SMALL: dict[str, Any] = {
    "uid": "small",
    "title": "Small",
    "schemaVersion": 42,
    "time": {"from": "now-7d", "to": "now"},
    "templating": {"list": [{"name": "service", "type": "query", "query": {"rawSql": "SELECT 1"}}]},
    "annotations": {"list": []},
    "panels": [
        {
            "id": 1,
            "type": "row",
            "title": "Row",
            "collapsed": True,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0},
        }
        | {"panels": []},
        {
            "id": 2,
            "type": "timeseries",
            "title": "Requests",
            "gridPos": {"h": 8, "w": 12, "x": 0, "y": 0},
            "targets": [{"refId": "A", "rawSql": "SELECT 1", "format": 0}],
            "options": {
                "legend": {
                    "displayMode": "list",
                    "placement": "bottom",
                    "showLegend": True,
                    "calcs": ["sum"],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "fieldConfig": {
                "defaults": {
                    "unit": "short",
                    "custom": {"drawStyle": "bars", "stacking": {"mode": "normal"}},
                },
                "overrides": [
                    {
                        "matcher": {"id": "byName", "options": "errors"},
                        "properties": [
                            {"id": "custom.lineWidth", "value": 2},
                            {"id": "unit", "value": "none"},
                        ],
                    }
                ],
            },
        },
    ],
}

Change = Callable[[Any], None]


def set_at(*path: Any) -> Change:
    """Return a change that puts the last element at the place which the others name."""

    def change(content: Any) -> None:
        node = content
        for key in path[:-2]:
            node = node[key]
        node[path[-2]] = path[-1]

    return change


OVERRIDE = ("panels", 1, "fieldConfig", "overrides", 0)
SLIPS = {
    "unknown_key_of_the_dashboard": set_at("tittle", "Small"),
    "unknown_key_of_a_panel": set_at("panels", 1, "gridpos", {}),
    "unknown_key_of_a_row": set_at("panels", 0, "colapsed", True),
    "wrong_type": set_at("panels", 1, "gridPos", "h", "8"),
    "unknown_option": set_at("panels", 1, "options", "legends", {}),
    "unknown_word_of_an_option": set_at("panels", 1, "options", "legend", "displayMode", "lists"),
    "unknown_field_setting": set_at("panels", 1, "fieldConfig", "defaults", "units", "s"),
    "unknown_custom_setting": set_at("panels", 1, "fieldConfig", "defaults", "custom", "drawstyle", "bars"),
    "unknown_word_of_a_custom_setting": set_at(
        "panels", 1, "fieldConfig", "defaults", "custom", "drawStyle", "bar"
    ),
    "unknown_custom_setting_in_an_override": set_at(*OVERRIDE, "properties", 0, "id", "custom.linewidth"),
    "wrong_value_in_an_override": set_at(*OVERRIDE, "properties", 0, "value", "2"),
    "unknown_setting_in_an_override": set_at(*OVERRIDE, "properties", 1, "id", "units"),
    "unknown_kind_of_variable": set_at("templating", "list", 0, "type", "queries"),
}


@pytest.fixture(scope="module")
def schema() -> Path:
    try:
        return installed_schema()
    except SchemaMissing as missing:
        is_missing(f"Grafana's schema is not here: {missing}")


@pytest.fixture(scope="module")
def errors(schema: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what is wrong with each dashboard, ours and the one with slips; the compiler runs once for all."""
    checked = [*read_dashboards(), Dashboard(Path("small.json"), SMALL)]
    for name, change in SLIPS.items():
        content = deepcopy(SMALL)
        change(content)
        checked.append(Dashboard(Path(f"{name}.json"), content))
    found = schema_errors(checked, schema, tmp_path_factory.mktemp("schema"))
    names = [dashboard.path.stem for dashboard in checked]
    return {name: [error for error in found if error.startswith(f"{name}: ")] for name in names}


@pytest.mark.parametrize("dashboard", read_dashboards(), ids=lambda dashboard: dashboard.path.stem)
def test_a_dashboard_is_what_grafana_understands(errors: dict[str, list[str]], dashboard: Dashboard) -> None:
    assert errors[dashboard.path.stem] == []


def test_the_check_passes_a_dashboard_without_slips(errors: dict[str, list[str]]) -> None:
    assert errors["small"] == []


@pytest.mark.parametrize("slip", SLIPS)
def test_the_check_notices_a_slip(errors: dict[str, list[str]], slip: str) -> None:
    assert len(errors[slip]) == 1
