"""Each variant of the side by side answers and tracks; how fast is nobody's promise here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otel_usage.clickhouse import ClickHouse
from tests.benchmarks.blocks import block_child
from tests.benchmarks.measure import clean_environment
from tests.benchmarks.track_usage_child import Tracking
from tests.old_package import old_environment
from tests.serving import ServeProcess


def measure_one(tracking: Tracking, environ: Mapping[str, str]) -> dict[str, Any]:
    with block_child("track_usage_child", json.dumps(dataclasses.asdict(tracking)), environ) as measure:
        return measure(1)


@pytest.mark.parametrize(
    "tracking",
    [
        pytest.param(Tracking("bare"), id="bare"),
        pytest.param(Tracking("contrib"), id="contrib"),
        pytest.param(Tracking("ours"), id="as under the launcher"),
        pytest.param(Tracking("extension"), id="by the extension, with contrib"),
        pytest.param(
            Tracking("extension", contrib=False, is_told=True), id="by the extension, with a storage"
        ),
    ],
)
def test_the_shop_answers_in_each_of_our_variants(tracking: Tracking) -> None:
    assert measure_one(tracking, clean_environment())["status"] == 200


def test_the_variant_that_stores_has_stored_each_request(serve: ServeProcess, usage: ClickHouse) -> None:
    measure_one(Tracking("ours", serve.dsn_of(usage.dsn.database)), clean_environment())

    # One that fetches the cookie, one that shows the status, and the one that was asked for.
    assert usage.query("SELECT count() FROM events").rows == [(3,)]


def test_the_old_package_answers_without_a_storage() -> None:
    assert measure_one(Tracking("old"), old_environment())["status"] == 200


def test_the_old_package_writes_and_commits_once_in_each_request(tmp_path: Path) -> None:
    answer = measure_one(Tracking("old", f"sqlite:///{tmp_path}/usage.db"), old_environment())

    assert (answer["status"], answer["sql"]) == (200, "1 / 1")
