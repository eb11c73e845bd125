"""What plug-ins add to a request, bounded whatever they return."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otel_usage import attributes as names
from otel_usage.model import AttributeValue
from otel_usage.visits.plugins import PluginRegistry
from otel_usage.visits.visit import Visit
from tests.visits.plugin_doubles import LATER, Noting, only


@pytest.fixture
def plugins() -> PluginRegistry:
    return PluginRegistry()


def test_what_is_returned_becomes_properties(plugins: PluginRegistry) -> None:
    plugins.enable(lambda visit: {"plan": "trial", "seats": 3, "paid": False})

    assert plugins.run(LATER) == {
        "usage.property.plan": "trial",
        "usage.property.seats": "3",
        "usage.property.paid": "False",
    }


def test_of_two_plugins_with_the_same_property_the_later_one_wins(plugins: PluginRegistry) -> None:
    plugins.enable(lambda visit: {"plan": "trial", "source": "first"})
    plugins.enable(lambda visit: {"plan": "paid"})

    assert plugins.run(LATER) == {"usage.property.plan": "paid", "usage.property.source": "first"}


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Endless(Mapping[str, str]):
    """Has items without end."""

    def __getitem__(self, key: str) -> str:
        return key

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __len__(self) -> int:
        return 2**62


@pytest.mark.parametrize(
    "rubbish", [None, 7, "text", b"bytes", [("a", 1)], {"a"}, object(), Unprintable(), {}], ids=repr
)
def test_what_is_no_mapping_adds_nothing(plugins: PluginRegistry, rubbish: object) -> None:
    plugins.enable(lambda visit: rubbish)

    assert plugins.run(LATER) == {}
    assert only(plugins).raised == 0


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param(Endless(), id="endless"),
        pytest.param({f"k{number}": number for number in range(10_000)}, id="10,000 entries"),
        pytest.param({"k" * 10_000_000: "v" * 10_000_000}, id="megabytes"),
        pytest.param({"\udcff": "\udcff\0"}, id="no valid text"),
        pytest.param({7: None, None: 7, ("a",): [1, {}], "": ""}, id="keys that are no texts"),
        pytest.param({"a": list(range(100_000))}, id="a long list"),
    ],
)
def test_a_mapping_of_anything_is_kept_bounded_and_valid(
    plugins: PluginRegistry, mapping: Mapping[object, object]
) -> None:
    plugins.enable(lambda visit: mapping)

    added = plugins.run(LATER)

    assert 1 <= len(added) <= names.MAX_PROPERTIES
    for key, value in added.items():
        assert key.startswith(names.PROPERTY_PREFIX)
        assert len(key) <= len(names.PROPERTY_PREFIX) + names.MAX_NAME
        assert isinstance(value, str)
        assert len(value) <= names.MAX_TEXT
        (key + value).encode()


@pytest.mark.parametrize("mapping", [{"good": 1, "bad": Unprintable()}, {Unprintable(): 1}, {"n": 10**5000}])
def test_a_mapping_whose_texts_raise_counts_as_an_error_and_adds_nothing(
    plugins: PluginRegistry, mapping: Mapping[object, object]
) -> None:
    plugins.enable(lambda visit: mapping)

    assert plugins.run(LATER) == {}
    assert only(plugins).raised == 1


def test_all_plugins_together_add_32_properties(plugins: PluginRegistry) -> None:
    def adding(prefix: str) -> Callable[[Visit], Mapping[str, int]]:
        return lambda visit: {f"{prefix}{number}": number for number in range(20)}

    for prefix in "ab":
        plugins.enable(adding(prefix))

    assert len(plugins.run(LATER)) == 32


def test_attributes_are_set_through_the_current_span(plugins: PluginRegistry) -> None:
    def record(visit: Visit) -> None:
        span = trace.get_current_span()
        assert span.is_recording()
        span.set_attribute("shop.plan", "trial")
        span.set_attributes({"shop.seats": 3, "shop.tags": ["a", "b"]})

    plugins.enable(record)

    assert plugins.run(LATER) == {"shop.plan": "trial", "shop.seats": 3, "shop.tags": ("a", "b")}


def test_rubbish_on_the_current_span_is_bounded(plugins: PluginRegistry) -> None:
    rubbish: list[tuple[Any, Any]] = [
        ("", "no name"),
        (7, "no text"),
        (["unhashable"], "no text"),
        ("huge", "x" * 10_000_000),
        ("k" * 10_000_000, 1),
        ("list", [Noting] * 100_000),
        ("none", None),
        ("integer", 10**30),
        ("invalid\udcff", "\udcff"),
        *((f"many{number}", number) for number in range(1000)),
    ]

    def record(visit: Visit) -> None:
        for key, value in rubbish:
            trace.get_current_span().set_attribute(key, value)

    plugins.enable(record)
    added = plugins.run(LATER)

    assert len(added) == names.MAX_PROPERTIES
    assert only(plugins).raised == 0
    for key, value in added.items():
        assert len(key) <= names.MAX_NAME
        assert size_of(value) <= names.MAX_TEXT
        key.encode()


def size_of(value: AttributeValue) -> int:
    if isinstance(value, int):
        assert -(2**63) <= value < 2**63
        return 0
    return max(map(len, [value] if isinstance(value, str) else map(str, value)))  # type: ignore[arg-type]


def test_after_the_plugins_the_current_span_is_what_it_was(plugins: PluginRegistry) -> None:
    def record(visit: Visit) -> None:
        trace.get_current_span().end()
        trace.use_span(INVALID_SPAN).__enter__()  # and never left

    plugins.enable(record)

    plugins.run(LATER)

    assert get_current_span() is INVALID_SPAN


def test_a_span_that_a_plugin_starts_has_the_parent_that_it_would_have_had(plugins: PluginRegistry) -> None:
    outer = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    seen = []
    plugins.enable(lambda visit: seen.append(trace.get_current_span().get_span_context()))

    with trace.use_span(outer):
        plugins.run(LATER)

    assert seen == [outer.get_span_context()]
