"""Plans a population of visitors from a seed: people who buy or leave, robots, and those who want no cookie.

Nothing is sent here. The same seed and number give the same plan on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import TypeAlias

from otel_usage.demo import journeys
from otel_usage.demo.agents import BROWSERS, CRAWLERS, MONITORS, Agent
from otel_usage.demo.visitors import PlannedRequest, Visitor

DEFAULT_SEED = 20_260_101
DEFAULT_REQUESTS = 2000

Journey: TypeAlias = Callable[[Random], list[PlannedRequest]]

_PEOPLE: tuple[tuple[Journey, int], ...] = (
    (journeys.buy, 50),
    (journeys.land_on_product, 15),
    (journeys.sign_up, 14),
    (journeys.read, 12),
    (journeys.get_lost, 6),
    (journeys.meet_an_error, 3),
)
"""What people come for, with how many of a hundred do."""

_LANGUAGES = (
    "en-GB,en;q=0.9",
    "de-CH,de;q=0.8,en;q=0.5",
    "fr-FR,fr;q=0.9",
    "es-ES,es;q=0.9",
    "pt-BR,pt;q=0.7",
)
_IPV4_START = int(IPv4Address("198.18.0.0"))
_IPV4_COUNT = 2**17  # 198.18.0.0/15, set aside for tests like this one (RFC 2544)
_IPV6_START = int(IPv6Address("2001:db8::"))
_OFFICE = "198.18.0.1"
_CLAIMED = "203.0.113.77"


def plan_visitors(seed: int, requests: int) -> list[Visitor]:
    """Return visitors who send exactly so many requests together.

    The first ones are one of each kind, so that a short plan shows everything too; the last one may have to
    stop in the middle of what it came for.

    Raises:
        ValueError: `requests` is below 1.
    """
    if requests < 1:
        raise ValueError(f"requests is {requests}, expected at least 1")
    random = Random(seed)
    cast = [*_one_of_each(random)]
    visitors: list[Visitor] = []
    remaining = requests
    while remaining:
        visitor = cast.pop(0) if cast else _anyone(random)
        visitor = _cut(visitor, remaining)
        visitors.append(visitor)
        remaining -= visitor.request_count
    return visitors


def _one_of_each(random: Random) -> list[Visitor]:
    return [
        _person(random, journeys.buy_everything, returns_for=journeys.buy),
        *(_person(random, journey) for journey, _ in _PEOPLE),
        _crawler(random),
        _monitor(random),
        _person(random, journeys.look_around, keeps_cookies=False),
        _person(random, journeys.buy_everything, opts_out=True),
        _person(random, journeys.read, returns_for=journeys.sign_up),
    ]


def _anyone(random: Random) -> Visitor:
    kind = random.random()
    if kind < 0.10:
        return _crawler(random)
    if kind < 0.13:
        return _monitor(random)
    if kind < 0.18:
        return _person(random, journeys.look_around, keeps_cookies=False)
    journey = _draw(random, _PEOPLE)
    if kind < 0.23:
        return _person(random, journey, opts_out=True)
    return _person(random, journey, returns_for=_draw(random, _PEOPLE) if kind > 0.88 else None)


def _draw(random: Random, choices: Sequence[tuple[Journey, int]]) -> Journey:
    return random.choices([journey for journey, _ in choices], [weight for _, weight in choices])[0]


def _person(
    random: Random,
    journey: Journey,
    *,
    returns_for: Journey | None = None,
    keeps_cookies: bool = True,
    opts_out: bool = False,
) -> Visitor:
    agent = random.choices([agent for agent, _ in BROWSERS], [weight for _, weight in BROWSERS])[0]
    trips = [journey, returns_for] if returns_for else [journey]
    home = _address(random)
    visits = [_send_from(random, trip(random), home) for trip in trips]
    return Visitor(agent, random.choice(_LANGUAGES), keeps_cookies, opts_out, tuple(visits))


def _crawler(random: Random) -> Visitor:
    return _robot(random, random.choice(CRAWLERS), journeys.crawl)


def _monitor(random: Random) -> Visitor:
    return _robot(random, random.choice(MONITORS), journeys.check_health)


def _robot(random: Random, agent: Agent, journey: Journey) -> Visitor:
    visit = tuple(
        replace(request, address=address, forwarded_for=address)
        for address in [_address(random)]
        for request in journey(random)
    )
    return Visitor(agent, "", keeps_cookies=False, opts_out=False, visits=(visit,))


def _address(random: Random) -> str:
    kind = random.random()
    if kind < 0.08:
        return _OFFICE  # many browsers behind one address
    if kind < 0.70:
        return str(IPv4Address(_IPV4_START + 2 + random.randrange(_IPV4_COUNT - 2)))
    return str(IPv6Address(_IPV6_START + random.getrandbits(90)))


def _send_from(random: Random, requests: Sequence[PlannedRequest], home: str) -> tuple[PlannedRequest, ...]:
    """Give each request its address; one in ten visitors leaves the house in the middle of the visit."""
    moves_at = (
        random.randrange(1, len(requests)) if len(requests) > 2 and random.random() < 0.1 else len(requests)
    )
    away = _address(random)
    form = random.choices([_plain, _behind_a_claim, _with_port], [80, 10, 10])[0]
    return tuple(
        replace(request, address=address, forwarded_for=form(address))
        for position, request in enumerate(requests)
        for address in [home if position < moves_at else away]
    )


def _plain(address: str) -> str:
    return address


def _behind_a_claim(address: str) -> str:
    """The client sent a forwarding header of its own; the proxy has added the address it saw."""
    return f"{_CLAIMED}, {address}"


def _with_port(address: str) -> str:
    return f"[{address}]:50712" if ":" in address else f"{address}:50712"


def _cut(visitor: Visitor, most: int) -> Visitor:
    if visitor.request_count <= most:
        return visitor
    visits = []
    for visit in visitor.visits:
        if most:
            visits.append(visit[:most])
            most -= len(visits[-1])
    return replace(visitor, visits=tuple(visits))
