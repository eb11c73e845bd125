"""Usage events as an app sends them to a Collector, and what a store then says of them."""

from __future__ import annotations

from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.pipeline.exporters.otlp import OtlpExporter
from tests.builders import build_event
from tests.serving import wait_for


def requests_of(service: str, count: int, first: int = 0) -> list[Event]:
    """Return request events of a service, each of another path."""
    return [
        build_event(service=service, visit=f"{service}-{number // 5}", path=f"/page/{number}")
        for number in range(first, first + count)
    ]


def requests_of_many_months(service: str) -> list[Event]:
    """Return request events of more months than one insert may have, as a clock or a sender makes them that is wrong."""
    return [
        build_event(service=service, at=f"{1980 + month // 12}-{month % 12 + 1:02}-10T12:00:00")
        for month in range(150)
    ]


def send(otlp_url: str, events: list[Event], per_request: int = 100) -> None:
    """Send events as the app's own exporter does: a batch is one request, and each is acknowledged."""
    exporter = OtlpExporter(otlp_url)
    for start in range(0, len(events), per_request):
        batch = events[start : start + per_request]
        exporter.send(exporter.freeze(batch, token=batch[0].id))
    exporter.close()


def counts_of(client: ClickHouse, service: str) -> tuple[int, int, int]:
    """Return the rows of a service, its different events, and the requests that a view counted."""
    stored, different = client.query(
        "SELECT count(), uniqExact(event_id) FROM events WHERE service_name = {service:String}",
        {"service": service},
    ).rows[0]
    counted = client.query(
        "SELECT sum(requests) FROM pages_daily WHERE service_name = {service:String}", {"service": service}
    ).rows[0][0]
    return int(stored), int(different), int(counted)


def wait_until_counted(client: ClickHouse, service: str, count: int) -> None:
    """Return when so many events of a service are stored, and counted by the view, which is filled after the rows."""
    wait_for(lambda: min(counts_of(client, service)) >= count, f"the arrival of {count} events of {service}")
