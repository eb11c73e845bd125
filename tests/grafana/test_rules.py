"""The alert rules fire when something is wrong, and only then; asked as Grafana asks, on data with known faults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from otel_usage import attributes as names
from otel_usage.clickhouse import ClickHouse
from otel_usage.model import Event
from otel_usage.reports import ReportParameters, run_report
from tests.builders import build_event, build_stage, insert_events
from tests.grafana.rules import evaluate, firing, read_rules, rule_named

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=timezone.utc)
DROP = rule_named("otel-usage-conversion-drop")
SILENT = rule_named("otel-usage-silent")
REJECTED = rule_named("otel-usage-rejected")
DOUBLED = rule_named("otel-usage-doubled")
LAST_HOURS = timedelta(hours=2)


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def visits(
    entered: datetime, reached: tuple[int, ...], *, funnel: str = "buy", service: str = "shop"
) -> Iterator[Event]:
    """Yield the stages of visits that entered within a minute of each other; `reached[k]` of them came to stage k + 1."""
    for number in range(reached[0]):
        visit = f"{service} {funnel} {entered} {number}"
        start = entered + timedelta(milliseconds=50 * number)
        for place, count in enumerate(reached, 1):
            if number < count:
                moment = at(start + timedelta(minutes=place))
                yield build_stage(place, moment, visit=visit, funnel=funnel, service=service)


def week(reached: tuple[int, ...], **names_: str) -> list[Event]:
    """Return the visits of the same hour on each of the 7 days before."""
    days = (NOW - LAST_HOURS - timedelta(days=days) for days in range(1, 8))
    return [event for entered in days for event in visits(entered, reached, **names_)]


def today(reached: tuple[int, ...], **names_: str) -> list[Event]:
    return list(visits(NOW - LAST_HOURS, reached, **names_))


def test_nothing_fires_in_an_empty_database(usage: ClickHouse) -> None:
    assert [evaluate(rule, usage, NOW) for rule in read_rules()] == [[]] * len(read_rules())


def test_a_drop_in_conversion_fires_for_the_stage_that_is_not_reached(usage: ClickHouse) -> None:
    insert_events(usage, [*week((200, 100, 50)), *today((200, 100, 15))])

    assert firing(DROP, usage, NOW) == [{"service_name": "shop", "funnel": "buy", "stage": "stage 3"}]


def test_a_stage_that_nobody_reaches_any_more_fires(usage: ClickHouse) -> None:
    insert_events(usage, [*week((200, 100)), *today((200,))])

    (alert,) = evaluate(DROP, usage, NOW)
    assert (alert.labels["stage"], alert.value, alert.is_firing) == ("stage 2", 1.0, True)


def test_the_drop_is_the_part_of_the_share_that_was_lost(usage: ClickHouse) -> None:
    insert_events(usage, [*week((200, 100)), *today((200, 40))])

    (alert,) = evaluate(DROP, usage, NOW)
    assert alert.value == pytest.approx(1 - (40 / 200) / (100 / 200))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param((200, 100, 50), (200, 100, 50), id="as ever"),
        pytest.param((200, 100, 50), (150, 100, 70), id="better than ever"),
        pytest.param((200, 100), (200, 85), id="a little worse"),
        pytest.param((200, 100), (90, 10), id="too few now"),
        pytest.param((14, 7), (200, 10), id="too few before"),
        pytest.param((200, 6), (110, 1), id="by chance"),
        pytest.param((200, 0), (200, 0), id="never anybody"),
        pytest.param((200, 200), (200, 200), id="always everybody"),
        pytest.param((200, 100), (0,), id="no visits at all"),
    ],
)
def test_a_conversion_that_is_no_worse_or_not_surely_so_does_not_fire(
    usage: ClickHouse, before: tuple[int, ...], now: tuple[int, ...]
) -> None:
    insert_events(usage, [*week(before), *today(now)])

    assert firing(DROP, usage, NOW) == []


def test_each_funnel_and_service_is_held_against_its_own_past(usage: ClickHouse) -> None:
    events = [
        *week((200, 100)),
        *today((200, 20)),
        *week((200, 20), service="blog"),
        *today((200, 20), service="blog"),
    ]
    insert_events(usage, [*events, *week((200, 100), funnel="join"), *today((200, 100), funnel="join")])

    assert firing(DROP, usage, NOW) == [{"service_name": "shop", "funnel": "buy", "stage": "stage 2"}]


def test_visits_that_had_no_time_yet_are_held_against_others_at_the_same_point(usage: ClickHouse) -> None:
    # All of them need an hour for stage 2, also on the days before; those that just came are not there yet.
    events = []
    for days in range(8):
        for minutes in (100, 20):
            entered = NOW - timedelta(days=days, minutes=minutes)
            for number in range(200):
                visit = f"{days} {minutes} {number}"
                events += [build_stage(1, at(entered), visit=visit)]
                if days or minutes > 60:
                    events += [build_stage(2, at(entered + timedelta(hours=1)), visit=visit)]
    insert_events(usage, events)

    (alert,) = evaluate(DROP, usage, NOW)
    assert (alert.value, alert.is_firing) == (0.0, False)


def test_robots_do_not_hide_a_drop(usage: ClickHouse) -> None:
    robots = [
        build_stage(place, at(NOW - LAST_HOURS), visit=f"robot {number}", is_bot=True)
        for number in range(500)
        for place in (1, 2)
    ]
    insert_events(usage, [*week((200, 100)), *today((200, 20)), *robots])

    assert [labels["stage"] for labels in firing(DROP, usage, NOW)] == ["stage 2"]


def test_the_visits_that_the_rule_compares_are_those_of_the_report(usage: ClickHouse) -> None:
    insert_events(usage, [*week((210, 105, 50)), *today((200, 40, 1))])
    shares = []
    for first in (NOW.date(), NOW.date() - timedelta(days=7)):
        since = datetime.combine(first, datetime.min.time(), timezone.utc)
        until = since + timedelta(days=1 if first == NOW.date() else 7)
        result = run_report(usage, "funnel", ReportParameters(since, until, service="shop"))
        came = [row[result.columns.index("visits")] for row in result.rows]
        shares.append(came[1] / came[0])

    alert = evaluate(DROP, usage, NOW)[0]

    assert alert.value == pytest.approx(1 - shares[0] / shares[1])


def requests(begin: datetime, count: int, *, service: str = "shop") -> list[Event]:
    return [build_event(at=at(begin + timedelta(seconds=number)), service=service) for number in range(count)]


QUARTER = timedelta(minutes=15)
WEEK_AGO = NOW - QUARTER - timedelta(days=7)
DAY_AGO = NOW - QUARTER - timedelta(days=1)
LONG_AGO = NOW - timedelta(days=20)


@pytest.mark.parametrize(
    ("when", "missing"),
    [
        pytest.param((WEEK_AGO, LONG_AGO), 50.0, id="as a week ago"),
        pytest.param((DAY_AGO, NOW - timedelta(days=3)), 50.0, id="as yesterday, the first days"),
        pytest.param((NOW - 2 * QUARTER, NOW - 3 * QUARTER), 50.0, id="as just now, the first day"),
    ],
)
def test_a_service_that_falls_silent_fires(
    usage: ClickHouse, when: tuple[datetime, ...], missing: float
) -> None:
    insert_events(usage, [event for begin in when for event in requests(begin, 50)])

    (alert,) = evaluate(SILENT, usage, NOW)
    assert (alert.labels, alert.value, alert.is_firing) == ({"service_name": "shop"}, missing, True)


@pytest.mark.parametrize(
    "when",
    [
        pytest.param((WEEK_AGO, LONG_AGO, NOW - QUARTER), id="events come"),
        pytest.param((DAY_AGO, LONG_AGO), id="always silent on this day of the week"),
        pytest.param((NOW - 2 * QUARTER, LONG_AGO), id="closed every day at this hour"),
        pytest.param((LONG_AGO,), id="gone for good"),
    ],
)
def test_a_service_that_is_not_expected_to_speak_does_not_fire(
    usage: ClickHouse, when: tuple[datetime, ...]
) -> None:
    insert_events(usage, [event for begin in when for event in requests(begin, 50)])

    assert firing(SILENT, usage, NOW) == []


def test_a_few_missing_events_are_no_silence(usage: ClickHouse) -> None:
    insert_events(usage, [*requests(LONG_AGO, 1), *requests(WEEK_AGO, 20)])

    assert [(alert.value, alert.is_firing) for alert in evaluate(SILENT, usage, NOW)] == [(20.0, False)]


def test_one_silent_service_is_told_from_others_that_speak(usage: ClickHouse) -> None:
    both = [event for service in ("shop", "blog") for event in requests(WEEK_AGO, 50, service=service)]
    both += [event for service in ("shop", "blog") for event in requests(LONG_AGO, 1, service=service)]
    insert_events(usage, [*both, *requests(NOW - QUARTER, 1, service="blog")])

    assert firing(SILENT, usage, NOW) == [{"service_name": "shop"}]


def test_a_rejected_event_fires_with_its_reason(usage: ClickHouse) -> None:
    # The table forgets what is older than 90 days, so here it is the present.
    now = datetime.now(timezone.utc)
    for hours, reason in ((0.5, "no_object"), (2, "other")):
        moment = at(now - timedelta(hours=hours))
        usage.command(f"INSERT INTO rejected_events VALUES ('{moment}', '{reason}', '1', '{{}}')")

    report = run_report(usage, "rejected", ReportParameters(now - timedelta(hours=1), now))

    assert firing(REJECTED, usage, now) == [{"reason": "no_object"}]
    assert [row[report.columns.index("reason")] for row in report.rows] == ["no_object"]


def test_a_batch_that_came_twice_in_another_shape_fires(usage: ClickHouse) -> None:
    events = requests(NOW - QUARTER, 30)
    insert_events(usage, events)
    insert_events(usage, events[:10])
    insert_events(usage, requests(NOW - QUARTER, 5, service="blog"))

    alerts = evaluate(DOUBLED, usage, NOW)

    assert [(alert.labels["service_name"], alert.value, alert.is_firing) for alert in alerts] == [
        ("blog", 0.0, False),
        ("shop", 10.0, True),
    ]
    report = run_report(usage, "accounting", ReportParameters(NOW - timedelta(hours=2), NOW, service="shop"))
    assert sum(row[report.columns.index("duplicates")] for row in report.rows) == 10


def test_a_batch_that_came_twice_as_it_was_does_not_fire(usage: ClickHouse) -> None:
    events = requests(NOW - QUARTER, 30)
    token = insert_events(usage, events)
    insert_events(usage, events, token)

    assert firing(DOUBLED, usage, NOW) == []


def test_stage_events_are_the_only_ones_that_the_drop_reads(usage: ClickHouse) -> None:
    insert_events(usage, [build_event(names.OBJECT_VIEWED, at(NOW - LAST_HOURS), visit="one")])

    assert evaluate(DROP, usage, NOW) == []
