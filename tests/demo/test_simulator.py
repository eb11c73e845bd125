"""The plan: the same for a seed, complete, and its truth adds up."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
import ua_parser

from otel_usage.demo.agents import BROWSERS, CRAWLERS, MONITORS, Agent
from otel_usage.demo.journeys import buy_everything, land_on_product
from otel_usage.demo.services import FUNNELS_FILE
from otel_usage.demo.simulator import DEFAULT_REQUESTS, DEFAULT_SEED, plan_visitors
from otel_usage.demo.truth import measure
from otel_usage.demo.visitors import FUNNELS, PlannedRequest, Visitor
from otel_usage.enrich.user_agent import describe_user_agent
from otel_usage.reports.funnels import load_funnels

AGENTS = [agent for agent, _ in BROWSERS] + [*CRAWLERS, *MONITORS]


def build_visitor(
    *visits: list[PlannedRequest],
    agent: Agent = AGENTS[0],
    keeps_cookies: bool = True,
    opts_out: bool = False,
) -> Visitor:
    placed = tuple(tuple(replace(request, address="198.18.0.9") for request in visit) for visit in visits)
    return Visitor(agent, "en", keeps_cookies, opts_out, placed)


def request(stage: str = "", *, status: int = 200) -> PlannedRequest:
    return PlannedRequest("GET", "/", "/", status, stages=(("purchase", stage),) if stage else ())


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan_visitors(7, 500) == plan_visitors(7, 500)


def test_another_seed_gives_another_plan() -> None:
    assert plan_visitors(7, 500) != plan_visitors(8, 500)


@pytest.mark.parametrize("requests", [1, 2, 13, 200, 2000])
def test_the_plan_has_exactly_as_many_requests_as_were_asked_for(requests: int) -> None:
    visitors = plan_visitors(DEFAULT_SEED, requests)

    assert measure(visitors).requests == requests


def test_no_plan_is_made_for_no_requests() -> None:
    with pytest.raises(ValueError, match="requests is 0, expected at least 1"):
        plan_visitors(DEFAULT_SEED, 0)


def test_every_way_of_counting_requests_adds_up_to_all_of_them() -> None:
    truth = measure(plan_visitors(DEFAULT_SEED, DEFAULT_REQUESTS))

    counts = (
        truth.requests_by_agent,
        truth.requests_by_browser,
        truth.requests_by_address,
        truth.requests_by_route,
        truth.requests_by_status,
        truth.requests_by_method,
    )

    assert [count.total() for count in counts] == [DEFAULT_REQUESTS] * len(counts)


def test_every_way_of_counting_visits_adds_up_to_all_of_them() -> None:
    truth = measure(plan_visitors(DEFAULT_SEED, DEFAULT_REQUESTS))

    assert truth.visits_by_agent.total() == truth.visits_by_campaign.total() == truth.visits
    assert truth.confirmed_visits < truth.visits
    assert truth.visitors < truth.visits


def test_a_short_plan_shows_everything_once() -> None:
    truth = measure(plan_visitors(DEFAULT_SEED, 200))

    assert {200, 302, 404, 500} <= truth.requests_by_status.keys()
    assert {"GET", "POST", "HEAD"} <= truth.requests_by_method.keys()
    assert truth.bot_requests
    assert truth.requests_without_visit
    assert truth.app_events["order_placed"]
    assert any(":" in address for address in truth.requests_by_address)
    assert any("." in address for address in truth.requests_by_address)


def test_visitors_are_lost_at_every_stage_of_the_purchase() -> None:
    stages = measure(plan_visitors(DEFAULT_SEED, DEFAULT_REQUESTS)).stage_visits["purchase"]

    assert stages == sorted(set(stages), reverse=True)
    assert stages[-1] > 0


def test_the_stages_are_those_of_the_funnel_file() -> None:
    funnels = load_funnels(FUNNELS_FILE)

    assert {funnel.name: tuple(stage.name for stage in funnel.stages) for funnel in funnels} == FUNNELS


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: f"{agent.browser} on {agent.os}")
def test_every_agent_is_labelled_as_the_parser_reads_it(agent: Agent) -> None:
    parsed = ua_parser.parse(agent.text)

    assert parsed.user_agent is not None
    assert parsed.user_agent.family == agent.browser
    assert (parsed.os.family if parsed.os else "unknown") == agent.os
    assert describe_user_agent(agent.text)["usage.device.type"] == agent.device_type


def test_an_order_passes_every_stage() -> None:
    truth = measure([build_visitor(buy_everything(Random(1)))])

    assert truth.stage_visits["purchase"] == [1, 1, 1, 1, 1]


def test_a_product_seen_before_the_shop_is_no_step_forward() -> None:
    truth = measure([build_visitor([request("product"), request("shop")])])

    assert truth.stage_visits["purchase"] == [1, 0, 0, 0, 0]


def test_a_visit_that_never_saw_the_shop_enters_no_funnel() -> None:
    only_product = land_on_product(Random(2))[:1]

    truth = measure([build_visitor(only_product)])

    assert truth.stage_visits["purchase"] == [0, 0, 0, 0, 0]
    assert truth.stage_events == 1


def test_who_refuses_cookies_is_a_new_visitor_with_each_request() -> None:
    truth = measure([build_visitor([request(), request(), request()], keeps_cookies=False)])

    assert (truth.visits, truth.visitors, truth.confirmed_visits) == (3, 3, 0)


def test_who_returns_is_one_visitor_with_two_visits() -> None:
    truth = measure([build_visitor([request(), request()], [request()])])

    assert (truth.visits, truth.visitors, truth.confirmed_visits) == (2, 1, 1)


def test_who_opts_out_has_requests_and_no_visit() -> None:
    truth = measure([build_visitor([request("shop"), request("product")], opts_out=True)])

    assert (truth.requests, truth.requests_without_visit, truth.visits) == (2, 2, 0)
    assert truth.stage_visits["purchase"][0] == 0


def test_a_robot_enters_no_funnel_though_it_reaches_stages() -> None:
    truth = measure([build_visitor([request("shop")], agent=CRAWLERS[0], keeps_cookies=False)])

    assert truth.stage_visits["purchase"][0] == 0
    assert truth.visits_by_stage == {("purchase", "shop"): 1}
