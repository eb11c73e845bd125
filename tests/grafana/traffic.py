"""A few days of made-up traffic with a fixed seed, its way into ClickHouse, and its numbers counted in Python.

Two services for two whole days before today, people and robots, a funnel of three stages, things that are looked
at, failures, refusals and events that are rejected. One service has a name that would break out of a text of SQL.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from opentelemetry.sdk.trace import ReadableSpan

from otel_usage import ClickHouseSpanExporter, UsageSpanProcessor
from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import AttributeValue
from tests.builders import key_of
from tests.pipeline.spans import build_span

HOSTILE_SERVICE = "b\\' OR 1=1 -- "
SERVICES = ("shop", HOSTILE_SERVICE)
FUNNEL = "buy"
STAGES = ("basket", "address", "paid")
DAYS = 2
TODAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST_DAY = TODAY - timedelta(days=DAYS)
"""Near the present, because rejected events are forgotten after 90 days; no number depends on it."""
_SEED = 6
_VISITS = 60
_GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_AGENTS = {
    "Firefox": ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Linux", "desktop"),
    "Chrome": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Windows",
        "desktop",
    ),
    "Mobile Safari": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
        " Mobile/15E148 Safari/604.1",
        "iOS",
        "mobile",
    ),
}
THING = "/things/1"
_PATHS = ("/", "/things", THING, "/about")
_STATUSES = (200,) * 16 + (302, 404, 403, 500)
_COUNTRIES = ("CH", "DE", "FR", "")
_REFERRERS = ("", "https://search.example/?q=1", "https://news.example/a")


@dataclass(frozen=True)
class Visit:
    """Who came."""

    key: str
    service: str
    browser: str
    address: str
    country: str
    referrer: str
    user: str
    is_bot: bool


@dataclass(frozen=True)
class Hit:
    """One request of a visit."""

    visit: Visit
    at: datetime
    path: str
    status: int
    duration_ms: int
    size: int
    is_new: bool
    stages: tuple[str, ...] = ()
    """Those that it reached."""


def make_hits() -> list[Hit]:
    """Return the requests of all visits in order, the same at each call."""
    play = random.Random(_SEED)
    hits = [hit for number in range(_VISITS) for hit in _visit_hits(play, number)]
    return sorted(hits, key=lambda hit: hit.at)


def _visit_hits(play: random.Random, number: int) -> Iterator[Hit]:
    is_bot = number % 6 in (0, 5)
    visit = Visit(
        key_of(f"visit {number}"),
        SERVICES[number % 3 == 2],
        "Googlebot" if is_bot else play.choice(sorted(_AGENTS)),
        f"192.0.2.{play.randrange(1, 12)}",
        play.choice(_COUNTRIES),
        play.choice(_REFERRERS),
        f"user{number % 7}" if number % 2 else "",
        is_bot,
    )
    # No visit goes over midnight, so that a day is a day to every report.
    at = FIRST_DAY + timedelta(days=number % DAYS, seconds=play.randrange(20 * 3600))
    reached = play.choices((0, 1, 2, 3), weights=(4, 3, 2, 1))[0]
    for place in range(play.randrange(3, 9)):
        stages = STAGES[place : place + 1] if place < reached else ()
        size = play.randrange(100, 5000)
        yield Hit(
            visit,
            at,
            play.choice(_PATHS),
            play.choice(_STATUSES),
            play.randrange(1, 900),
            size,
            place == 0,
            stages,
        )
        at += timedelta(seconds=play.randrange(1, 600), microseconds=play.randrange(10**6))


def send(hits: Sequence[Hit], dsn: str) -> None:
    """Store the hits by the exporter of an app, the worker's enrichment included."""
    processor = UsageSpanProcessor(ClickHouseSpanExporter(dsn))
    for hit in hits:
        for span in _spans(hit):
            processor.on_end(span)
    assert processor.force_flush(60_000)
    processor.shutdown()
    assert processor.accounting().dropped == {}


