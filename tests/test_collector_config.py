"""The Collector's files and docker-compose.yml are consistent in themselves and with the code.

No Collector and no Docker run here; what can be known without them is checked.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_usage import attributes
from tests.docs_tables import ROOT

COLLECTOR_FILES = sorted((ROOT / "collector_config").glob("*.yaml"))
COMPOSE_FILE = ROOT / "docker-compose.yml"
KINDS = ("receivers", "processors", "exporters")

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


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read_yaml(COMPOSE_FILE)


def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


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
def test_every_storage_of_a_queue_is_an_extension(path: Path) -> None:
    config = read_yaml(path)
    storages = {exporter["sending_queue"]["storage"] for exporter in config["exporters"].values()}

    assert storages <= set(config["extensions"])


@each_collector_file
def test_the_ports_are_those_of_the_header_and_on_loopback(path: Path) -> None:
    config = read_yaml(path)
    listening = endpoints_of(config["receivers"]) + endpoints_of(config["extensions"])
    sending = endpoints_of(config["exporters"])

    assert ports_of(listening) == set(re.findall(r"\b\d{4,5}\b", header_of(path)[2])) - {"8888"}
    assert ports_of(sending) == set(re.findall(r"\b\d{4,5}\b", header_of(path)[1]))
    assert [endpoint for endpoint in listening + sending if "127.0.0.1" not in endpoint] == []


@each_collector_file
def test_only_events_that_went_through_the_worker_pass(path: Path) -> None:
    conditions = read_yaml(path)["processors"]["filter/usage"]["trace_conditions"]

    assert conditions == [f'span.attributes["{attributes.EVENT_ID}"] == nil']


@each_collector_file
def test_nothing_makes_new_batches_that_a_retry_could_double(path: Path) -> None:
    config = read_yaml(path)

    assert [name for name in config["processors"] if name.partition("/")[0] == "batch"] == []
    assert [
        name for name, exporter in config["exporters"].items() if "batch" in exporter["sending_queue"]
    ] == []


def test_every_image_is_pinned_to_a_full_version(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in services(compose).values() if "build" not in service}
    bases = {
        line.split()[1]
        for service in services(compose).values()
        for line in service.get("build", {}).get("dockerfile_inline", "").splitlines()
        if line.startswith("FROM ")
    }

    assert len(images) == 2
    assert [image for image in images | bases if not re.search(r":\d+\.\d+\.\d+", image)] == []


def test_every_published_port_is_on_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in services(compose).values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_what_is_mounted_and_copied_exists(compose: dict[str, Any]) -> None:
    volumes = [volume for service in services(compose).values() for volume in service.get("volumes", [])]
    mounted = [volume.partition(":")[0] for volume in volumes]
    copied = [
        name
        for line in services(compose)["shop"]["build"]["dockerfile_inline"].splitlines()
        if line.startswith("COPY ")
        for name in line.split()[1:-1]
    ]

    files = [name for name in mounted if name.startswith("./")] + copied

    assert len(files) >= 6
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert {name for name in mounted if not name.startswith("./")} == set(compose["volumes"])


def test_every_service_that_can_has_a_health_check_or_ends(compose: dict[str, Any]) -> None:
    without = {name for name, service in services(compose).items() if "healthcheck" not in service}

    assert without == {"migrate", "collector"}


def test_a_dependency_waits_for_what_the_other_service_has(compose: dict[str, Any]) -> None:
    waits = {
        (name, condition["condition"])
        for service in services(compose).values()
        for name, condition in service.get("depends_on", {}).items()
    }

    for name, condition in waits:
        expected = (
            "service_healthy"
            if "healthcheck" in services(compose)[name]
            else "service_completed_successfully"
        )
        assert condition == expected, name


def test_the_example_environment_names_what_compose_asks_for() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text("utf-8")))
    example = (ROOT / ".env.example").read_text("utf-8")

    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) == asked


def test_the_collector_gets_the_variables_that_its_file_reads(compose: dict[str, Any]) -> None:
    text = (ROOT / "collector_config" / "local.yaml").read_text("utf-8")

    assert set(services(compose)["collector"]["environment"]) <= set(re.findall(r"\$\{env:([A-Z_]+)", text))
