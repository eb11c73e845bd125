from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import otel_usage
from otel_usage import attributes

DOCS = Path(__file__).parents[1] / "docs"

NAMES = {name: value for name, value in vars(attributes).items() if name.isupper() and isinstance(value, str)}
EVENT_NAMES = {
    "REQUEST",
    "OBJECT_VIEWED",
    "STAGE_REACHED",
    "COUNTER",
    "ACTIVITY",
    "LOGIN",
    "LOGIN_FAILED",
    "LOGOUT",
    "SESSION_ENDED",
    "RESPONSE_SENT",
    "REJECTED",
}


@pytest.mark.parametrize("name", otel_usage.__all__)
def test_every_public_name_loads(name: str) -> None:
    assert getattr(otel_usage, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'otel_usage' has no attribute 'trak'"):
        otel_usage.trak  # noqa: B018


def test_dir_lists_the_public_names() -> None:
    assert dir(otel_usage) == sorted(otel_usage.__all__)


def test_importing_the_package_loads_no_framework_no_sdk_and_no_clickhouse() -> None:
    code = (
        "import sys, otel_usage\n"
        "heavy = ('flask', 'werkzeug', 'opentelemetry', 'clickhouse_connect', 'chdb', 'ua_parser', 'urllib3')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "[]"


def test_using_the_flask_instrumentor_loads_no_clickhouse_and_no_other_framework() -> None:
    code = (
        "import sys, otel_usage.flask\n"
        "heavy = ('django', 'clickhouse_connect', 'chdb', 'ua_parser', 'crawleruseragents', 'fastapi')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "[]"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("opentelemetry_pre_instrument", "otel_usage"),
        ("opentelemetry_instrumentor", "otel_usage_flask"),
        ("opentelemetry_traces_exporter", "otel_usage_clickhouse"),
        ("opentelemetry_traces_sampler", "otel_usage"),
        ("opentelemetry_sampler", "otel_usage"),
        ("console_scripts", "otel-usage"),
    ],
)
def test_the_entry_point_exists_and_loads(group: str, name: str) -> None:
    (entry_point,) = entry_points(group=group, name=name)

    assert callable(entry_point.load())


def test_no_two_attributes_have_the_same_name() -> None:
    wire = [value for name, value in NAMES.items() if name not in EVENT_NAMES]

    assert len(set(wire)) == len(wire)


def test_no_two_events_have_the_same_name() -> None:
    assert {NAMES[name] for name in EVENT_NAMES} == attributes.RESERVED_EVENT_NAMES
    assert len(attributes.RESERVED_EVENT_NAMES) == len(EVENT_NAMES)


@pytest.mark.parametrize("value", [value for name, value in NAMES.items() if name not in EVENT_NAMES])
def test_an_attribute_is_documented(value: str) -> None:
    assert f"`{value}" in (DOCS / "attributes.md").read_text("utf-8")


def test_the_semantic_conventions_spell_these_attributes_as_we_do() -> None:
    from opentelemetry.semconv.attributes import (
        client_attributes,
        http_attributes,
        network_attributes,
        server_attributes,
        url_attributes,
        user_agent_attributes,
    )

    assert attributes.CLIENT_ADDRESS == client_attributes.CLIENT_ADDRESS
    assert attributes.METHOD == http_attributes.HTTP_REQUEST_METHOD
    assert attributes.STATUS_CODE == http_attributes.HTTP_RESPONSE_STATUS_CODE
    assert attributes.ROUTE == http_attributes.HTTP_ROUTE
    assert attributes.PEER_ADDRESS == network_attributes.NETWORK_PEER_ADDRESS
    assert attributes.HOST == server_attributes.SERVER_ADDRESS
    assert attributes.PATH == url_attributes.URL_PATH
    assert attributes.QUERY == url_attributes.URL_QUERY
    assert attributes.SCHEME == url_attributes.URL_SCHEME
    assert attributes.USER_AGENT == user_agent_attributes.USER_AGENT_ORIGINAL
