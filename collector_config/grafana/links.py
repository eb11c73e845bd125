"""Where a click leads: to another dashboard with its variables, and from anywhere to the others."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

TAG = "otel_usage"

TRACE_BOARD = "otel-usage-trace"
FUNNELS_BOARD = "otel-usage-funnels"
PAGES_BOARD = "otel-usage-content"
RELIABILITY_BOARD = "otel-usage-reliability"

_RANGE = "from=${__from}&to=${__to}"
_OPEN_RANGE = "from=${__from}&to=now"
"""A visit that was lost in the range may have gone on after it."""


def field(name: str) -> str:
    """Return what stands for a value of the row that was clicked, encoded for a URL."""
    return f"${{__data.fields.{name}:percentencode}}"


def board_url(uid: str, variables: Mapping[str, str], time_range: str = _RANGE) -> str:
    """Return the address of a dashboard, with values of its variables that are encoded already."""
    chosen = "&".join(f"var-{name}={value}" for name, value in variables.items())
    return f"/d/{uid}?{chosen}&{time_range}"


def trace_url(column: str = "trace_id") -> str:
    """Return the address of the trace whose id stands in a column."""
    return board_url(TRACE_BOARD, {"trace_id": field(column)}, _OPEN_RANGE)


def kept(variable: str) -> str:
    """Return what stands for the present value of a variable, encoded for a URL."""
    return f"${{{variable}:percentencode}}"


def all_boards() -> DashboardLink:
    """Return the list of our dashboards, which keeps the range of time and the variables."""
    return (
        DashboardLink("Usage")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )
