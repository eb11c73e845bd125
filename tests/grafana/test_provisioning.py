"""What Grafana reads at its start has the keys that Grafana knows, names what exists, and holds no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs_tables import ROOT
from tests.grafana.dashboards import DATA_SOURCE_TYPE, DATA_SOURCE_UID, GRAFANA, read_dashboards
from tests.grafana.rules import EXPRESSION, RULES_FILE, Rule, read_rules, seconds

PROVISIONING = GRAFANA / "provisioning"
FILES = sorted(PROVISIONING.rglob("*.yaml"))
SOURCE_FILE = PROVISIONING / "datasources" / "otel_usage.yaml"
FOLDER = "otel_usage"

# github.com/grafana/clickhouse-datasource, pkg/schema/settings.gen.json: what its settings may be called.
SOURCE_SETTINGS = {
    "host",
    "port",
    "protocol",
    "username",
    "defaultDatabase",
    "defaultTable",
    "secure",
    "path",
}
SOURCE_SETTINGS |= {
    "dialTimeout",
    "queryTimeout",
    "connMaxLifetime",
    "maxOpenConns",
    "maxIdleConns",
    "traces",
}
TRACE_SETTINGS = {"defaultDatabase", "defaultTable", "otelEnabled", "otelVersion", "durationUnit"}
# github.com/grafana/grafana, pkg/services/provisioning/alerting/rules_types.go.
GROUP_KEYS = {"orgId", "name", "folder", "interval", "rules"}
RULE_KEYS = {"uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState"}
RULE_KEYS |= {"for", "annotations", "labels"}
DATA_KEYS = {"refId", "datasourceUid", "relativeTimeRange", "model"}
STATES_WITHOUT_DATA, STATES_OF_ERRORS = (
    {"NoData", "Alerting", "OK", "KeepLast"},
    {"Error", "Alerting", "OK", "KeepLast"},
)

each_rule = pytest.mark.parametrize("rule", read_rules(), ids=lambda rule: rule.uid)


def read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def source() -> dict[str, Any]:
    (found,) = read(SOURCE_FILE)["datasources"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROVISIONING)))
def test_a_file_opens_with_who_uses_it_and_says_its_version(path: Path) -> None:
    header = path.read_text("utf-8").splitlines()[:3]

    assert [line.split(":")[0] for line in header][::2] == ["# For", "# Ports"]
    assert read(path)["apiVersion"] == 1


def test_the_data_source_is_the_one_that_dashboards_and_rules_name() -> None:
    assert (source()["uid"], source()["type"]) == (DATA_SOURCE_UID, DATA_SOURCE_TYPE)


def test_the_data_source_has_only_settings_that_the_plug_in_knows() -> None:
    settings = source()["jsonData"]

    assert set(settings) <= SOURCE_SETTINGS
    assert set(settings["traces"]) <= TRACE_SETTINGS


def test_address_account_and_password_come_from_the_environment() -> None:
    settings = {**source()["jsonData"], **source()["secureJsonData"]}

    for name in ("host", "port", "username", "defaultDatabase", "protocol", "password"):
        assert re.fullmatch(r"\$CLICKHOUSE_[A-Z]+", settings[name]), f"{name} is written down in the file"


def test_no_file_holds_a_secret() -> None:
    for path in FILES:
        for line in path.read_text("utf-8").splitlines():
            assert not re.search(r"(?i)(password|secret|token)\w*: *[^$\s]", line), (
                f"{path.name}: {line.strip()}"
            )


def test_compose_gives_grafana_every_variable_that_has_no_default() -> None:
    environment = read(ROOT / "docker-compose.yml")["services"]["grafana"]["environment"]
    named = set(re.findall(r"\$(CLICKHOUSE_\w+)", SOURCE_FILE.read_text("utf-8")))

    # Without CLICKHOUSE_PROTOCOL the plug-in speaks the native protocol, whose port compose names.
    assert named - {"CLICKHOUSE_PROTOCOL"} <= set(environment)


def test_compose_mounts_the_dashboards_where_the_provider_looks() -> None:
    (provider,) = read(PROVISIONING / "dashboards" / "otel_usage.yaml")["providers"]
    mounts = [
        mount.split(":") for mount in read(ROOT / "docker-compose.yml")["services"]["grafana"]["volumes"]
    ]

    assert ["./collector_config/grafana/dashboards", provider["options"]["path"], "ro"] in mounts
    assert ["./collector_config/grafana/provisioning", "/etc/grafana/provisioning", "ro"] in mounts
    assert provider["folder"] == FOLDER


def test_groups_have_the_keys_that_grafana_knows() -> None:
    for group in read(RULES_FILE)["groups"]:
        assert set(group) == GROUP_KEYS
        assert group["folder"] == FOLDER
        assert seconds(group["interval"]) % 10 == 0, "Grafana takes multiples of 10 seconds"


def test_uids_and_titles_of_rules_are_unique_and_short_enough() -> None:
    uids, titles = zip(*((rule.uid, rule.content["title"]) for rule in read_rules()), strict=True)

    assert len(set(uids)) == len(uids)
    assert len(set(titles)) == len(titles)
    assert all(re.fullmatch(r"[\w-]{1,40}", uid) for uid in uids)


@each_rule
def test_a_rule_has_the_keys_and_states_that_grafana_knows(rule: Rule) -> None:
    assert set(rule.content) <= RULE_KEYS
    assert rule.content["noDataState"] in STATES_WITHOUT_DATA
    assert rule.content["execErrState"] in STATES_OF_ERRORS
    assert seconds(rule.content["for"]) >= 0


@each_rule
def test_the_parts_of_a_rule_name_each_other_rightly(rule: Rule) -> None:
    for letter, part in rule.data.items():
        assert set(part) <= DATA_KEYS
        assert part["model"]["refId"] == letter
        assert part["model"]["datasource"]["uid"] == part["datasourceUid"]
        assert part["datasourceUid"] in (DATA_SOURCE_UID, EXPRESSION)
    condition = rule.data[rule.content["condition"]]
    assert condition["datasourceUid"] == EXPRESSION
    assert condition["model"]["expression"] in rule.data


def test_each_rule_shows_the_panel_that_explains_it() -> None:
    panels = {(board.uid, panel.id): panel.title for board in read_dashboards() for panel in board.panels}

    shown = {rule.uid: panels[rule.content["dashboardUid"], rule.content["panelId"]] for rule in read_rules()}

    assert shown == {
        "otel-usage-conversion-drop": "Visits that were lost after a stage",
        "otel-usage-silent": "Events by service",
        "otel-usage-rejected": "Set aside",
        "otel-usage-doubled": "Duplicates by service",
    }


@each_rule
def test_the_texts_of_a_rule_name_labels_that_its_answer_has(rule: Rule) -> None:
    texts = "\n".join(rule.content["annotations"].values())

    # Grafana puts its own environment in place of a dollar sign.
    assert "$" not in texts + str(rule.content["labels"]) + rule.content["title"]
    for label in re.findall(r"\.Labels\.(\w+)", texts):
        assert re.search(rf"\b(AS )?{label}\b", rule.sql)
    for letter in re.findall(r"\.Values\.(\w+)", texts):
        assert letter in rule.data


@each_rule
def test_a_rule_asks_about_the_moment_of_its_evaluation_and_not_of_the_clock(rule: Rule) -> None:
    assert not re.search(r"(?i)\b(now|now64|today|yesterday)\(", rule.sql)
