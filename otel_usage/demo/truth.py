"""What must be stored after the planned requests were sent, worked out from the plan alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from otel_usage.demo.visitors import FUNNELS, PlannedRequest, Visitor

AgentKey: TypeAlias = tuple[str, str, str]
"""Browser, operating system, device type."""


@dataclass(slots=True)
class Truth:
    """Numbers that every table and report must agree with."""

    requests: int = 0
    bot_requests: int = 0
    requests_without_visit: int = 0
    """Of visitors who send Global Privacy Control."""
    requests_by_agent: Counter[AgentKey] = field(default_factory=Counter)
    requests_by_address: Counter[str] = field(default_factory=Counter)
    requests_by_route: Counter[str] = field(default_factory=Counter)
    """The empty route is that of unknown paths."""
    requests_by_status: Counter[int] = field(default_factory=Counter)
    requests_by_method: Counter[str] = field(default_factory=Counter)
    visits: int = 0
    bot_visits: int = 0
    confirmed_visits: int = 0
    """Visits whose cookie came back: those of two requests and more by who keeps cookies."""
    visitors: int = 0
    visits_by_agent: Counter[AgentKey] = field(default_factory=Counter)
    visits_by_campaign: Counter[str] = field(default_factory=Counter)
    stage_visits: dict[str, list[int]] = field(default_factory=dict)
    """By funnel: visits of people that reached each stage after all stages before it."""
    visits_by_stage: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (funnel, stage): visits that reached the stage at all, those of robots too."""
    product_views: Counter[str] = field(default_factory=Counter)
    app_events: Counter[str] = field(default_factory=Counter)
    """The shop's own events, and those of its streams, by name."""
    stage_events: int = 0

    @property
    def requests_by_browser(self) -> Counter[str]:
        """Requests by browser family."""
        counts: Counter[str] = Counter()
        for (browser, _, _), requests in self.requests_by_agent.items():
            counts[browser] += requests
        return counts

    @property
    def events(self) -> int:
        """Rows of all kinds."""
        return self.requests + self.product_views.total() + self.app_events.total() + self.stage_events


def measure(visitors: Iterable[Visitor], *, write_route: Callable[[str], str] = str) -> Truth:
    """Return what the visitors' requests must come to.

    Args:
        visitors: the plan.
        write_route: returns how the shop's framework writes a route of the plan.
    """
    truth = Truth(stage_visits={funnel: [0] * len(stages) for funnel, stages in FUNNELS.items()})
    for visitor in visitors:
        _count_requests(truth, visitor, write_route)
        if not visitor.opts_out:
            _count_visits(truth, visitor)
    return truth


def _count_requests(truth: Truth, visitor: Visitor, write_route: Callable[[str], str]) -> None:
    agent = visitor.agent
    requests = [request for visit in visitor.visits for request in visit]
    truth.requests += len(requests)
    truth.bot_requests += len(requests) * agent.is_bot
    truth.requests_without_visit += len(requests) * visitor.opts_out
    truth.requests_by_agent[agent.browser, agent.os, agent.device_type] += len(requests)
    for request in requests:
        truth.requests_by_address[request.address] += 1
        truth.requests_by_route[write_route(request.route)] += 1
        truth.requests_by_status[request.status] += 1
        truth.requests_by_method[request.method] += 1
        truth.stage_events += len(request.stages)
        if request.product:
            truth.product_views[request.product] += 1
        if request.event:
            truth.app_events[request.event] += 1


def _count_visits(truth: Truth, visitor: Visitor) -> None:
    agent = visitor.agent
    # Who refuses cookies is someone else with each request.
    visits = (
        visitor.visits if visitor.keeps_cookies else [(each,) for visit in visitor.visits for each in visit]
    )
    truth.visits += len(visits)
    truth.bot_visits += len(visits) * agent.is_bot
    truth.visits_by_agent[agent.browser, agent.os, agent.device_type] += len(visits)
    truth.visitors += 1 if visitor.keeps_cookies else len(visits)
    for visit in visits:
        truth.confirmed_visits += len(visit) > 1
        truth.visits_by_campaign[visit[0].campaign] += 1
        truth.visits_by_stage.update({stage for request in visit for stage in request.stages})
        for funnel, stages in () if agent.is_bot else FUNNELS.items():
            for index in range(_stages_in_order(visit, funnel, stages)):
                truth.stage_visits[funnel][index] += 1


def _stages_in_order(visit: Sequence[PlannedRequest], funnel: str, stages: Sequence[str]) -> int:
    """Return how many stages were reached, each for the first time no earlier than the one before it."""
    earliest = 0
    for count, stage in enumerate(stages):
        position = next(
            (at for at, request in enumerate(visit) if (funnel, stage) in request.stages), len(visit)
        )
        if position == len(visit) or position < earliest:
            return count
        earliest = position
    return len(stages)
