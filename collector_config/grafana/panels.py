"""The kinds of panels: lines over time, one number, bars by key, a table.

Each takes what only it knows: a title, a description that says how its numbers are counted, a query and a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor, ThresholdsConfig
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.table import Options as TableOptions

from collector_config.grafana.datasource import SOURCE, TIME_SERIES, Query, QueryBuilder

PanelBuilder: TypeAlias = Builder[Panel]

COUNT = "short"
SHARE = "percentunit"
MILLISECONDS = "ms"
SECONDS = "s"
BYTES = "bytes"
TEXT = "string"
AGO = "dateTimeFromNow"

NOTHING = "Nothing in this range"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    title: str
    unit: str = COUNT
    url: str = ""
    """Where a click on a cell leads."""
    link_title: str = ""
    width: int = 0
    thresholds: tuple[float, float] | None = None
    """From where on a cell is amber, and from where on red."""


@dataclass(frozen=True, slots=True)
class Line:
    """A column of numbers in a panel over time that several columns share."""

    name: str
    title: str
    color: str


CLIENT_ERRORS = Line("client_errors", "Client errors", "orange")
SERVER_ERRORS = Line("server_errors", "Server errors", "red")


def over_time(
    title: str,
    description: str,
    sql: str,
    unit: str = COUNT,
    *,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    by_label: str = "",
    lines: Sequence[Line] = (),
    every: str = "1m",
) -> PanelBuilder:
    """Return lines, or bars on top of each other.

    Args:
        title: of the panel.
        description: how the numbers are counted.
        sql: rows with `time`, ascending, then a label or none, then numbers.
        unit: of the numbers.
        width: in columns of the grid, of which there are 24.
        height: in rows of the grid.
        stacked: bars on top of each other; for numbers that may be added up.
        by_label: the column that names the lines; empty: the numbers name them.
        lines: how they look where the numbers name them.
        every: the shortest bucket of time.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(QueryBuilder(Query(sql, TIME_SERIES)))
        .unit(unit)
        .min(0)
        .no_value(NOTHING)
        # A service has one color, whichever others are there.
        .color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .span(width)
        .height(height)
        .interval(every)
        .draw_style(common.GraphDrawStyle.BARS if stacked else common.GraphDrawStyle.LINE)
        .fill_opacity(60 if stacked else 10)
        .show_points(common.VisibilityMode.AUTO)
        .legend(
            VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["sum"] if stacked else [])
        )
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    if by_label:
        panel.display_name(f"${{__field.labels.{by_label}}}")
    for line in lines:
        color = {"mode": FieldColorModeId.FIXED.value, "fixedColor": line.color}
        properties = [DynamicConfigValue("displayName", line.title), DynamicConfigValue("color", color)]
        panel.override_by_name(line.name, properties)
    if stacked:
        panel.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    return panel


def number(
    title: str,
    description: str,
    sql: str,
    unit: str = COUNT,
    *,
    width: int = 4,
    height: int = 4,
    thresholds: tuple[float, float] | None = None,
) -> PanelBuilder:
    """Return one number, the first of the query's only row.

    Args:
        title: of the panel.
        description: how the number is counted.
        sql: a row with one number or time.
        unit: of the number.
        width: in columns of the grid.
        height: in rows of the grid.
        thresholds: from where on it is amber, and from where on red; None: it has no color.
    """
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(QueryBuilder(Query(sql)))
        .unit(unit)
        .no_value(NOTHING)
        .span(width)
        .height(height)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.NONE if thresholds is None else common.BigValueColorMode.VALUE)
        .thresholds(_steps(thresholds))
        .reduce_options(ReduceDataOptions().values(False).calcs(["lastNotNull"]).fields("/.*/"))
    )


def bars(
    title: str,
    description: str,
    sql: str,
    unit: str = COUNT,
    *,
    width: int = 8,
    height: int = 10,
) -> PanelBuilder:
    """Return a bar for each row, the longest first.

    Args:
        title: of the panel.
        description: how the numbers are counted.
        sql: rows of a text and a number, in their order.
        unit: of the numbers.
        width: in columns of the grid.
        height: in rows of the grid.
    """
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(QueryBuilder(Query(sql)))
        .unit(unit)
        .min(0)
        .no_value(NOTHING)
        .span(width)
        .height(height)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
        .reduce_options(ReduceDataOptions().values(True).calcs(["lastNotNull"]).limit(20))
    )


def rows(
    title: str,
    description: str,
    sql: str,
    columns: Sequence[Column],
    *,
    width: int = 24,
    height: int = 10,
) -> PanelBuilder:
    """Return a table.

    Args:
        title: of the panel.
        description: how the numbers are counted.
        sql: its rows, in their order.
        columns: how each column looks.
        width: in columns of the grid.
        height: in rows of the grid.
    """
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(QueryBuilder(Query(sql)))
        .unit(COUNT)
        .no_value(NOTHING)
        .span(width)
        .height(height)
        .cell_height(common.TableCellHeight.SM)
        .filterable(True)
    )
    # Up to Grafana 12 an option, later a setting of a field: left out, it is off in both.
    options = panel.build().options
    assert isinstance(options, TableOptions)
    options.footer = None
    for column in columns:
        panel.override_by_name(column.name, _properties(column))
    return panel


def names(columns: Sequence[Column]) -> str:
    """Return the columns as a SELECT lists them."""
    return ", ".join(column.name for column in columns)


def _properties(column: Column) -> list[DynamicConfigValue]:
    found = [
        DynamicConfigValue("displayName", column.title),
        DynamicConfigValue("unit", column.unit),
    ]
    if column.width:
        found.append(DynamicConfigValue("custom.width", column.width))
    if column.url:
        found.append(DynamicConfigValue("links", [{"title": column.link_title, "url": column.url}]))
    if column.thresholds is not None:
        found.append(DynamicConfigValue("thresholds", _steps(column.thresholds).build()))
        found.append(DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return found


def _steps(thresholds: tuple[float, float] | None) -> ThresholdsConfig:
    steps = [Threshold(None, "green")]
    if thresholds is not None:
        steps += [Threshold(thresholds[0], "orange"), Threshold(thresholds[1], "red")]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
