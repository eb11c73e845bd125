"""What may be chosen for the variables of a dashboard: what their questions answer, and what a hostile link would say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_usage.clickhouse import ClickHouse
from tests.grafana.dashboards import Dashboard, variable_sql
from tests.grafana.macros import TimeRange, expand
from tests.grafana.variables import Choice, Choices


def values_of(
    dashboard: Dashboard, name: str, client: ClickHouse, of: TimeRange, chosen: Choices
) -> list[str]:
    """Return the values that Grafana would offer for a variable.

    Args:
        dashboard: that has the variable.
        name: of the variable.
        client: whom its question is put to.
        of: what the time picker says.
        chosen: for the variables before it, which its question may name.
    """
    variable = dashboard.variables[name]
    if variable["type"] == "query":
        # The data source takes the first column for the value and the second, if there is one, for the text.
        return [str(row[0]) for row in client.query(expand(variable_sql(variable), chosen, of)).rows]
    if variable["type"] == "custom":
        return [option.split(" : ")[-1].strip() for option in variable["query"].split(",")]
    assert variable["type"] in ("textbox", "constant", "interval"), (
        f"{variable['type']} is new to these tests"
    )
    return [str(variable.get("query", ""))]


def first_choices(
    dashboard: Dashboard, client: ClickHouse, of: TimeRange, **wanted: str
) -> dict[str, Choice]:
    """Return the choices of somebody who opens the dashboard, or those that are wanted.

    A wanted value is taken as it comes, as from a link, whether the variable offers it or not.
    """
    chosen: dict[str, Choice] = {}
    for name, variable in dashboard.variables.items():
        offered = values_of(dashboard, name, client, of, chosen)
        chosen[name] = _choice(variable, offered, wanted.get(name))
    return chosen


def _choice(variable: Mapping[str, Any], offered: list[str], wanted: str | None) -> Choice:
    if wanted is not None:
        return Choice((wanted,) if variable.get("multi") else wanted)
    if variable.get("includeAll"):
        return Choice(tuple(offered), is_all=True, custom_all=variable.get("allValue") or None)
    current = variable.get("current", {}).get("value")
    value = current if isinstance(current, str) and current in offered else next(iter(offered), "")
    return Choice((value,) if variable.get("multi") else value)
