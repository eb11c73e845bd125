"""Brings a database up to date with the migrations, and checks that the server counts batches once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files

from otel_usage.clickhouse import UNKNOWN_DATABASE, ClickHouse, connect
from otel_usage.dsn import parse_dsn
from otel_usage.errors import ClickHouseError, SettingError
from otel_usage.schema.applied import PROBE_VERSION, pending
from otel_usage.schema.cluster import Cluster, Form, OneServer, parse_cluster, turn
from otel_usage.schema.fill import fill_from_events
from otel_usage.schema.form import check_cluster, choose_form, cluster_fault
from otel_usage.schema.landing import Landing, apply_landing
from otel_usage.schema.migration import Migration, load_migrations
from otel_usage.schema.probe import EXACT, probe_deduplication
from otel_usage.schema.retention import EVENTS, SUMMARIES, apply_retention

_SERVER_SECONDS, _CLUSTER_SECONDS = 30, 300
"""How long ClickHouse may be silent; the servers of a cluster wait 180 seconds for each other."""

_COLUMN_TYPES = {
    "version": "UInt32",
    "name": "String",
    "checksum": "String",
    "applied_at": "DateTime64(9, 'UTC')",
    "engine_version": "String",
    "result": "String",
}


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What `migrate` did, or would do."""

    applied: tuple[Migration, ...]
    """Migrations of this run, in order."""
    is_dry_run: bool
    retention: str = ""
    """What was done about the time that events are kept."""
    summary_retention: str = ""
    """The same of the summaries."""
    landing: str = ""
    """What becomes of the spans that a Collector stores."""
    filled: tuple[tuple[str, int], ...] = ()
    """State tables that were new to a database with events, and of how many days they were filled."""
    unfilled: tuple[str, ...] = ()
    """Views that were new to a cluster with events, and count from now on."""
    form: Form = OneServer()
    fault: str = ""
    """Of a dry run: why a real one would be refused here."""

    def lines(self) -> list[str]:
        """Return the report for people; of a dry run the statements themselves."""
        if self.is_dry_run:
            statements = [f"-- {migration}\n{self._statements(migration)};\n" for migration in self.applied]
            return [*self._first_statements(), *statements] or ["-- Nothing to do: the schema is up to date"]
        done = [f"applied {migration}" for migration in self.applied] or ["the schema was up to date"]
        done += [f"filled {table} from the events of {days} days" for table, days in self.filled]
        done += [
            f"{view} counts from now on; to count the events of before, bring them into a new database: otel-usage copy"
            for view in self.unfilled
        ]
        return [
            *done,
            "a batch that is sent twice counts once, in the views too",
            self.retention,
            self.summary_retention,
            self.landing,
        ]

    def _first_statements(self) -> list[str]:
        """Return what is run before the first migration, if it is among them; of one server it goes without saying."""
        if isinstance(self.form, OneServer) or self.applied != load_migrations():
            return []
        before = (*self.form.prepare, *turn(self.form, _create_schema_migrations()))
        return ["-- What comes before the first one\n{};\n".format(";\n\n".join(before))]

    def _statements(self, migration: Migration) -> str:
        if isinstance(self.form, OneServer):
            return migration.sql.strip()
        return ";\n\n".join(turn(self.form, migration.statements))


