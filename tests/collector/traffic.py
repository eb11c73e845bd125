"""Events of real visitors of the demo shop, to send by several ways, and the wait until a Collector has passed them on."""

from __future__ import annotations

import json
from pathlib import Path

from otel_usage.demo.sender import VisitorSender
from otel_usage.demo.services import running_shop
from otel_usage.demo.simulator import DEFAULT_SEED, plan_visitors
from otel_usage.model import NO_SPAN, Event
from tests.builders import NOON, nanoseconds
from tests.collector.process import CollectorProcess
from tests.serving import wait_for

_VISIT_TIMEOUT_SECONDS = 1.0


def shop_events(directory: Path, requests: int) -> list[Event]:
    """Send visitors to the shop, under the launcher and gunicorn, and return the events that its workers made.

    Their times are moved to a fixed day, so that no test depends on today's date.
    """
    settings = {
        "OTEL_USAGE_EXPORTER": "console",
        "OTEL_USAGE_VISIT_TIMEOUT_SECONDS": f"{_VISIT_TIMEOUT_SECONDS:g}",
    }
    with running_shop(directory, settings) as shop:
        report = VisitorSender(shop.host, shop.port, visit_timeout_seconds=_VISIT_TIMEOUT_SECONDS).send(
            plan_visitors(DEFAULT_SEED, requests)
        )
        assert report.failed == 0
        assert shop.child.stop() == 0
        lines = [line for line in shop.child.output().splitlines() if line.startswith("{")]
    events = [_to_event(line) for line in lines]
    shift = nanoseconds(NOON) - min(event.timestamp_ns for event in events)
    return [event._replace(timestamp_ns=event.timestamp_ns + shift) for event in events]


def wait_until_passed_on(collector: CollectorProcess, spans: int) -> None:
    """Return when the stores behind a Collector have acknowledged so many spans, with all that views make of them."""
    wait_for(
        lambda: collector.metric("otelcol_exporter_sent_spans") >= spans,
        f"the delivery of {spans} spans, see {collector.log},",
    )


def _to_event(line: str) -> Event:
    found = json.loads(line)
    ids = bytes.fromhex(found["event_id"])
    return Event(
        found["event_name"],
        found["timestamp_ns"],
        found["duration_ns"],
        ids[:16],
        ids[16:],
        NO_SPAN,
        found["service_name"],
        found["attributes"],
    )
