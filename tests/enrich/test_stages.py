from __future__ import annotations

import hashlib

import pytest

from otel_usage import attributes as names
from otel_usage.enrich.stages import StageMatcher
from otel_usage.model import NO_SPAN, AttributeValue, Event
from otel_usage.reports.funnels import Funnel, Stage

BUY = Funnel(
    "buy",
    (
        Stage("product", 1, routes=("/item/<int:number>",)),
        Stage("cart", 2, paths=("/cart", "/basket")),
        Stage("order", 3, events=("order_placed",)),
    ),
)
HELP = Funnel("help", (Stage("cart", 1, paths=("/cart",)), Stage("asked", 2, events=("asked",))))

FRAGMENT = "usage.property.fragment"


def build(name: str = names.REQUEST, /, **attributes: AttributeValue) -> Event:
    given: dict[str, AttributeValue] = {names.STATUS_CODE: 200, names.VISIT_KEY: "ab" * 16, **attributes}
    return Event(name, 10, 20, b"t" * 16, b"s" * 8, NO_SPAN, "shop", given)


def reached(event: Event, *funnels: Funnel) -> list[tuple[str, str, int]]:
    return [
        (
            str(stage.attributes[names.FUNNEL]),
            str(stage.attributes[names.STAGE]),
            int(stage.attributes[names.STAGE_INDEX]),  # type: ignore[arg-type]
        )
        for stage in StageMatcher(funnels).stages_reached(event)
    ]


@pytest.mark.parametrize(
    ("event", "stages"),
    [
        (build(**{names.ROUTE: "/item/<int:number>", names.PATH: "/item/7"}), [("buy", "product", 1)]),
        (build(**{names.PATH: "/basket"}), [("buy", "cart", 2)]),
        (build(**{names.PATH: "/cart"}), [("buy", "cart", 2), ("help", "cart", 1)]),
        (build("order_placed"), [("buy", "order", 3)]),
        (build("asked"), [("help", "asked", 2)]),
        (build(**{names.PATH: "/cart/"}), []),
        (build(**{names.PATH: "/about"}), []),
        (build("order_placed_twice"), []),
        (build("order_placed", **{names.PATH: "/cart"}), [("buy", "order", 3)]),
    ],
)
def test_stages_are_matched_by_path_route_and_event(event: Event, stages: list[tuple[str, str, int]]) -> None:
    assert reached(event, BUY, HELP) == stages


@pytest.mark.parametrize(
    ("written", "route", "is_reached"),
    [
        ("/item/<int:number>", "item/<int:number>", True),
        ("item/<int:number>", "/item/<int:number>", True),
        ("/", "/", True),
        ("/", "", False),
        ("/item", "//item", False),
    ],
)
def test_a_slash_in_front_of_a_route_makes_no_difference(written: str, route: str, is_reached: bool) -> None:
    funnel = Funnel("buy", (Stage("product", 1, routes=(written,)),))

    assert bool(reached(build(**{names.ROUTE: route}), funnel)) is is_reached


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (200, True),
        (204, True),
        (302, True),
        (399, True),
        (400, False),
        (404, False),
        (500, False),
        ("200", False),
        (None, False),
    ],
)
def test_a_request_counts_when_it_was_answered_without_an_error(status: AttributeValue, counts: bool) -> None:
    event = build(**{names.PATH: "/cart", names.STATUS_CODE: status})

    assert bool(reached(event, BUY)) == counts


def test_a_stage_that_matches_in_two_ways_is_reached_once() -> None:
    both = Funnel("both", (Stage("home", 1, paths=("/",), routes=("/",)), Stage("end", 2, events=("end",))))

    assert reached(build(**{names.PATH: "/", names.ROUTE: "/"}), both) == [("both", "home", 1)]


def test_a_stage_event_reaches_no_further_stage() -> None:
    loop = Funnel("loop", (Stage("a", 1, events=(names.STAGE_REACHED,)), Stage("b", 2)))

    assert reached(build(names.STAGE_REACHED), loop) == []


def test_a_stage_event_is_derived_from_its_source() -> None:
    source = build(**{names.PATH: "/cart", names.USER_ID: "7", names.BROWSER: "Firefox", names.QUERY: "q=1"})

    (stage,) = StageMatcher([BUY]).stages_reached(source)

    identity = b"\0".join((source.trace_id, source.span_id, b"buy", b"cart"))
    assert stage.name == names.STAGE_REACHED
    assert stage.span_id == hashlib.sha256(identity).digest()[:8]
    assert stage.trace_id == source.trace_id
    assert stage.parent_span_id == source.span_id
    assert (stage.timestamp_ns, stage.duration_ns) == (source.timestamp_ns, 0)
    assert stage.attributes == {
        names.EVENT_NAME: names.STAGE_REACHED,
        names.VISIT_KEY: "ab" * 16,
        names.USER_ID: "7",
        names.BROWSER: "Firefox",
        names.FUNNEL: "buy",
        names.STAGE: "cart",
        names.STAGE_INDEX: 2,
    }


def test_no_two_stages_of_one_source_have_one_id() -> None:
    stages = StageMatcher([BUY, HELP]).stages_reached(build(**{names.PATH: "/cart"}))

    assert len({stage.id for stage in stages}) == 2


def test_signed_in_users_reach_a_stage_unless_they_are_ignored() -> None:
    signed_in = build(**{names.PATH: "/cart", names.USER_ID: "ann"})
    anonymous = build(**{names.PATH: "/cart"})

    assert StageMatcher([BUY]).stages_reached(signed_in)
    assert StageMatcher([BUY], ignores_users=True).stages_reached(signed_in) == []
    assert StageMatcher([BUY], ignores_users=True).stages_reached(anonymous)


@pytest.mark.parametrize(
    ("event", "stages"),
    [
        (build("activity", **{names.PATH: "/cart"}), [("buy", "cart", 2), ("help", "cart", 1)]),
        (build("activity", **{names.PATH: "/app", FRAGMENT: "/pay"}), [("app", "pay", 2)]),
        (build("activity", **{names.PATH: "/app", FRAGMENT: "chapter"}), [("app", "open", 1)]),
        (build("activity", **{names.PATH: "/app"}), []),
        (build("activity", **{names.PATH: "/about"}), []),
        (build("activity"), []),
        (build(**{names.PATH: "/app", FRAGMENT: "/pay"}), []),
        (build("asked", **{names.PATH: "/app"}), [("help", "asked", 2)]),
    ],
)
def test_a_page_that_only_the_browser_knows_reaches_stages_by_its_path(
    event: Event, stages: list[tuple[str, str, int]]
) -> None:
    app = Funnel("app", (Stage("open", 1, paths=("/app#chapter",)), Stage("pay", 2, paths=("/app#/pay",))))

    assert reached(event, BUY, HELP, app) == stages


def test_an_activity_can_be_a_stage_by_its_name() -> None:
    funnel = Funnel("any", (Stage("first", 1, events=("activity",)), Stage("then", 2, paths=("/then",))))

    assert reached(build("activity", **{names.PATH: "/then"}), funnel) == [
        ("any", "then", 2),
        ("any", "first", 1),
    ]
