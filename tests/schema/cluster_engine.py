"""The embedded engine as a cluster: real Distributed tables over shards that are databases of the one engine.

Its configuration has clusters of which each server is the engine itself. A statement over a cluster is run without
`ON CLUSTER`, and a Replicated engine is the plain one, because there is no Keeper; all else is run as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect

from otel_usage.clickhouse import ClickHouse
from otel_usage.dsn import parse_dsn

ONE_SHARD, TWO_SHARDS = "one_shard", "two_shards"

_SHARD = "<shard><replica><host>{host}</host><port>9000</port></replica></shard>"
_CONFIG = f"""
<clickhouse>
    <!-- Nobody listens there: the engine knows by the port that a server of a cluster is itself. -->
    <tcp_port>9000</tcp_port>
    <remote_servers>
        <{ONE_SHARD}>{_SHARD.format(host="127.0.0.1")}</{ONE_SHARD}>
        <{TWO_SHARDS}>{_SHARD.format(host="127.0.0.1")}{_SHARD.format(host="localhost")}</{TWO_SHARDS}>
    </remote_servers>
    <backups><allowed_path>{{backups}}</allowed_path></backups>
    <macros><shard>1</shard><replica>a</replica></macros>
</clickhouse>
"""


class ClusterEngine(ClickHouse):
    """A client of the embedded engine that takes statements over a cluster."""

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """Run a statement on the engine itself; there are no replicas to wait for."""
        if not sql.startswith("SYSTEM SYNC REPLICA"):
            super().command(on_one_engine(sql), settings)


def write_config(directory: Path) -> Path:
    """Write the engine's configuration and return its path."""
    path = directory / "cluster.xml"
    path.write_text(_CONFIG.format(backups=f"{directory}/backups/"), "utf-8")
    return path


def open_engine(data: Path, config: Path, database: str) -> ClusterEngine:
    """Open the engine, or one more connection to it, with a database of its own."""
    path = f"{data}?config-file={config}"
    server = clickhouse_connect.get_client(interface="chdb", path=path)
    server.command(f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic")
    server.close()
    client = clickhouse_connect.get_client(
        interface="chdb", path=path, database=database, tz_mode="aware", show_clickhouse_errors=True
    )
    return ClusterEngine(client, parse_dsn(f"chdb://{data}/{database}"))


def on_one_engine(statement: str) -> str:
    """Return a statement over a cluster as one engine without Keeper can run it."""
    alone = re.sub(r" ON CLUSTER '[^']*'", "", statement)
    alone = re.sub(r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?", r"\1(", alone)
    return re.sub(
        r"\breplicated_(deduplication_window = \d+), replicated_deduplication_window_seconds = \d+",
        r"non_replicated_\1",
        alone,
    )
