"""Finished usage spans with the variety of a real site: what the worker finds in its queue.

Thousands of paths with a long tail, hundreds of user agents, tens of thousands of visits that interleave, one
request in five with a query or a referrer, one event in six that is no request. Seeded, so that two runs
measure the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from otel_usage import attributes as names
from otel_usage.model import AttributeValue

START_NS = 1_790_000_000_000_000_000
"""The first event, in September 2026."""
EVENTS_PER_SECOND = 6
PRODUCTS, ARTICLES, AGENTS, OPEN_VISITS = 4000, 1000, 400, 300
REQUESTS_PER_VISIT = 6

Attributes = dict[str, AttributeValue]

_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 14; Pixel 8",
    "Linux; Android 13; SM-S911B",
)
_BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
)
_SITES = ("www.google.com", "duckduckgo.com", "news.example.org", "www.reddit.com", "t.example.net")


class _Visitor(NamedTuple):
    identity: Attributes
    referrer: str
    is_new: bool
    left: int


class _Collector(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Traffic:
    """An endless stream of usage spans; each call of `spans` goes on where the last one ended."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._collector = _Collector()
        provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
        provider.add_span_processor(self._collector)
        self._tracer = provider.get_tracer("traffic")
        self._agents = [self._agent(number) for number in range(AGENTS)]
        self._open = [self._visitor() for _ in range(OPEN_VISITS)]
        self._places = range(PRODUCTS + ARTICLES)
        self._weights = list(accumulate(1 / (rank + 10) for rank in self._places))
        self._time_ns = START_NS

    def spans(self, count: int) -> list[ReadableSpan]:
        """Return the next spans, ordered by their end."""
        while len(self._collector.spans) < count:
            self._request()
        spans, self._collector.spans = self._collector.spans[:count], self._collector.spans[count:]
        return spans

    def batches(self, count: int, size: int) -> Iterator[list[ReadableSpan]]:
        """Return batches of spans."""
        return (self.spans(size) for _ in range(count))

    def _request(self) -> None:
        rng = self._random
        self._time_ns += int(rng.expovariate(EVENTS_PER_SECOND) * 1e9)
        place = rng.randrange(len(self._open))
        visitor = self._open[place]
        attributes = self._attributes(visitor)
        span = self._tracer.start_span(
            f"GET {attributes[names.ROUTE]}", kind=SpanKind.SERVER, start_time=self._time_ns
        )
        span.set_attributes(attributes)
        duration_ns = int(rng.lognormvariate(17, 0.8))
        if rng.random() < 0.2:
            self._event(span, visitor, attributes)
        span.end(end_time=self._time_ns + duration_ns)
        left = visitor.left - 1
        self._open[place] = visitor._replace(is_new=False, left=left) if left > 0 else self._visitor()

    def _event(self, parent: trace.Span, visitor: _Visitor, request: Attributes) -> None:
        attributes: Attributes = {
            names.EVENT_NAME: names.OBJECT_VIEWED,
            **visitor.identity,
            names.OBJECT_TYPE: "product",
            names.OBJECT_ID: str(request[names.PATH]).rpartition("/")[2],
        }
        if self._random.random() < 0.3:
            attributes[names.EVENT_NAME] = "search"
            attributes[names.PROPERTY_PREFIX + "results"] = str(self._random.randrange(200))
        span = self._tracer.start_span(
            str(attributes[names.EVENT_NAME]),
            context=trace.set_span_in_context(parent),
            attributes=attributes,
            start_time=self._time_ns,
        )
        span.end(end_time=self._time_ns)

    def _attributes(self, visitor: _Visitor) -> Attributes:
        rng = self._random
        number = rng.choices(self._places, cum_weights=self._weights)[0]
        is_product = number < PRODUCTS
        kind = "product" if is_product else "article"
        attributes: Attributes = {
            names.EVENT_NAME: names.REQUEST,
            **visitor.identity,
            names.METHOD: "GET" if rng.random() < 0.95 else "POST",
            names.STATUS_CODE: 200 if rng.random() < 0.97 else 404,
            names.SCHEME: "https",
            names.HOST: "shop.example.com",
            names.PATH: f"/{kind}/{kind}-{number}",
            names.ROUTE: f"/{kind}/<slug>",
            names.ENDPOINT: f"catalog.{kind}",
            names.BLUEPRINT: "catalog",
            names.VIEW_ARGUMENT_PREFIX + "slug": f"{kind}-{number}",
            names.RESPONSE_SIZE: 4000 + rng.randrange(30_000),
            names.VISIT_IS_NEW: visitor.is_new,
            names.LANGUAGE: "de-CH",
            names.PEER_ADDRESS: "10.0.0.9",
        }
        if rng.random() < 0.1:
            attributes[names.QUERY] = f"page={rng.randrange(30)}&sort=price"
        if rng.random() < 0.1:
            attributes[names.REFERRER_URL] = visitor.referrer
        return attributes

    def _visitor(self) -> _Visitor:
        rng = self._random
        requests = 1 + int(rng.expovariate(1 / REQUESTS_PER_VISIT))
        identity: Attributes = {
            names.CLIENT_ADDRESS: f"{rng.randrange(1, 224)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}",
            names.USER_AGENT: rng.choice(self._agents),
            names.VISIT_KEY: rng.randbytes(16).hex(),
            names.VISITOR_ID: rng.randbytes(16).hex(),
        }
        if rng.random() < 0.15:
            identity[names.USER_ID] = str(rng.randrange(20_000))
        return _Visitor(identity, f"https://{rng.choice(_SITES)}/p/{rng.randrange(5000)}", True, requests)

    def _agent(self, number: int) -> str:
        if number % 20 == 0:
            return f"{_BOTS[number // 20 % 2]} {number}"
        system = _SYSTEMS[number % len(_SYSTEMS)]
        mobile = "Mobile " if "Android" in system else ""
        return f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{90 + number % 45}.0.{number}.0 {mobile}Safari/537.36"
