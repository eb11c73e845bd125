from __future__ import annotations

import re

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import SpanKind, TraceState

from otel_usage import attributes as names
from otel_usage.pipeline.sampler import UsageSampler, usage_sampler, without_trace, wrap_sampler


def decide(sampler: Sampler, kind: SpanKind, **attributes: str) -> SamplingResult:
    return sampler.should_sample(None, 1, "name", kind, attributes)


@pytest.mark.parametrize(
    ("kind", "attributes", "decision"),
    [
        (SpanKind.SERVER, {}, Decision.RECORD_ONLY),
        (SpanKind.INTERNAL, {names.EVENT_NAME: "liked"}, Decision.RECORD_ONLY),
        (SpanKind.INTERNAL, {}, Decision.DROP),
        (SpanKind.CLIENT, {}, Decision.DROP),
        (SpanKind.CONSUMER, {}, Decision.DROP),
    ],
)
def test_of_what_would_be_dropped_only_usage_is_recorded(
    kind: SpanKind, attributes: dict[str, str], decision: Decision
) -> None:
    assert decide(UsageSampler(ALWAYS_OFF), kind, **attributes).decision is decision


@pytest.mark.parametrize("kind", list(SpanKind))
def test_what_is_sampled_stays_sampled(kind: SpanKind) -> None:
    assert decide(UsageSampler(ALWAYS_ON), kind).decision is Decision.RECORD_AND_SAMPLE


class StatefulSampler(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        return SamplingResult(Decision.DROP, {"theirs": 1}, TraceState([("vendor", "x")]))

    def get_description(self) -> str:
        return "stateful"


def test_what_is_recorded_keeps_its_attributes_and_trace_state() -> None:
    result = decide(UsageSampler(StatefulSampler()), SpanKind.SERVER, given="yes")

    assert dict(result.attributes or {}) == {"given": "yes"}
    assert result.trace_state == TraceState([("vendor", "x")])


class ForgetfulSampler(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {"theirs": 1})

    def get_description(self) -> str:
        return "forgetful"


def test_an_event_keeps_its_attributes_where_a_sampler_forgets_them() -> None:
    event = decide(UsageSampler(ForgetfulSampler()), SpanKind.INTERNAL, **{names.EVENT_NAME: "liked"})
    other = decide(UsageSampler(ForgetfulSampler()), SpanKind.INTERNAL, given="yes")

    assert dict(event.attributes or {}) == {names.EVENT_NAME: "liked", "theirs": 1}
    assert event.decision is Decision.RECORD_AND_SAMPLE
    assert dict(other.attributes or {}) == {"theirs": 1}


@pytest.mark.parametrize("parent", [None, Context({"of": "the app"})])
def test_what_must_not_show_in_traces_is_recorded_and_not_sampled(parent: Context | None) -> None:
    context = without_trace(parent)

    result = UsageSampler(ALWAYS_ON).should_sample(context, 1, "name", SpanKind.SERVER, {"given": "yes"})

    assert result.decision is Decision.RECORD_ONLY
    assert dict(result.attributes or {}) == {"given": "yes"}
    assert parent is None or context["of"] == "the app"


def test_wrapping_twice_is_wrapping_once() -> None:
    once = wrap_sampler(ALWAYS_OFF)

    assert wrap_sampler(once) is once
    assert once.get_description() == "UsageSampler{AlwaysOffSampler}"


@pytest.mark.parametrize(
    ("argument", "root"),
    [
        (None, "ParentBased{root:AlwaysOnSampler"),
        ("", "ParentBased{root:AlwaysOnSampler"),
        ("0.25", "ParentBased{root:TraceIdRatioBased{0.25}"),
        (0.25, "ParentBased{root:TraceIdRatioBased{0.25}"),
        ("0", "ParentBased{root:TraceIdRatioBased{0.0}"),
        ("1", "ParentBased{root:TraceIdRatioBased{1.0}"),
    ],
)
def test_the_entry_point_takes_a_ratio(argument: str | float | None, root: str) -> None:
    assert usage_sampler(argument).get_description().startswith("UsageSampler{" + root)


def test_the_entry_point_works_without_an_argument_at_all() -> None:
    assert isinstance(usage_sampler(), UsageSampler)


@pytest.mark.parametrize("argument", ["1.5", "-1", "all", "nan", "inf"])
def test_a_bad_ratio_is_named(argument: str) -> None:
    message = f"OTEL_TRACES_SAMPLER_ARG is {argument!r}, expected a ratio from 0.0 to 1.0"

    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        usage_sampler(argument)


def test_the_sdk_finds_the_sampler_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk._configuration import _get_sampler, _import_sampler

    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "otel_usage")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")

    sampler = _import_sampler(_get_sampler())

    assert isinstance(sampler, UsageSampler)
    assert "TraceIdRatioBased{0.01}" in sampler.get_description()


def test_the_children_of_a_recorded_request_are_dropped() -> None:
    tracer = TracerProvider(sampler=UsageSampler(ParentBased(ALWAYS_OFF)), shutdown_on_exit=False).get_tracer(
        "t"
    )

    with tracer.start_as_current_span("request", kind=SpanKind.SERVER) as request:
        child = tracer.start_span("query")

    assert request.is_recording() is False  # ended
    assert not request.get_span_context().trace_flags.sampled
    assert not child.is_recording()
