"""Which form a database has, on one server or over a cluster, and whether it can have the one that is asked for."""

from __future__ import annotations

import re

from otel_usage.clickhouse import ClickHouse
from otel_usage.errors import SchemaError
from otel_usage.schema.cluster import Cluster, Form, OneServer, parse_cluster

_DISTRIBUTED = re.compile(r"Distributed\('((?:[^'\\]|\\.)*)'")


def cluster_in_force(client: ClickHouse) -> str:
    """Return the name of the cluster that the database is spread over; empty for tables on one server."""
    rows = client.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
    ).rows
    found = _DISTRIBUTED.match(rows[0][0]) if rows else None
    return found[1] if found else ""


def form_of(client: ClickHouse) -> Form:
    """Return the form that the database has."""
    cluster = cluster_in_force(client)
    return Cluster(cluster, client.dsn.database) if cluster else OneServer()


def check_one_server(client: ClickHouse) -> None:
    """Refuse what works on the tables of one server only.

    Raises:
        SchemaError: the database is spread over a cluster.
    """
    cluster = cluster_in_force(client)
    if cluster:
        raise SchemaError(
            f"The database '{client.dsn.database}' is spread over the cluster '{cluster}', and this works on the tables "
            "of one server only. See docs/scaling.md for what can be done over a cluster"
        )


def choose_form(client: ClickHouse, cluster: str, *, dry_run: bool = False) -> Form:
    """Return the form to migrate a database in.

    Args:
        client: a connection to the database.
        cluster: the name that is asked for; empty for one server.
        dry_run: the server need not know the cluster.

    Raises:
        SettingError: the name cannot be used.
        SchemaError: the database has the other form, or the server is not one of such a cluster.
    """
    form = parse_cluster(cluster, client.dsn.database) if cluster else OneServer()
    present = cluster_in_force(client)
    if present and present != cluster:
        asked = f", not over '{cluster}'" if cluster else ""
        raise SchemaError(
            f"The database '{client.dsn.database}' is spread over the cluster '{present}'{asked}. "
            f"Run: otel-usage migrate --dsn {client.dsn.masked} --cluster {present}"
        )
    if isinstance(form, OneServer):
        return form
    if not present and _has_tables_of_one_server(client):
        raise SchemaError(
            f"The database '{client.dsn.database}' has its tables on one server, and cannot be spread where it is. "
            "Name a new database in the DSN, and bring the events over with: otel-usage copy"
        )
    if not dry_run:
        check_cluster(client, cluster)
    return form


def check_cluster(client: ClickHouse, cluster: str) -> None:
    """Refuse a server that is not one of the cluster. The database need not be there.

    Raises:
        SchemaError: the server does not know the cluster, or cannot tell its tables from those of the others.
    """
    fault = cluster_fault(client, cluster)
    if fault:
        raise SchemaError(fault)


def cluster_fault(client: ClickHouse, cluster: str) -> str:
    """Return why the server cannot have tables of the cluster; empty when it can. The database need not be there."""
    known = [
        row[0] for row in client.query("SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster").rows
    ]
    if cluster not in known:
        return (
            f"The server knows no cluster '{cluster}', only: {', '.join(known) or 'none'}. "
            "It is named in remote_servers of the configuration of every server; see docs/scaling.md"
        )
    macros = {row[0] for row in client.query("SELECT macro FROM system.macros").rows}
    missing = sorted({"shard", "replica"} - macros)
    if missing:
        return (
            f"The server has no macro {{{missing[0]}}}, which tells the tables of the cluster apart. "
            "Set shard and replica in macros of the configuration of every server; see docs/scaling.md"
        )
    return ""


def _has_tables_of_one_server(client: ClickHouse) -> bool:
    rows = client.query(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations' "
        "AND NOT startsWith(engine, 'Replicated')"
    ).rows
    return bool(rows[0][0])
