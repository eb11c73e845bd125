"""Traffic by chance, from a seed: visits over midnight and in two services, funnels, counters, robots, pages of browsers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from otel_usage.model import Event
from tests.builders import build_event, build_stage

_PAGES = ("/", "/shop", "/basket", "/pay", "/about", "/missing")


def build_traffic(visits: int, seed: int = 7) -> list[Event]:
    """Return the events of so many visits in four days of March 2026, and of some requests without a visit."""
    chance = random.Random(seed)
    events = [event for number in range(visits) for event in _visit(chance, number)]
    events += [_request(chance, _moment(chance), visit="", visitor="", user="") for _ in range(visits // 4)]
    return events


def _visit(chance: random.Random, number: int) -> Iterator[Event]:
    visit, visitor = f"visit {number}", f"visitor {number % 97}"
    service, is_bot = chance.choice(("shop", "blog")), chance.random() < 0.1
    user = f"user {number % 31}" if chance.random() < 0.4 else ""
    start = _moment(chance)
    common: dict[str, Any] = {"service": service, "is_bot": is_bot}
    for place in range(chance.randint(1, 6)):
        moment = start + place * chance.randint(1, 4 * 3600)
        yield _request(chance, moment, visit, visitor, user, is_new=place == 0, **common)
        if chance.random() < 0.5:
            yield build_stage(
                chance.randint(1, 4),
                _text(moment),
                visit=visit,
                funnel=chance.choice(("buy", "join")),
                **common,
            )
        if chance.random() < 0.3:
            product: dict[str, Any] = {
                "object_type": "shop.Product",
                "object_id": str(chance.randint(1, 9)),
                "user_id": user,
            }
            yield build_event("object_viewed", _text(moment), visit=visit, **product, **common)
            counter: dict[str, Any] = {
                "counter_name": chance.choice(("views", "likes")),
                "counter_value": chance.randint(-2, 5),
            }
            yield build_event("counter", _text(moment), visit=visit, **product, **counter, **common)
        if chance.random() < 0.2:
            yield build_event(
                "activity", _text(moment + 5), visit=visit, visitor=visitor, path="/app", **common
            )


def _request(chance: random.Random, moment: int, visit: str, visitor: str, user: str, **values: Any) -> Event:
    path = chance.choice(_PAGES)
    columns: dict[str, Any] = {
        "browser": chance.choice(("Firefox", "Safari", "Chrome")),
        "client_address": f"192.0.2.{chance.randint(1, 40)}",
        "country": chance.choice(("CH", "SE", "")),
        "path": path,
        "route": path,
        "status_code": 404 if path == "/missing" else chance.choice((200, 200, 200, 302, 500)),
        "bytes_sent": chance.randint(0, 9000),
        "referrer_domain": chance.choice(("", "example.com", "example.org")),
        "campaign_source": chance.choice(("", "mail")),
        "user_id": user,
        "duration_ns": chance.randint(10**5, 10**9),
        **values,
    }
    return build_event("request", _text(moment), visit=visit, visitor=visitor, **columns)


def _moment(chance: random.Random) -> int:
    return chance.randint(0, 4 * 24 * 3600)


def _text(second: int) -> str:
    day, rest = divmod(second, 24 * 3600)
    hours, rest = divmod(rest, 3600)
    return f"2026-03-{9 + day:02}T{hours:02}:{rest // 60:02}:{rest % 60:02}"
