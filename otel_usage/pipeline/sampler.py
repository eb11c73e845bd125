"""The sampler that lets usage see every request, also those whose trace is not sampled."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context, create_key, set_value
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from otel_usage import attributes as names

_UNTRACED = create_key("otel_usage_untraced")


def without_trace(parent: Context | None) -> Context:
    """Return a context in which spans of ours are recorded for usage and never sampled, whatever their parent is.

    Args:
        parent: None is the current context.
    """
    return set_value(_UNTRACED, True, parent)


class UsageSampler(Sampler):
    """Records what the wrapped sampler would drop, where it is a request or one of our events.

    Such a span is recorded but not sampled: our processor sees it, exporters of traces do not send it, and
    the sampled flag that is handed on to other services stays off.
    """

    def __init__(self, root: Sampler) -> None:
        self.root = root

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Return the root sampler's result, with DROP turned into RECORD_ONLY for usage."""
        if parent_context is not None and _UNTRACED in parent_context:
            return SamplingResult(Decision.RECORD_ONLY, attributes, trace_state)
        result = self.root.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        is_event = attributes is not None and names.EVENT_NAME in attributes
        if result.decision is Decision.DROP and (is_event or kind is SpanKind.SERVER):
            # The root's answer to a drop carries no attributes; those that the caller gave must not be lost.
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        if is_event and names.EVENT_NAME not in result.attributes:
            # Samplers of others forget to hand them on, and a span begins with those of the result alone.
            return SamplingResult(
                result.decision, {**(attributes or {}), **result.attributes}, result.trace_state
            )
        return result

    def get_description(self) -> str:
        """Return the name with that of the wrapped sampler."""
        return f"UsageSampler{{{self.root.get_description()}}}"


def wrap_sampler(sampler: Sampler) -> Sampler:
    """Return the sampler wrapped once, however often it is called."""
    return sampler if isinstance(sampler, UsageSampler) else UsageSampler(sampler)


def usage_sampler(argument: str | float | None = None) -> Sampler:
    """Build the sampler for `OTEL_TRACES_SAMPLER=otel_usage` and for configuration files.

    Args:
        argument: ratio of traces to sample, 0.0 to 1.0, from `OTEL_TRACES_SAMPLER_ARG`; all when None or empty.

    Raises:
        ValueError: the argument is not such a ratio.
    """
    if argument is None or argument == "":
        return UsageSampler(ParentBased(ALWAYS_ON))
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"OTEL_TRACES_SAMPLER_ARG is {argument!r}, expected a ratio from 0.0 to 1.0")
    return UsageSampler(ParentBasedTraceIdRatio(ratio))
