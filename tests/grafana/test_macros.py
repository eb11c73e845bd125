"""Queries become what Grafana and the data source would send, and a hostile value stays a text in ClickHouse."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.grafana.macros import TimeRange, expand, expand_macros, expand_rule
from tests.grafana.variables import Choice, UnknownName, glob, interpolate

HOSTILE = (
    "a' OR 1=1 --",
    "a\\' OR 1=1 --",
    'a" OR "',
    "a\\",
    "a, b) OR (1=1",
    "$__timeFilter(now())",
    "${service}",
    "{a,b}%27 +&=",
    "tab\tnew\nline\0nul",
    "наша-служба 🛒",
)
DAY = TimeRange(
    datetime(2026, 3, 10, tzinfo=timezone.utc),
    datetime(2026, 3, 11, tzinfo=timezone.utc),
    timedelta(minutes=5),
)
SHOP = {"service": Choice("shop")}
TWO = {"service": Choice(("shop", "blog"))}
EVERY = {"service": Choice(("shop", "blog"), is_all=True)}
OWN_ALL = {"service": Choice(("shop",), is_all=True, custom_all="any")}


@pytest.mark.parametrize(
    ("sql", "expanded"),
    [
        ("$__timeFilter(t)", "t >= toDateTime(1773100800) AND t <= toDateTime(1773187200)"),
        (
            "$__timeFilter_ms(t)",
            "t >= fromUnixTimestamp64Milli(1773100800000) AND t <= fromUnixTimestamp64Milli(1773187200000)",
        ),
        ("$__dateFilter(d)", "d >= toDate('2026-03-10') AND d <= toDate('2026-03-11')"),
        (
            "$__dateTimeFilter(d, t)",
            "(d >= toDate('2026-03-10') AND d <= toDate('2026-03-11'))"
            " AND (t >= toDateTime(1773100800) AND t <= toDateTime(1773187200))",
        ),
        ("[$__fromTime, $__toTime]", "[toDateTime(1773100800), toDateTime(1773187200)]"),
        ("$__fromTime_ms", "fromUnixTimestamp64Milli(1773100800000)"),
        ("$__toTime_ms", "fromUnixTimestamp64Milli(1773187200000)"),
        ("$__timeInterval(t)", "toStartOfInterval(toDateTime(t), INTERVAL 300 second)"),
        (
            "$__timeInterval_ms(toTimeZone(t, 'UTC'))",
            "toStartOfInterval(toDateTime64(toTimeZone(t, 'UTC'), 3), INTERVAL 300000 millisecond)",
        ),
        ("$__interval_s", "300"),
        ("$__interval ${__interval_ms}", "300s 300000"),
        ("$__from ${__to} $__range_s", "1773100800000 1773187200000 86400"),
        ("has(['$__all'], x)", "has(['$__all'], x)"),
    ],
)
def test_a_macro_becomes_what_the_data_source_writes(sql: str, expanded: str) -> None:
    assert expand(sql, {}, DAY) == expanded


def test_an_interval_below_a_second_becomes_one_second() -> None:
    short = TimeRange(DAY.start, DAY.end, timedelta(milliseconds=200))

    assert expand("$__interval_s $__interval_ms", {}, short) == "1 200"


@pytest.mark.parametrize(
    ("text", "choices", "written"),
    [
        pytest.param("$service", SHOP, "shop", id="one value, as it is"),
        pytest.param("$service", TWO, "'shop','blog'", id="several values, quoted and not escaped"),
        pytest.param("${service:csv}", TWO, "shop,blog", id="csv"),
        pytest.param("${service:raw}", TWO, "shop,blog", id="raw"),
        pytest.param("${service:pipe}", TWO, "shop|blog", id="pipe"),
        pytest.param("${service:json}", TWO, '["shop","blog"]', id="json of several"),
        pytest.param("${service:json}", SHOP, "shop", id="json of one is no JSON"),
        pytest.param("${service:singlequote}", {"service": Choice("a'b")}, "'a\\'b'", id="singlequote"),
        pytest.param("${service:doublequote}", {"service": Choice('a"b')}, '"a\\"b"', id="doublequote"),
        pytest.param("${service:sqlstring}", {"service": Choice("a'b\"")}, "'a''b\\\"'", id="sqlstring"),
        pytest.param(
            "${service:percentencode}", {"service": Choice("a'(b)!")}, "a%27%28b%29%21", id="percent"
        ),
        pytest.param("${service:percentencode}", TWO, "%7Bshop%2Cblog%7D", id="percent of several"),
        pytest.param("${service:queryparam}", TWO, "var-service=shop&var-service=blog", id="queryparam"),
        pytest.param("${service:queryparam}", EVERY, "var-service=$__all", id="queryparam of all"),
        pytest.param("${service:sqlstring}", EVERY, "'shop','blog'", id="all without a text of its own"),
        pytest.param("${service:sqlstring}", OWN_ALL, "any", id="all with a text of its own, in no format"),
    ],
)
def test_a_variable_is_written_in_its_format(text: str, choices: dict[str, Choice], written: str) -> None:
    assert expand(text, choices, DAY) == written


def test_outside_of_queries_several_values_stand_in_braces() -> None:
    assert interpolate("Visits of $service", TWO, default=glob) == "Visits of {shop,blog}"


@pytest.mark.parametrize(
    ("choice", "condition"),
    [
        pytest.param(Choice("shop"), "s IN ('shop')", id="one"),
        pytest.param(Choice(("shop",), is_all=True), "1=1", id="all"),
        pytest.param(Choice("$__all"), "1=1", id="all by its name"),
        pytest.param(Choice(""), "1=1", id="empty"),
    ],
)
def test_a_condition_falls_away_when_all_is_chosen(choice: Choice, condition: str) -> None:
    sql = "SELECT $__conditionalAll(s IN (${service:sqlstring}), $service)"

    assert expand(sql, {"service": choice}, DAY) == f"SELECT {condition}"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("$__timefilter(t)", "is no macro"),
        ("${__interval_min}", "is no macro"),
        ("$servcie", "names nothing, expected one of"),
        ("${service:sqlstr}", "sqlstr is no format"),
        ("${service.text}", "asks for a field"),
        ("[[service]]", "old syntax"),
        ("$__timeFilter(a, b)", "has 2 arguments, expected 1"),
        ("$__timeFilter", "has 0 arguments, expected 1"),
        ("$__timeFilter(t", "a bracket is open"),
        ("$__conditionalAll(a)", "has 1 arguments, expected 2"),
        ("$__conditionalAll(a, $other)", "which is no variable"),
        ("$__conditionalAll(a = ',', $service)", "splits the arguments"),
    ],
)
def test_a_slip_in_a_query_is_an_error(sql: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expand(sql, SHOP, DAY)


@pytest.mark.parametrize("sql", ["$service", "${service}", "$__from", "$__conditionalAll(a, $b)"])
def test_an_alert_rule_has_no_variables(sql: str) -> None:
    with pytest.raises(UnknownName):
        expand_rule(sql, DAY)


def test_the_back_end_leaves_a_macro_that_only_a_value_holds() -> None:
    assert expand_macros("'$__nothing'", DAY) == "'$__nothing'"


@pytest.mark.parametrize("value", HOSTILE)
def test_percent_encoding_brings_any_value_unchanged_into_clickhouse(usage: ClickHouse, value: str) -> None:
    sql = expand("SELECT decodeURLComponent('${service:percentencode}')", {"service": Choice(value)}, DAY)

    assert usage.query(sql).rows == [(value,)]


@pytest.mark.parametrize("format_name", ["sqlstring", "singlequote"])
def test_the_quoting_formats_of_grafana_do_not_hold_in_clickhouse(
    usage: ClickHouse, format_name: str
) -> None:
    template = f"SELECT 1 WHERE 'shop' = ${{service:{format_name}}}"

    sql = expand(template, {"service": Choice("\\' OR 1=1 -- ")}, DAY)

    assert usage.query(sql).rows == [(1,)]
