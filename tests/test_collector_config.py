"""The Collector's files and docker-compose.yml are consistent in themselves and with the code.

No Collector and no Docker run here; what can be known without them is checked. `tests/collector` runs the Collector.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_usage import attributes
from tests.docs_tables import ROOT

CONFIG = ROOT / "collector_config"
COLLECTOR_FILES = sorted(set(CONFIG.glob("*.yaml")) - {CONFIG / "builder.yaml"})
KINDS = ("receivers", "processors", "exporters")
PORT = re.compile(r"\b\d{4,5}\b")

each_collector_file = pytest.mark.parametrize("path", COLLECTOR_FILES, ids=lambda path: path.name)


def read_yaml(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def header_of(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()[:3]


def endpoints_of(tree: object) -> list[str]:
    """Return the values of every key `endpoint` below a node."""
    if isinstance(tree, dict):
        own = [str(tree["endpoint"])] if "endpoint" in tree else []
        return own + [endpoint for value in tree.values() for endpoint in endpoints_of(value)]
    return []


def ports_of(endpoints: list[str]) -> set[str]:
    return {match[1] for endpoint in endpoints if (match := re.search(r":(\d+)\}?$", endpoint))}


def metrics_address(config: dict[str, Any]) -> str:
    (reader,) = config["service"]["telemetry"]["metrics"]["readers"]
    prometheus = reader["pull"]["exporter"]["prometheus"]
    return f"{prometheus['host']}:{prometheus['port']}"


def usage_pipeline(config: dict[str, Any]) -> dict[str, list[str]]:
    pipeline: dict[str, list[str]] = config["service"]["pipelines"]["traces/usage"]
    return pipeline


@each_collector_file
def test_a_collector_file_opens_with_three_lines_for_its_reader(path: Path) -> None:
    header = header_of(path)

    assert [line[:2] for line in header] == ["# "] * 3
    assert header[2].startswith("# Ports")


@each_collector_file
def test_every_component_in_a_pipeline_is_defined_and_the_other_way_round(path: Path) -> None:
    config = read_yaml(path)
    pipelines = config["service"]["pipelines"].values()

    for kind in KINDS:
        used = {name for pipeline in pipelines for name in pipeline.get(kind, [])}
        assert used == set(config[kind]), kind
    assert set(config["service"]["extensions"]) == set(config["extensions"])


@each_collector_file
def test_the_memory_limiter_comes_first(path: Path) -> None:
    pipelines = read_yaml(path)["service"]["pipelines"]

    assert {name: pipeline["processors"][0] for name, pipeline in pipelines.items()} == dict.fromkeys(
        pipelines, "memory_limiter"
    )


@each_collector_file
def test_usage_waits_on_disk_and_is_tried_for_ever(path: Path) -> None:
    config = read_yaml(path)

    for name in usage_pipeline(config)["exporters"]:
        exporter = config["exporters"][name]
        assert exporter["sending_queue"]["storage"] in config["extensions"]
        assert exporter["sending_queue"]["sizer"] == "bytes"
        assert exporter["sending_queue"]["num_consumers"] <= 4
        assert exporter["retry_on_failure"] == {"max_elapsed_time": "0s"}
    assert config["extensions"]["file_storage"]["fsync"] is True


@each_collector_file
def test_the_ports_are_those_of_the_header_and_on_loopback(path: Path) -> None:
    config = read_yaml(path)
    listening = [
        *endpoints_of(config["receivers"]),
        *endpoints_of(config["extensions"]),
        metrics_address(config),
    ]
    sending = endpoints_of(config["exporters"])

    assert ports_of(listening) == set(PORT.findall(header_of(path)[2]))
    assert ports_of(sending) == set(PORT.findall(header_of(path)[1]))
    assert [endpoint for endpoint in listening + sending if "127.0.0.1" not in endpoint] == []


def test_an_agent_and_a_gateway_can_run_on_one_machine() -> None:
    agent, gateway = (
        set(PORT.findall(header_of(CONFIG / name)[2])) for name in ("agent.yaml", "gateway.yaml")
    )
    (sends_to,) = ports_of(endpoints_of(read_yaml(CONFIG / "agent.yaml")["exporters"]))

    assert agent & gateway == set()
    assert sends_to in gateway


@each_collector_file
def test_only_events_that_went_through_the_worker_are_usage(path: Path) -> None:
    config = read_yaml(path)

    assert usage_pipeline(config)["processors"][1] == "filter/usage"
    assert config["processors"]["filter/usage"]["trace_conditions"] == [
        f'span.attributes["{attributes.EVENT_ID}"] == nil'
    ]


@each_collector_file
def test_no_insert_can_have_more_months_than_clickhouse_takes(path: Path) -> None:
    config = read_yaml(path)
    into_clickhouse = any("database" in exporter for exporter in config["exporters"].values())

    assert ("filter/time" in usage_pipeline(config)["processors"]) == into_clickhouse
    if into_clickhouse:
        past, future = config["processors"]["filter/time"]["trace_conditions"]
        hours = [int(number) for number in re.findall(r'Duration\("(\d+)h"\)', past + future)]
        assert past.startswith("span.start_time < Now() - ")
        assert future.startswith("span.start_time > Now() + ")
        # Both ends may be in the middle of a month.
        assert sum(hours) / 24 / 365 * 12 + 2 < 100


def test_a_span_is_tracing_or_usage_and_never_both() -> None:
    config = read_yaml(CONFIG / "with-tracing.yaml")

    assert config["processors"]["filter/tracing"]["trace_conditions"] == [
        f'span.attributes["{attributes.EVENT_ID}"] != nil'
    ]
    assert "tail_sampling" in config["service"]["pipelines"]["traces/tracing"]["processors"]
    assert "tail_sampling" not in usage_pipeline(config)["processors"]


@each_collector_file
def test_only_the_gateway_makes_batches_and_after_its_queue(path: Path) -> None:
    config = read_yaml(path)
    batching = {
        name for name, exporter in config["exporters"].items() if "batch" in exporter.get("sending_queue", {})
    }

    assert [name for name in config["processors"] if name.partition("/")[0] == "batch"] == []
    assert batching == ({"clickhouse/usage"} if path.name == "gateway.yaml" else set())


@each_collector_file
def test_an_insert_into_clickhouse_counts_once_when_it_comes_again(path: Path) -> None:
    for exporter in read_yaml(path)["exporters"].values():
        if "database" in exporter:
            assert (exporter["create_schema"], exporter["async_insert"]) == (False, False)
            assert exporter["connection_params"] == {
                "insert_deduplicate": "1",
                "deduplicate_blocks_in_dependent_materialized_views": "1",
                "distributed_foreground_insert": "1",
            }


def test_the_allow_list_is_that_of_the_span_attributes() -> None:
    redaction = read_yaml(CONFIG / "with-tracing.yaml")["processors"]["redaction/usage"]
    names = {
        value
        for name, value in vars(attributes).items()
        if name.isupper() and isinstance(value, str) and "." in value
    }
    prefixes = {name for name in names if name.endswith(".")}
    whole = {name for name in names - prefixes if not name.startswith(tuple(prefixes))}

    assert set(redaction["allowed_keys"]) == whole | {"service.name"}
    assert set(redaction["ignored_key_patterns"]) == {f"^{re.escape(prefix)}" for prefix in prefixes}
