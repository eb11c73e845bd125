"""Who counts for which stage of a funnel: the truth table of `funnel_stages` and `conversions_daily`."""

from __future__ import annotations

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.builders import build_stage, insert_events, key_of

Steps = list[tuple[int, str]]


def conversions(client: ClickHouse) -> list[tuple[object, ...]]:
    return client.query(
        "SELECT toString(day), stage_index, visits FROM conversions_daily ORDER BY day, stage_index"
    ).rows


def noon(seconds: float) -> str:
    return f"2026-03-10T12:00:{seconds:012.9f}"


@pytest.mark.parametrize(
    ("steps", "level"),
    [
        pytest.param([(1, noon(0))], 1, id="the first stage alone"),
        pytest.param([(1, noon(0)), (2, noon(1)), (3, noon(2))], 3, id="all in order"),
        pytest.param([(3, noon(2)), (2, noon(1)), (1, noon(0))], 3, id="stored in another order"),
        pytest.param([(1, noon(0)), (2, noon(0)), (3, noon(0))], 3, id="at equal times"),
        pytest.param([(1, noon(0)), (2, noon(1e-9))], 2, id="a nanosecond later"),
        pytest.param([(1, noon(1e-9)), (2, noon(0))], 1, id="a nanosecond earlier"),
        pytest.param([(1, noon(0)), (3, noon(2))], 1, id="the middle stage is missing"),
        pytest.param([(2, noon(0)), (3, noon(1))], 0, id="the first stage is missing"),
        pytest.param([(1, noon(5)), (2, noon(1)), (3, noon(6))], 1, id="the second came before the first"),
        pytest.param([(1, noon(0)), (2, noon(5)), (3, noon(4))], 2, id="the third came before the second"),
        pytest.param([(1, noon(0)), (2, noon(1)), (1, noon(2)), (3, noon(3))], 3, id="a stage again"),
        pytest.param([(2, noon(0)), (1, noon(1)), (2, noon(2))], 1, id="only the first time counts"),
        pytest.param([(0, noon(0)), (1, noon(1)), (2, noon(2))], 2, id="a stage that the file does not have"),
        pytest.param([(0, noon(0))], 0, id="only stages that the file does not have"),
        pytest.param(
            [(1, "2026-03-31T23:59:59"), (2, "2026-04-01T00:00:00"), (3, "2026-04-02T00:00:00")], 3, id="over midnights"
        ),
        pytest.param(
            [(1, "2026-03-10T10:00:00"), (1, "2026-03-11T10:00:00"), (2, "2026-03-11T09:00:00")],
            2,
            id="the first time was the day before",
        ),
        pytest.param([(n, noon(n / 10)) for n in range(1, 201)], 200, id="two hundred stages"),
    ],
)  # fmt: skip
def test_a_visit_counts_for_the_stages_it_reached_in_order(
    usage: ClickHouse, steps: Steps, level: int
) -> None:
    insert_events(usage, [build_stage(index, at, visit="v") for index, at in steps])

    assert [row[1:] for row in conversions(usage)] == [(stage, 1) for stage in range(1, level + 1)]


def test_every_stage_counts_on_the_day_of_the_first_one(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-10T23:59:59", visit="v"),
            build_stage(2, "2026-03-12T00:00:00", visit="v"),
            build_stage(1, "2026-03-11T10:00:00", visit="w"),
        ],
    )

    assert conversions(usage) == [("2026-03-10", 1, 1), ("2026-03-10", 2, 1), ("2026-03-11", 1, 1)]


def test_the_share_is_that_of_the_first_stage_of_the_day(usage: ClickHouse) -> None:
    insert_events(usage, [build_stage(1, noon(0), visit=f"v{n}") for n in range(4)])
    insert_events(usage, [build_stage(2, noon(1), visit="v0")])

    rows = usage.query("SELECT stage, visits, share_of_first FROM conversions_daily ORDER BY stage").rows

    assert rows == [("stage 1", 4, 1.0), ("stage 2", 1, 0.25)]


def test_visits_of_robots_are_left_out_of_conversions_and_not_of_the_stages(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, noon(0), visit="robot"),
            build_stage(2, noon(1), visit="robot", is_bot=True),
            build_stage(1, noon(0), visit="person"),
        ],
    )

    assert [row[1:] for row in conversions(usage)] == [(1, 1)]
    assert usage.query("SELECT count(), sum(is_bot) FROM funnel_stages").rows == [(3, 1)]


def test_stages_without_a_visit_are_nobodys_way(usage: ClickHouse) -> None:
    insert_events(usage, [build_stage(1, noon(0), visit="")])

    assert usage.query("SELECT * FROM funnel_stages").rows == []


def test_funnels_and_services_are_counted_apart(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, noon(0), visit="v", funnel="buy"),
            build_stage(2, noon(1), visit="v", funnel="sign_up"),
            build_stage(2, noon(1), visit="v", funnel="buy", service="blog"),
            build_stage(1, noon(0), visit="v", funnel="sign_up", service="blog"),
        ],
    )

    rows = usage.query("SELECT service_name, funnel, stage_index FROM conversions_daily ORDER BY ALL").rows

    assert rows == [("blog", "sign_up", 1), ("shop", "buy", 1)]


def test_a_stage_is_kept_with_the_first_time_and_the_last_user(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, "2026-03-12T08:00:00", visit="v", user_id="ann"),
            build_stage(1, "2026-03-10T08:00:00", visit="v"),
            build_stage(1, "2026-03-11T08:00:00", visit="v", user_id="bob"),
        ],
    )

    rows = usage.query(
        "SELECT funnel, stage, stage_index, service_name, visit_key, user_id, toString(reached_at) FROM funnel_stages"
    ).rows

    assert rows == [("buy", "stage 1", 1, "shop", key_of("v"), "ann", "2026-03-10 08:00:00.000000000")]


def test_a_renamed_stage_goes_on_under_its_latest_name(usage: ClickHouse) -> None:
    insert_events(
        usage,
        [
            build_stage(1, noon(0), visit="v", stage="basket"),
            build_stage(1, noon(1), visit="v", stage="cart"),
            build_stage(1, noon(2), visit="w", stage="cart"),
        ],
    )

    rows = usage.query("SELECT stage, stage_index, visits FROM conversions_daily").rows

    assert rows == [("cart", 1, 2)]
