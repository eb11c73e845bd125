"""Reads the alert rules and asks them as Grafana would, at a moment of the test's choice.

Facts from Grafana's sources: pkg/services/provisioning/alerting/rules_types.go has the keys of the file and its
defaults; pkg/expr says that an answer of texts and one number is a set of numbers with the texts as labels, and that a
threshold is held against each of them; pkg/services/ngalert/state/template gives the annotations `.Labels`, `.Values`
and `.Value`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import yaml

from otel_usage.clickhouse import ClickHouse
from tests.grafana.dashboards import DATA_SOURCE_UID, GRAFANA
from tests.grafana.macros import TimeRange, expand_rule
from tests.grafana.panel_answers import bare_type, is_number

RULES_FILE = GRAFANA / "provisioning" / "alerting" / "otel_usage.yaml"
EXPRESSION = "__expr__"

_DURATION = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Alert:
    """One row of a rule's answer."""

    labels: Mapping[str, str]
    value: float
    is_firing: bool


@dataclass(frozen=True)
class Rule:
    """One rule, as it stands in the file."""

    content: Mapping[str, Any]

    @property
    def uid(self) -> str:
        return str(self.content["uid"])

    @property
    def data(self) -> Mapping[str, Mapping[str, Any]]:
        """Return queries and expressions by the letter that they are named by."""
        return {part["refId"]: part for part in self.content["data"]}

    @property
    def sql(self) -> str:
        """Return the rule's one question to ClickHouse."""
        (question,) = (part for part in self.data.values() if part["datasourceUid"] == DATA_SOURCE_UID)
        return str(question["model"]["rawSql"])


def read_rules() -> list[Rule]:
    """Return the rules of all groups."""
    document = yaml.safe_load(RULES_FILE.read_text("utf-8"))
    return [Rule(rule) for group in document["groups"] for rule in group["rules"]]


def rule_named(uid: str) -> Rule:
    """Return the rule with a uid."""
    (found,) = (rule for rule in read_rules() if rule.uid == uid)
    return found


def seconds(duration: str) -> int:
    """Return `5m` in seconds.

    Raises:
        ValueError: it is no duration.
    """
    found = _DURATION.fullmatch(duration)
    if found is None:
        raise ValueError(f"{duration!r} is no duration, expected one such as 5m")
    return int(found[1]) * _SECONDS[found[2]]


def evaluate(rule: Rule, client: ClickHouse, at: datetime) -> list[Alert]:
    """Return what the rule says at a moment."""
    condition = rule.data[rule.content["condition"]]["model"]
    assert condition["type"] == "threshold", "expected a threshold, the only expression that the rules need"
    exceeds = _threshold(condition["conditions"])
    numbers = _numbers(rule.data[condition["expression"]], client, at)
    return [Alert(labels, value, exceeds(value)) for labels, value in numbers]


def firing(rule: Rule, client: ClickHouse, at: datetime) -> list[Mapping[str, str]]:
    """Return the labels of the alerts that fire at a moment, once their `for` is over."""
    return [alert.labels for alert in evaluate(rule, client, at) if alert.is_firing]


def _numbers(
    question: Mapping[str, Any], client: ClickHouse, at: datetime
) -> list[tuple[Mapping[str, str], float]]:
    span = question["relativeTimeRange"]
    begin, end = at - timedelta(seconds=span["from"]), at - timedelta(seconds=span["to"])
    result = client.query(
        expand_rule(question["model"]["rawSql"], TimeRange(begin, end)), settings={"readonly": 1}
    )
    places = [index for index, of_type in enumerate(result.types) if is_number(of_type)]
    texts = [index for index, of_type in enumerate(result.types) if bare_type(of_type) == "String"]
    assert len(places) == 1, f"expected one number, got {result.types}"
    assert len(texts) == len(result.types) - 1, f"expected texts beside the number, got {result.types}"
    return [
        ({result.columns[index]: row[index] for index in texts}, float(row[places[0]])) for row in result.rows
    ]


def _threshold(conditions: Sequence[Mapping[str, Any]]) -> Callable[[float], bool]:
    (condition,) = conditions
    evaluator = condition["evaluator"]
    (limit,) = evaluator["params"]
    compare: dict[str, Callable[[float], bool]] = {
        "gt": lambda value: value > limit,
        "lt": lambda value: value < limit,
    }
    return compare[evaluator["type"]]
