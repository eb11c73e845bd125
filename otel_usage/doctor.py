"""Checks the settings, the app's OTLP endpoint and the way into ClickHouse, and says what is wrong and how to mend it."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from otel_usage import attributes as names
from otel_usage.clickhouse import MISSING_SCHEMA_CODES, ClickHouse, connect
from otel_usage.cures import explain, migrate_command
from otel_usage.enrich.geo_database import describe_database
from otel_usage.environment import unknown_settings, unusable_settings
from otel_usage.errors import ClickHouseError, DeliveryError, OtelUsageError, SettingError
from otel_usage.model import NO_SPAN, Event
from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from otel_usage.schema import deduplicates, pending
from otel_usage.schema.form import cluster_in_force
from otel_usage.settings import Settings

SERVICE_NAME = "otel-usage-doctor"
"""Service of the event that is sent for trial."""
_REPLICAS_SECONDS, _POLL_SECONDS = 10.0, 0.2
_SELECTS_CLICKHOUSE = "otel_usage_clickhouse"
"""In `OTEL_TRACES_EXPORTER`; see `otel_usage.auto`."""

_OTLP_CURE = (
    "Start a Collector or `otel-usage serve` there, or set OTEL_USAGE_OTLP_ENDPOINT to where its OTLP/HTTP receiver "
    "is (port 4318, not 4317 of gRPC); headers that it asks for are in OTEL_EXPORTER_OTLP_HEADERS"
)
_DROPPED = (
    "a table, view or column is missing although its migration ran: somebody dropped it. Restore it from a backup; "
    "or, to begin with an empty database, drop the database and run: otel-usage migrate"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    is_good: bool
    text: str
    is_note: bool = False
    """It need not be a fault; whoever reads it knows."""

    def line(self) -> str:
        """Return the finding as one line."""
        mark = "note" if self.is_note else "ok  " if self.is_good else "FAIL"
        return f"{mark}  {self.text}"


def examine_settings(settings: Settings, environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Look at what an app would ignore or log, and go on without.

    Args:
        settings: in force.
        environ: in which names are looked at, `os.environ` by default.
    """
    faults = [*unknown_settings(environ), *map(str, unusable_settings(settings))]
    for fault in faults:
        yield Finding(False, fault)
    if not faults:
        yield Finding(True, "the settings can be used")
    if settings.geo_database:
        yield _geo_database(settings.geo_database)


def _geo_database(path: str) -> Finding:
    try:
        return Finding(True, f"the geo database is {describe_database(path)}")
    except SettingError as error:
        return Finding(False, str(error))


def examine_otlp(
    settings: Settings, environ: Mapping[str, str] | None = None, *, is_about_database: bool = False
) -> Iterator[Finding]:
    """Send a trace without spans to where the app sends its events, if that is by OTLP.

    Args:
        settings: in force.
        environ: with the variables of the SDK, `os.environ` by default.
        is_about_database: somebody asked about a database by its DSN; then the endpoint that an app takes
            where nothing is set is no concern of theirs.
    """
    environ = os.environ if environ is None else environ
    selected = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",")]
    if settings.exporter_name != "otlp" or (settings.exporter is None and _SELECTS_CLICKHOUSE in selected):
        return
    is_set = settings.exporter or settings.otlp_endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if is_about_database and not is_set:
        return
    endpoint = settings.resolved_otlp_endpoint(environ)
    way = f"the app sends by OTLP to {_without_credentials(endpoint)}"
    fault = _fault_of_endpoint(endpoint)
    if not fault:
        yield Finding(True, f"{way}, which answers")
    elif is_set:
        yield Finding(False, f"{way}: {fault}. {_OTLP_CURE}")
    else:
        # This need not be the app's environment.
        yield Finding(
            True,
            f"neither OTEL_USAGE_DSN nor an OTLP endpoint is set here. If they are not in the app's environment, {way}: "
            f"{fault}. Set one of them there",
            is_note=True,
        )


def _fault_of_endpoint(endpoint: str) -> str:
    exporter = OtlpExporter(endpoint)
    try:
        exporter.send(exporter.freeze([], f"doctor-{secrets.token_hex(16)}"))
    except OtelUsageError as error:
        return str(error)
    except (ValueError, OSError) as error:  # an address of the SDK's variable, which nobody has looked at
        return f"it cannot be used ({type(error).__name__})"
    finally:
        exporter.close()
    return ""


