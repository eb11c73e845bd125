"""What all dashboards share: the frame, the variables' place, the annotations, and numbers for the panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, Row
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard as DashboardModel
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, VariableModel

from collector_config.grafana.links import TAG, all_boards
from collector_config.grafana.panels import PanelBuilder


@dataclass(frozen=True, slots=True)
class Section:
    """A row of the dashboard with its panels, from left to right and from top to bottom."""

    title: str
    panels: Sequence[PanelBuilder]


def board(
    uid: str,
    title: str,
    description: str,
    sections: Sequence[Section],
    *,
    variables: Sequence[Builder[VariableModel]],
    annotations: Sequence[AnnotationQuery] = (),
    since: str = "now-7d",
    refresh: str = "5m",
) -> DashboardModel:
    """Return a dashboard.

    Args:
        uid: its id in links.
        title: its name.
        description: what it answers.
        sections: its panels.
        variables: from left to right.
        annotations: what is drawn into the panels over time.
        since: where the range of time begins at first; it ends now.
        refresh: how often it asks again.
    """
    builder = (
        Dashboard(f"Usage: {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time(since, "now")
        .refresh(refresh)
        .timezone("utc")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(all_boards())
        .variables(list(variables))
        .annotations(list(annotations))
    )
    for section in sections:
        builder.with_row(Row(section.title))
        for panel in section.panels:
            builder.with_panel(panel)
    dashboard = builder.build()
    for variable in dashboard.templating.list_val or []:
        # The SDK gives every variable the keys of one kind.
        variable.auto = variable.auto_min = variable.auto_count = None
    for number, panel_or_row in enumerate(dashboard.panels or [], 1):
        panel_or_row.id_val = number
    return dashboard