def migrate(
    client: ClickHouse,
    *,
    retention_days: int | None = None,
    summary_retention_days: int | None = None,
    traces_retention_days: int | None = None,
    otel_traces: Landing | None = None,
    cluster: str = "",
    dry_run: bool = False,
) -> MigrationReport:
    """Apply the missing migrations in order; repeatable, also by two processes at once.

    States that are new are filled from the events that are there, during which inserts wait. Over a cluster they
    count from then on, because inserts cannot be held on all its servers at once.

    Args:
        client: a connection to the database, which must exist (`connect(..., create_database=True)`).
        retention_days: days after which events are deleted; None leaves the present rule alone.
        summary_retention_days: the same of the summaries.
        traces_retention_days: the same of a Collector's spans.
        otel_traces: whether these are kept at all, or turned into events only; None leaves the table as it is.
        cluster: name of the cluster to spread the tables over; empty for tables on this server.
        dry_run: change nothing and report what would be applied.

    Raises:
        SettingError: the name of the cluster cannot be used.
        SchemaError: the database is newer than this version of otel_usage, an applied migration has been
            edited since, it has the other form, the server does not deduplicate inserts, or spans would be lost.
        ClickHouseError: ClickHouse refused a statement.
    """
    form = choose_form(client, cluster, dry_run=dry_run)
    missing = pending(client)
    if dry_run:
        fault = cluster_fault(client, cluster) if cluster else ""
        return MigrationReport(missing, is_dry_run=True, form=form, fault=fault)
    _run(client, form.prepare)
    _run(client, turn(form, _create_schema_migrations()))
    filled, unfilled = [], []
    for migration in missing:
        _run(client, turn(form, migration.statements))
        # Before it is written down as applied, so that a run that is killed meanwhile does it again.
        if migration.state_view and _has_events(client):
            if isinstance(form, Cluster):
                unfilled.append(migration.state_view)
            else:
                filled.append(fill_from_events(client, migration.state_view))
        _record(client, migration.version, migration.name, migration.checksum, "applied")
    _record(client, PROBE_VERSION, "deduplication_probe", "", probe_deduplication(client, form))
    return MigrationReport(
        missing,
        is_dry_run=False,
        retention=apply_retention(client, EVENTS, retention_days),
        summary_retention=apply_retention(client, SUMMARIES, summary_retention_days),
        landing=apply_landing(client, otel_traces, traces_retention_days),
        filled=tuple(filled),
        unfilled=tuple(unfilled),
        form=form,
    )


def migrate_database(
    dsn: str,
    *,
    retention_days: int | None = None,
    summary_retention_days: int | None = None,
    traces_retention_days: int | None = None,
    otel_traces: Landing | None = None,
    cluster: str = "",
    dry_run: bool = False,
) -> MigrationReport:
    """Do the same to a database that may not be there yet; it is then created, unless it is a dry run.

    Raises:
        SettingError: the name of the cluster cannot be used, or the DSN is of no server.
        SchemaError: see `migrate`.
        ClickHouseError: ClickHouse does not answer, or refused a statement.
    """
    form = parse_cluster(cluster, parse_dsn(dsn).database) if cluster else OneServer()
    if cluster and parse_dsn(dsn).scheme == "chdb":
        raise SettingError(
            "--cluster spreads the tables over servers, and a chdb:// DSN is no server. "
            "Name one of the cluster: http://user:password@host:port/database"
        )
    if cluster and not dry_run:
        # Before the database is made, so that a server that refuses is left as it was.
        with closing(connect(dsn, needs_database=False)) as server:
            check_cluster(server, cluster)
    try:
        client = connect(
            dsn,
            create_database=not dry_run,
            receive_timeout_seconds=_CLUSTER_SECONDS if cluster else _SERVER_SECONDS,
        )
    except ClickHouseError as error:
        if not (dry_run and error.code == UNKNOWN_DATABASE):
            raise
        return MigrationReport(
            load_migrations(), is_dry_run=True, form=form, fault=_fault_of_server(dsn, cluster)
        )
    with closing(client):
        return migrate(
            client,
            retention_days=retention_days,
            summary_retention_days=summary_retention_days,
            traces_retention_days=traces_retention_days,
            otel_traces=otel_traces,
            cluster=cluster,
            dry_run=dry_run,
        )


def deduplicates(client: ClickHouse) -> bool:
    """Return whether the latest probe found that batches count once. The table must exist."""
    rows = client.query(
        "SELECT result FROM schema_migrations FINAL WHERE version = {version:UInt32}",
        {"version": PROBE_VERSION},
    ).rows
    return [row[0] for row in rows] == [EXACT]


def _fault_of_server(dsn: str, cluster: str) -> str:
    if not cluster:
        return ""
    with closing(connect(dsn, needs_database=False)) as server:
        return cluster_fault(server, cluster)


def _run(client: ClickHouse, statements: Sequence[str]) -> None:
    for statement in statements:
        client.command(statement)


def _has_events(client: ClickHouse) -> bool:
    return bool(client.query("SELECT count() FROM events").rows[0][0])


def _create_schema_migrations() -> tuple[str, ...]:
    sql = files(__package__).joinpath("create_schema_migrations.sql").read_text("utf-8")
    return Migration(0, "create_schema_migrations", sql).statements


def _record(client: ClickHouse, version: int, name: str, checksum: str, result: str) -> None:
    now_ns = time.time_ns()
    row = (version, name, checksum, now_ns, client.server_version, result)
    client.insert(
        "schema_migrations",
        list(_COLUMN_TYPES),
        list(_COLUMN_TYPES.values()),
        [[value] for value in row],
        token=f"{name}-{checksum}-{now_ns}",
    )
