"""The cluster form at work: the embedded engine asks two shards, and every answer is that of one server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_usage.reports import REPORTS
from otel_usage.schema import load_migrations
from tests.grafana.rules import read_rules
from tests.schema.cluster_engine import ONE_SHARD
from tests.schema.cluster_run import REQUESTS_OF_STATE, RETENTION_DAYS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tests/schema/cluster_run.py` found, in a process that ends with its engine."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.schema.cluster_run", str(tmp_path_factory.mktemp("cluster"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def test_every_view_report_and_alert_rule_answers_over_two_shards_as_on_one_server(
    found: dict[str, Any],
) -> None:
    compared = dict(found["compared"])

    assert found["different"] == []
    assert min(found["rows"]) > 1000
    assert {f"report {name}" for name in REPORTS} <= compared.keys()
    assert {f"rule {rule.uid}" for rule in read_rules()} <= compared.keys()
    # Those that ask for what this traffic has not, or for one name where none is given.
    assert {name for name, rows in compared.items() if not rows} <= {
        "report changes",
        "report object_counter_days",
        "report object_counters",
        "report objects_viewed",
        "report rejected",
        "rule otel-usage-conversion-drop",
        "rule otel-usage-rejected",
        "table rejected_events",
    }


def test_a_visit_lies_on_one_shard_whatever_way_its_events_came(found: dict[str, Any]) -> None:
    assert found["visits on both shards"] == 0


def test_visits_that_a_new_shard_has_parted_are_counted_once_but_not_grouped_on_the_shards(
    found: dict[str, Any],
) -> None:
    parted = found["visits on both shards of a grown cluster"]
    gathered, grouped_on_shards = found["visits of a grown cluster, grouped on the shards"]

    assert parted > 0
    assert grouped_on_shards == gathered + parted


def test_all_migrations_run_and_batches_are_seen_to_count_once(found: dict[str, Any]) -> None:
    *applied, probed, retention, _, _ = found["migrated"]

    assert applied == [f"applied {migration}" for migration in load_migrations()]
    assert probed == "a batch that is sent twice counts once, in the views too"
    assert retention == f"events are deleted after {RETENTION_DAYS} days, from now on"
    assert [name for name in found["tables"] if "probe" in name] == []


def test_migrating_again_changes_nothing(found: dict[str, Any]) -> None:
    assert found["migrated again"][:2] == [
        "the schema was up to date",
        "a batch that is sent twice counts once, in the views too",
    ]


def test_a_batch_that_is_sent_again_through_a_distributed_table_counts_once(found: dict[str, Any]) -> None:
    first, again = found["counts"]

    assert first == again
    assert first[0] == found["events sent"]
    assert min(first) > 0
    # The second is the sum of browsers_daily.
    assert REQUESTS_OF_STATE < first[1] < 2 * REQUESTS_OF_STATE


def test_a_copy_into_a_cluster_is_exact(found: dict[str, Any]) -> None:
    copied = found["copied"]

    assert copied["faults"] == []
    assert copied["events"] == copied["expected"]
    assert "have the same events on both sides" in copied["compared"]


def test_a_cluster_has_nothing_that_a_copy_would_bring_back(found: dict[str, Any]) -> None:
    assert {table: new for table, _, new, *_ in found["to be copied back"]["tables"] if new} == {}
    assert found["to be copied back"]["tables"][0][1] > 2000


def test_what_is_held_of_a_person_is_exported(found: dict[str, Any]) -> None:
    alone, spread = found["exported"]

    assert spread == alone
    assert len(alone) > 10


def test_a_backup_has_the_events(found: dict[str, Any]) -> None:
    assert found["events restored"] == found["events sent"]


def test_the_rule_about_age_is_found_on_the_shards(found: dict[str, Any]) -> None:
    assert found["retention"] == RETENTION_DAYS


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("without --cluster", f"is spread over the cluster '{ONE_SHARD}'. Run: otel-usage migrate --dsn "),
        ("another cluster", f"is spread over the cluster '{ONE_SHARD}', not over 'two_shards'. Run: "),
        ("rebuild", "and this works on the tables of one server only"),
        ("forget", "and this works on the tables of one server only"),
    ],
)
def test_what_a_cluster_does_not_offer_is_refused_in_plain_words(
    found: dict[str, Any], name: str, expected: str
) -> None:
    assert expected in found["refused"][name]
