"""What a copy does to a database of many servers before it looks at it."""

from __future__ import annotations

from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from otel_usage.copying import sides
from otel_usage.schema.cluster import parse_cluster


def test_the_replicas_of_a_cluster_are_waited_for(
    source: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded engine has no replicas; that the statement is one is seen by tests/schema/test_cluster.py.
    said: list[tuple[str, Any]] = []
    monkeypatch.setattr(sides, "form_of", lambda _: parse_cluster("usage_cluster", "usage"))
    monkeypatch.setattr(source, "command", lambda sql, settings: said.append((sql, settings)))

    sides.wait_for_replicas(source, ["events", "visits_state"])

    waits = {"distributed_ddl_output_mode": "null_status_on_timeout"}
    assert said == [
        ("SYSTEM SYNC REPLICA ON CLUSTER 'usage_cluster' usage.events_local", waits),
        ("SYSTEM SYNC REPLICA ON CLUSTER 'usage_cluster' usage.visits_state_local", waits),
    ]
