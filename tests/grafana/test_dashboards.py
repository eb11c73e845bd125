"""The dashboards are what the generator writes, say how their numbers are counted, and take each from a report."""

from __future__ import annotations

import re
import sys

import pytest

from collector_config.grafana.__main__ import main
from otel_usage.cli import cli
from otel_usage.reports import REPORTS
from tests.grafana.dashboards import DASHBOARDS, Dashboard, Panel, read_dashboards

ALL = read_dashboards()
each_dashboard = pytest.mark.parametrize("dashboard", ALL, ids=lambda dashboard: dashboard.path.stem)

PARAMETER = re.compile(r"(?<!\$)\{\w+:[^{}]*\}")
REPORT = re.compile(r"^/\* otel_usage report (\w+) \*/\nSELECT ", re.MULTILINE)
VARIABLE = re.compile(r"\$\{?(?!__)(\w+)[^}]*\}?")
SUMMED = re.compile(r"\b(?:sum|max|argMax)\(")
ENCODED = re.compile(r"decodeURLComponent\('\$\{(\w+):percentencode\}'\)")


def shown(dashboard: Dashboard) -> list[Panel]:
    """Return the panels that are no titles of rows."""
    return [panel for panel in dashboard.panels if panel.type != "row"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's Foundation SDK needs Python 3.11")
def test_the_files_are_what_the_generator_writes() -> None:
    from collector_config.grafana.generate import texts

    written = {path.name: path.read_text("utf-8") for path in DASHBOARDS.glob("*.json")}

    assert written == texts(), "run `python -m collector_config.grafana`"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's Foundation SDK needs Python 3.11")
def test_the_generator_writes_the_same_again() -> None:
    from collector_config.grafana.generate import texts

    assert texts() == texts()


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="Grafana's Foundation SDK is there for this Python")
def test_an_older_python_is_told_what_the_generator_needs() -> None:
    with pytest.raises(SystemExit, match=r"Grafana's Foundation SDK needs 3\.11 or newer"):
        main()


@each_dashboard
def test_a_dashboard_can_be_found_and_left(dashboard: Dashboard) -> None:
    assert re.fullmatch(r"otel-usage-[a-z]{1,29}", dashboard.uid)
    assert dashboard.path.stem == dashboard.uid
    assert dashboard.content["tags"] == ["otel_usage"]
    assert [(link["type"], link["tags"]) for link in dashboard.content["links"]] == [
        ("dashboards", ["otel_usage"])
    ]


@each_dashboard
def test_every_panel_says_what_it_shows_and_how_it_is_counted(dashboard: Dashboard) -> None:
    for panel in shown(dashboard):
        assert panel.title
        assert len(panel.content["description"]) > 20, panel.title
        assert panel.content["fieldConfig"]["defaults"]["unit"], panel.title
        assert panel.content["fieldConfig"]["defaults"]["noValue"] == "Nothing in this range", panel.title


@each_dashboard
def test_every_column_of_a_table_has_a_name_for_people_and_a_unit(dashboard: Dashboard) -> None:
    for panel in (panel for panel in shown(dashboard) if panel.type == "table"):
        for override in panel.content["fieldConfig"]["overrides"]:
            names = {part["id"] for part in override["properties"]}
            assert {"displayName", "unit"} <= names, f"{panel.title}: {override['matcher']['options']}"


@each_dashboard
def test_a_panel_of_whole_days_says_so_and_no_other_does(dashboard: Dashboard) -> None:
    for panel in shown(dashboard):
        takes_days = any("toDate($__fromTime_ms, 'UTC')" in query.sql for query in panel.queries)
        assert takes_days == ("hole days in UTC" in panel.content["description"]), panel.title


@each_dashboard
def test_what_is_summed_or_put_into_another_order_misses_no_row_of_its_report(dashboard: Dashboard) -> None:
    for panel in shown(dashboard):
        for query in panel.queries:
            head, tail = query.sql.split("\n(", 1)[0], query.sql.rsplit("\n)", 1)[1]
            if SUMMED.search(head) or "ORDER BY" in tail and "LIMIT" in tail:
                limits = re.findall(r"^LIMIT (\d+)$", query.sql.rsplit("\n)", 1)[0], re.MULTILINE)
                assert limits[-1] == "1000000", panel.title


@each_dashboard
def test_every_panel_asks_a_report(dashboard: Dashboard) -> None:
    for panel in shown(dashboard):
        for query in panel.queries:
            asked = REPORT.findall(query.sql)
            assert len(asked) == 1, panel.title
            assert asked[0] in REPORTS, panel.title


@each_dashboard
def test_no_parameter_of_a_report_is_left_open(dashboard: Dashboard) -> None:
    for query in dashboard.queries:
        assert not PARAMETER.search(query.sql), query.place
        assert "--" not in query.sql, query.place
        assert ";" not in query.sql, query.place


@each_dashboard
def test_variables_stand_in_queries_in_the_form_that_nothing_breaks_out_of(dashboard: Dashboard) -> None:
    for query in dashboard.queries:
        safe = ENCODED.findall(query.sql)
        assert set(safe) <= set(dashboard.variables), query.place
        assert VARIABLE.findall(ENCODED.sub("", query.sql)) == [], query.place


@each_dashboard
def test_robots_are_left_out_at_first_where_they_can_be(dashboard: Dashboard) -> None:
    bots = dashboard.variables.get("bots")

    assert bots is None or bots["current"]["value"] == "without"


@each_dashboard
def test_the_grid_is_filled_from_left_to_right(dashboard: Dashboard) -> None:
    lines: dict[int, int] = {}
    for panel in dashboard.panels:
        place = panel.content["gridPos"]
        lines[place["y"]] = lines.get(place["y"], 0) + place["w"]

    assert set(lines.values()) == {24}


def test_every_command_that_is_advised_exists() -> None:
    rules = (DASHBOARDS.parent / "provisioning" / "alerting" / "otel_usage.yaml").read_text("utf-8")
    texts = [rules, *(dashboard.path.read_text("utf-8") for dashboard in ALL)]
    advised = {command for text in texts for command in re.findall(r"`otel-usage ([a-z-]+)", text)}

    assert advised
    assert advised - cli.commands.keys() == set()
