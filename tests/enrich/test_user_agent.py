from __future__ import annotations

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.enrich.user_agent import describe_user_agent, find_bot_name, read_user_agent
from otel_usage.model import NO_SPAN, AttributeValue, Event
from tests.enrich.agents import AGENTS, Agent


def build(**attributes: AttributeValue) -> Event:
    return Event("request", 1, 2, bytes(16), bytes(8), NO_SPAN, "shop", attributes)


@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
def test_an_agent_is_described(agent: Agent) -> None:
    found = describe_user_agent(agent.text)

    assert found[names.BROWSER] == agent.browser
    assert found[names.OS] == agent.os
    assert found[names.DEVICE_TYPE] == agent.device
    assert found.get(names.BROWSER_VERSION, "") == agent.version


@pytest.mark.parametrize(
    "name", [name for name, agent in AGENTS.items() if agent.device not in ("bot", "unknown")]
)
def test_people_are_no_robots(name: str) -> None:
    assert names.SYNTHETIC_TYPE not in describe_user_agent(AGENTS[name].text)


def test_every_known_robot_is_found() -> None:
    instances = [text for entry in CRAWLER_USER_AGENTS_DATA for text in entry.get("instances", ())]
    assert len(instances) > 1000

    missed = [text for text in instances if describe_user_agent(text).get(names.SYNTHETIC_TYPE) != "bot"]

    assert missed == []


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bingbot"),
        ("curl/8.7.1", "curl"),
        ("", ""),
        ("Mozilla/5.0", ""),
    ],
)
def test_a_robot_is_named_as_it_names_itself(agent: str, name: str) -> None:
    assert find_bot_name(agent) == name


def test_a_robots_name_is_bounded() -> None:
    assert all(
        len(describe_user_agent(entry["pattern"]).get(names.BOT_NAME, "")) <= 64  # type: ignore[arg-type]
        for entry in CRAWLER_USER_AGENTS_DATA
    )


@pytest.mark.parametrize("agent", [None, 7, ["curl"], True])
def test_an_agent_that_is_no_text_is_unknown(agent: AttributeValue) -> None:
    assert read_user_agent(build(**{names.USER_AGENT: agent}))[names.BROWSER] == "unknown"


def test_a_request_without_an_agent_is_a_robots() -> None:
    found = read_user_agent(build(**{names.USER_AGENT: ""}))

    assert (found[names.SYNTHETIC_TYPE], found[names.BOT_NAME]) == ("bot", "no user agent")


def test_an_event_that_no_request_made_is_not_a_robots() -> None:
    assert names.SYNTHETIC_TYPE not in read_user_agent(build())


def test_megabytes_of_agent_are_cut_before_they_are_kept() -> None:
    found = read_user_agent(build(**{names.USER_AGENT: "Firefox/127.0 " + "x" * 10_000_000}))

    assert found[names.BROWSER] == "Firefox"


@pytest.mark.parametrize("text", ["Firefox/127.0 \ud800", "Firefox/127.0 \0", "Firefox/127.0 \u202e漢😀"])
def test_an_agent_that_is_no_valid_text_is_described_all_the_same(text: str) -> None:
    assert read_user_agent(build(**{names.USER_AGENT: text}))[names.BROWSER] == "Firefox"


def test_what_one_event_gets_does_not_reach_another() -> None:
    first = enrich(build(**{names.USER_AGENT: "curl/8.7.1"}))
    first.attributes[names.BROWSER] = "changed"

    assert enrich(build(**{names.USER_AGENT: "curl/8.7.1"})).attributes[names.BROWSER] == "curl"
