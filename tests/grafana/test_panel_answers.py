"""The check of panels notices what Grafana would pass over in silence."""

from __future__ import annotations

from typing import Any

import pytest

from otel_usage.clickhouse import QueryResult
from tests.grafana.dashboards import TABLE, TIME_SERIES, TRACES, Panel, linked_dashboards
from tests.grafana.panel_answers import annotation_faults, faults, unnamed

COLUMNS = ("time", "requests")
TYPES = ("DateTime64(3, 'UTC')", "UInt64")
EARLY, LATE = 1, 2


def answer(
    columns: tuple[str, ...] = COLUMNS, types: tuple[str, ...] = TYPES, *rows: tuple[Any, ...]
) -> QueryResult:
    return QueryResult(columns, types, list(rows))


def panel(**content: Any) -> Panel:
    return Panel({"id": 1, "type": "table", "title": "Requests", **content})


def override(name: str) -> dict[str, Any]:
    return {"overrides": [{"matcher": {"id": "byName", "options": name}, "properties": []}]}


def organized(**options: Any) -> list[dict[str, Any]]:
    return [{"id": "organize", "options": options}]


def test_a_panel_that_names_its_columns_has_no_faults() -> None:
    link = {"url": '/d/other?var-path=${__data.fields["requests"]}&x=${__data.fields.time:percentencode}'}
    content = {"fieldConfig": {**override("requests"), "defaults": {"links": [link]}}}

    assert faults(panel(**content, options={"sortBy": [{"displayName": "time"}]}), TABLE, answer()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"fieldConfig": override("request")}, "an override names 'request'", id="override"),
        pytest.param(
            {"fieldConfig": {"defaults": {"links": [{"url": "/x?${__data.fields.path}"}]}}},
            "a link names 'path'",
            id="link",
        ),
        pytest.param(
            {"options": {"sortBy": [{"displayName": "Requests"}]}}, "the options name 'Requests'", id="order"
        ),
        pytest.param(
            {"transformations": organized(renameByName={"hits": "Hits"})},
            "organize names 'hits'",
            id="renamed",
        ),
        pytest.param(
            {"transformations": [{"id": "joinByField", "options": {}}]},
            "joinByField is not one that these tests understand",
            id="unknown transformation",
        ),
        pytest.param(
            {
                "transformations": organized(excludeByName={"requests": True}),
                "fieldConfig": override("requests"),
            },
            "an override names 'requests'",
            id="override of what was taken away",
        ),
    ],
)
def test_a_name_that_no_column_has_is_a_fault(content: dict[str, Any], message: str) -> None:
    (fault,) = faults(panel(**content), TABLE, answer())

    assert message in fault


def test_an_override_names_a_column_by_its_new_name() -> None:
    content = {
        "transformations": organized(renameByName={"requests": "Hits"}),
        "fieldConfig": override("Hits"),
    }

    assert faults(panel(**content), TABLE, answer()) == []


@pytest.mark.parametrize(
    ("result", "message"),
    [
        pytest.param(answer(("day", "n"), ("String", "UInt8")), "needs one column of time", id="no time"),
        pytest.param(
            answer(COLUMNS, ("Date", "Nullable(DateTime)")), "needs one column of time", id="two times"
        ),
        pytest.param(answer(COLUMNS, ("Date", "String")), "needs a number", id="no number"),
        pytest.param(
            answer(COLUMNS, TYPES, (LATE, 1), (EARLY, 1)), "in the order of time", id="not in order"
        ),
    ],
)
def test_an_answer_that_is_no_time_series_is_a_fault(result: QueryResult, message: str) -> None:
    (fault,) = faults(panel(), TIME_SERIES, result)

    assert message in fault


def test_a_time_series_with_labels_may_name_them_in_overrides() -> None:
    labelled = answer(
        ("time", "service", "requests"), ("DateTime", "LowCardinality(Nullable(String))", "Float64")
    )

    assert faults(panel(fieldConfig=override("shop")), TIME_SERIES, labelled) == []


def test_a_trace_without_its_columns_is_a_fault() -> None:
    (fault,) = faults(panel(), TRACES, answer(("traceID", "spanID"), ("String", "String")))

    assert "a trace needs ['duration', 'operationName'" in fault


def test_a_column_that_nobody_named_is_found_in_a_table_and_under_lines() -> None:
    named = {"fieldConfig": override("requests")}

    assert unnamed(panel(**named), TABLE, answer()) == ["the column 'time' has no name for people"]
    assert unnamed(panel(**named, type="timeseries"), TIME_SERIES, answer()) == []
    assert unnamed(panel(type="timeseries"), TIME_SERIES, answer()) == [
        "the column 'requests' has no name for people"
    ]


def test_an_annotation_needs_a_time_and_a_text() -> None:
    assert annotation_faults(answer(("time", "text"), ("DateTime", "String"))) == []
    assert len(annotation_faults(answer(("when", "what"), ("DateTime", "String")))) == 2


def test_links_to_dashboards_are_found_with_their_variables() -> None:
    content = {
        "a": [{"url": "/d/one?var-x=1&var-y=${y:percentencode}&from=2"}],
        "b": "see /d/two for more, not /dd/x",
    }

    assert linked_dashboards(content) == {("one", ("x", "y")), ("two", ())}
