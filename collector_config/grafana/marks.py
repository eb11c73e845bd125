"""What is drawn into the panels over time, because it may explain what they show."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from collector_config.grafana.datasource import annotation
from collector_config.grafana.queries import ALL_ROWS, report_sql

_MINUTE = 60
_BURST = 100
"""Events set aside within a minute; fewer are a matter of single clients."""


def changes() -> AnnotationQuery:
    """Return the migrations of the schema and the new versions of services."""
    text = "if(kind = 'migration', concat('Schema migrated to ', name), concat(service_name, ' ', name))"
    return annotation(
        "Changes",
        "blue",
        report_sql("changes", f"time, {text} AS text, kind AS tags", variables=("service",)),
    )


def rejected_bursts() -> AnnotationQuery:
    """Return the minutes in which many events were set aside for one reason."""
    text = "concat(toString(events), ' events set aside: ', reason)"
    return annotation(
        "Rejected events",
        "red",
        report_sql(
            "rejected",
            f"time, {text} AS text, 'rejected' AS tags",
            where=f"events >= {_BURST}",
            bucket_seconds=_MINUTE,
            limit=ALL_ROWS,
        ),
    )
