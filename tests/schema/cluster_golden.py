"""The complete DDL of the cluster form as a file, to be read in reviews: `python -m tests.schema.cluster_golden` renews it."""

from __future__ import annotations

from pathlib import Path

from otel_usage.schema import MigrationReport, load_migrations
from otel_usage.schema.cluster import parse_cluster

CLUSTER, DATABASE = "usage_cluster", "usage"
GOLDEN = Path(__file__).with_name("cluster.golden.sql")


def golden_text() -> str:
    """Return what `otel-usage migrate --cluster usage_cluster --dry-run` prints for an empty database."""
    report = MigrationReport(load_migrations(), is_dry_run=True, form=parse_cluster(CLUSTER, DATABASE))
    return "".join(f"{line}\n" for line in report.lines())


if __name__ == "__main__":
    GOLDEN.write_text(golden_text(), "utf-8")