def _without_credentials(endpoint: str) -> str:
    place = re.sub(r"(?<=://)[^/?#]*@", "", endpoint)
    return re.split(r"[?#]", place)[0]


def examine(dsn: str) -> Iterator[Finding]:
    """Look at one thing after the other in the database, and stop where the next ones would fail with it.

    Raises:
        SettingError: the DSN cannot be used.
    """
    try:
        client = connect(dsn)
    except ClickHouseError as error:
        yield Finding(False, explain(error))
        return
    try:
        yield Finding(True, f"ClickHouse {client.server_version} answers")
        command = migrate_command(client.dsn.masked)
        missing = pending(client)
        if missing:
            yield Finding(False, f"{len(missing)} migrations have not been run. Run: {command}")
            return
        yield Finding(True, "the schema is up to date")
        if not deduplicates(client):
            yield Finding(False, f"migrate has not seen this server deduplicate inserts. Run: {command}")
            return
        yield Finding(True, "the server was seen to count a batch once that was sent twice, in views too")
        yield _send_and_read_back(client, dsn)
        yield _duplicates(client)
    except DeliveryError as error:
        # The migrations ran, so what is missing was there once.
        is_dropped = (
            isinstance(error.__cause__, ClickHouseError) and error.__cause__.code in MISSING_SCHEMA_CODES
        )
        yield Finding(False, _DROPPED if is_dropped else str(error))
    except ClickHouseError as error:
        yield Finding(False, _DROPPED if error.code in MISSING_SCHEMA_CODES else str(error))
    except OtelUsageError as error:
        yield Finding(False, str(error))
    finally:
        client.close()


def _send_and_read_back(client: ClickHouse, dsn: str) -> Finding:
    """Send one event twice, as a retry would, and look how often it is there."""
    event = Event(
        "doctor",
        time.time_ns(),
        0,
        secrets.token_bytes(16),
        secrets.token_bytes(8),
        NO_SPAN,
        SERVICE_NAME,
        {names.EVENT_NAME: "doctor"},
    )
    exporter = ClickHouseSpanExporter(dsn)
    try:
        batch = exporter.freeze([event], f"doctor-{event.id}")
        exporter.send(batch)
        exporter.send(batch)
    finally:
        exporter.close()
    found = _count_rows(client, event.id)
    # Another replica may be asked than the one that has the event already.
    give_up = time.monotonic() + _REPLICAS_SECONDS
    while not found and cluster_in_force(client) and time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
        found = _count_rows(client, event.id)
    if found == 1:
        return Finding(True, "an event that was sent twice is stored once")
    if found == 0:
        return Finding(
            False,
            "an event was accepted but is not there. Look at the server's log and the rights of the account",
        )
    return Finding(
        False,
        f"an event that was sent twice is stored {found} times: this server does not deduplicate inserts. "
        "Expected from ClickHouse 24.8 on; see docs/troubleshooting.md",
    )


def _count_rows(client: ClickHouse, event_id: str) -> int:
    rows = client.query(
        "SELECT count() FROM events WHERE service_name = {service:String} AND event_id = {event_id:String}",
        {"service": SERVICE_NAME, "event_id": event_id},
    ).rows
    return int(rows[0][0])


def _duplicates(client: ClickHouse) -> Finding:
    """Compare rows with distinct ids; a difference means that a foreign client sent events twice in other batches."""
    days = client.query(
        "SELECT toDate(timestamp) AS day, count() - uniqExact(trace_id_bytes, span_id_bytes) AS doubled FROM events "
        "WHERE timestamp >= now() - INTERVAL 7 DAY GROUP BY day HAVING doubled > 0 ORDER BY day"
    ).rows
    if not days:
        return Finding(True, "no event of the last 7 days is stored twice")
    listed = ", ".join(f"{day} ({doubled})" for day, doubled in days)
    return Finding(
        False,
        f"events are stored twice on: {listed}. A Collector or another client sent them again in other batches. "
        "Run for each day, to count them once in the views: otel-usage rebuild --day DAY",
    )