def _spans(hit: Hit) -> Iterator[ReadableSpan]:
    visit = hit.visit
    start_ns = int(hit.at.timestamp()) * 10**9 + hit.at.microsecond * 1000
    shared: dict[str, AttributeValue] = {
        names.VISIT_KEY: visit.key,
        names.VISITOR_ID: visit.key,
        names.CLIENT_ADDRESS: visit.address,
        names.USER_AGENT: _GOOGLEBOT if visit.is_bot else _AGENTS[visit.browser][0],
        names.COUNTRY: visit.country,
        names.USER_ID: visit.user,
    }
    request: dict[str, AttributeValue] = {
        names.PATH: hit.path,
        names.ROUTE: hit.path,
        names.STATUS_CODE: hit.status,
        names.RESPONSE_SIZE: hit.size,
        names.REFERRER_URL: visit.referrer,
        names.VISIT_IS_NEW: hit.is_new,
    }
    yield build_span(
        attributes={**shared, **request},
        service=visit.service,
        start_ns=start_ns,
        duration_ns=hit.duration_ms * 10**6,
    )
    for stage in hit.stages:
        reached: dict[str, AttributeValue] = {
            names.FUNNEL: FUNNEL,
            names.STAGE: stage,
            names.STAGE_INDEX: STAGES.index(stage) + 1,
        }
        yield build_span(
            names.STAGE_REACHED,
            {**shared, **reached},
            service=visit.service,
            start_ns=start_ns,
            duration_ns=0,
        )
    for milliseconds, (name, attributes) in enumerate(_further(hit), 1):
        after = start_ns + milliseconds * 10**6
        yield build_span(name, {**shared, **attributes}, service=visit.service, start_ns=after, duration_ns=0)
    if hit.status == 403:
        yield build_span(
            names.REJECTED,
            {names.REJECTED_REASON: "unknown_counter", names.REJECTED_EVENT: names.COUNTER},
            service=visit.service,
            start_ns=start_ns,
        )


def _further(hit: Hit) -> Iterator[tuple[str, dict[str, AttributeValue]]]:
    """Yield the other events of a request: a thing that was looked at is counted twice, and told of by its page."""
    if hit.path == THING:
        thing: dict[str, AttributeValue] = {names.OBJECT_TYPE: "Thing", names.OBJECT_ID: "1"}
        yield names.OBJECT_VIEWED, thing
        yield names.COUNTER, {**thing, names.COUNTER_NAME: "looks", names.COUNTER_VALUE: 2}
        yield names.ACTIVITY, {names.PATH: "/app/thing"}


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = (
    ("00f067aa0ba902b7", "", "GET /things", 250),
    ("53995c3f42cd8ad8", "00f067aa0ba902b7", "SELECT things", 200),
)
"""Of one request and the query that took most of it: span id, parent, name, milliseconds."""


def store_trace(client: ClickHouse) -> None:
    """Store a trace of the app's own, as a Collector's ClickHouse exporter writes it; it holds no usage event."""
    for span_id, parent, name, milliseconds in TRACE:
        begin = int((FIRST_DAY + timedelta(hours=9)).timestamp()) * 10**9
        client.command(
            "INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, Duration)"
            f" VALUES (fromUnixTimestamp64Nano({begin}), '{TRACE_ID}', '{span_id}', '{parent}', '{name}', 'Server', 'shop',"
            f" {milliseconds * 10**6})"
        )


def by(key: Callable[[Hit], str], hits: Sequence[Hit]) -> Counter[str]:
    """Return how many hits each key has."""
    return Counter(key(hit) for hit in hits)


def visits_begun(hits: Sequence[Hit]) -> int:
    """Return how many visits began with one of the hits."""
    return sum(hit.is_new for hit in hits)


def came_to(hits: Sequence[Hit]) -> list[int]:
    """Return how many visits of people reached each stage; each reaches them in order, if at all."""
    reached = {(hit.visit.key, stage) for hit in hits if not hit.visit.is_bot for stage in hit.stages}
    return [sum(stage == name for _, stage in reached) for name in STAGES]
