"""What an app may call in its views, if it wants to say more than its requests do. Nothing here raises."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import MappingProxyType

from otel_usage import attributes as names
from otel_usage.instrumentation.counter_rules import is_unknown_counter
from otel_usage.instrumentation.guard import never_raises, report_error
from otel_usage.instrumentation.redaction import bounded
from otel_usage.instrumentation.tracked import current_request, make_event_span
from otel_usage.log_throttle import LogThrottle
from otel_usage.model import Attributes, AttributeValue
from otel_usage.pipeline import rejection
from otel_usage.pipeline.rows import to_text
from otel_usage.visits.visit import Visit
from otel_usage.wiring import runtime

logger = logging.getLogger(__name__)

_misuse_log = LogThrottle()


def current_visit() -> Visit | None:
    """Return the visit of the current request; None outside a request, or when the visitor is not followed."""
    try:
        tracked = current_request()
        return tracked.visit if tracked is not None else None
    except Exception as error:
        report_error(error)
        return None


def visit_ticket() -> str:
    """Return what a form or a link carries to continue the visit of a client that takes no cookie.

    It belongs into a parameter of the name that `OTEL_USAGE_FORM_NAME` has, and only into pages for this one
    visitor: who has the ticket has the visit. Empty outside of a visit, and when `OTEL_USAGE_VISIT_SOURCES`
    does not have `form`.
    """
    try:
        tracked = current_request()
        return tracked.visit_ticket() if tracked is not None else ""
    except Exception as error:
        report_error(error)
        return ""


@never_raises
def track(name: str, /, **properties: object) -> None:
    """Record an event of the app's own.

    Args:
        name: what happened, such as `order_placed`; one of a few fixed words, up to 256 characters.
        **properties: further facts, kept as text; up to 32, of 2,048 characters each. Any name will do.
    """
    record_custom_event(name, {}, properties)


@never_raises
def object_viewed(obj_or_type: object, object_id: object = None) -> None:
    """Record that an object was viewed.

    Args:
        obj_or_type: the type as text together with `object_id`, or any object with an `id` or `pk`.
        object_id: identifies the object within its type; any type that has a text, UUIDs too.
    """
    record_event(names.OBJECT_VIEWED, _object_attributes(obj_or_type, object_id))


@never_raises
def reached(funnel: str, stage: str) -> None:
    """Record that the visit reached a stage of a funnel in the file of `OTEL_USAGE_FUNNELS`."""
    active = runtime()
    index = active.stage_index.get((funnel, stage), 0) if active is not None else 0
    if active is not None and not index:
        _misuse_log.log(
            logger,
            logging.WARNING,
            "reached() was given a stage that the funnel file does not have; no conversion counts it. Add it to OTEL_USAGE_FUNNELS",
        )
    record_event(
        names.STAGE_REACHED,
        {
            names.FUNNEL: bounded(str(funnel), names.MAX_NAME),
            names.STAGE: bounded(str(stage), names.MAX_NAME),
            names.STAGE_INDEX: index,
        },
    )


@never_raises
def increment(obj: object, counter: str, value: int = 1) -> None:
    """Add to a counter of an object; a negative value takes away.

    Where nothing can be counted, because the counter has no name, the value is no whole number of 64 bits, the
    object has no key, or its model is registered without this counter, the call is set aside in `rejected_events`.

    Args:
        obj: any object with an `id` or `pk`, or a pair of type and id.
        counter: name of the counter.
        value: whole number; 0 records an event that changes nothing.
    """
    record_counter(obj, counter, value)


def record_counter(
    obj: object,
    counter: object,
    value: object,
    further: Attributes = MappingProxyType({}),
    *,
    is_known: bool = True,
) -> None:
    """Record what `increment` does, with further attributes; a counter that is not known is set aside."""
    object_type, object_id = obj if isinstance(obj, tuple) and len(obj) == 2 else (obj, None)
    attributes = {**further, **_object_attributes(object_type, object_id)}
    number = rejection.whole_number(value)
    reason = rejection.reason_to_reject_value(number)
    if not attributes[names.OBJECT_ID] and not isinstance(object_type, str):
        reason = rejection.NO_OBJECT
    elif not isinstance(counter, str) or not counter:
        reason = rejection.NO_COUNTER_NAME
    elif not is_known or is_unknown_counter(str(attributes[names.OBJECT_TYPE]), counter):
        reason = rejection.UNKNOWN_COUNTER
    attributes[names.COUNTER_NAME] = to_text(counter, names.MAX_NAME) if isinstance(counter, str) else ""
    if reason or number is None:
        # As text, because an object of the app may write out anything.
        given = value if isinstance(value, (str, int, float)) else type(value).__name__
        attributes[names.REJECTED_VALUE] = to_text(given, names.MAX_NAME)
        _set_aside("increment()", reason, names.COUNTER, attributes)
        return
    attributes[names.COUNTER_VALUE] = number
    record_event(names.COUNTER, attributes)


def record_custom_event(name: object, attributes: Attributes, properties: Mapping[str, object]) -> None:
    """Record what `track` does, with further attributes."""
    kept = list(properties.items())[: names.MAX_PROPERTIES]
    attributes = {
        **attributes,
        **{
            names.PROPERTY_PREFIX + bounded(key, names.MAX_NAME): bounded(str(value), names.MAX_TEXT)
            for key, value in kept
        },
    }
    text = bounded(str(name), names.MAX_NAME) if name else ""
    if not text:
        _set_aside("track()", rejection.NO_EVENT_NAME, text, attributes)
    elif text in names.RESERVED_EVENT_NAMES:
        _set_aside("track()", rejection.RESERVED_EVENT_NAME, text, attributes)
    else:
        record_event(text, attributes)


def object_type_of(type_or_name: object) -> str:
    """Return what the type of an object is called in events: a text as it is, a class by its name.

    A Django model is named with its app, as `shop.Product`, and a proxy of it like itself: two apps may have a
    model of the same name, and one object must not be counted under two.
    """
    if isinstance(type_or_name, type):
        options = getattr(type_or_name, "_meta", None)
        model = getattr(options, "concrete_model", None) or type_or_name
        label = getattr(getattr(model, "_meta", None), "label", None)
        type_or_name = label if isinstance(label, str) else type_or_name.__name__
    return bounded(str(type_or_name), names.MAX_NAME)


def object_attributes(obj: object) -> dict[str, AttributeValue]:
    """Return the type and the key of an object, or of a pair of both, as attributes."""
    object_type, object_id = obj if isinstance(obj, tuple) and len(obj) == 2 else (obj, None)
    return _object_attributes(object_type, object_id)


def _object_attributes(obj_or_type: object, object_id: object) -> dict[str, AttributeValue]:
    if isinstance(obj_or_type, type):  # whose `pk` is a property, and no key
        object_id = "" if object_id is None else object_id
    elif object_id is None and not isinstance(obj_or_type, str):
        object_id = getattr(obj_or_type, "pk", None)
        if object_id is None:
            object_id = getattr(obj_or_type, "id", None)
        obj_or_type = type(obj_or_type)
    return {
        names.OBJECT_TYPE: object_type_of(obj_or_type),
        names.OBJECT_ID: "" if object_id is None else bounded(str(object_id), names.MAX_NAME),
    }


def _set_aside(call: str, reason: str, name: str, attributes: Attributes) -> None:
    """Record that a call could not be counted, so that it is found in `rejected_events`."""
    _misuse_log.log(
        logger,
        logging.WARNING,
        "%s was called in a way that cannot be counted (%s); the table rejected_events has the call",
        call,
        reason,
    )
    record_event(names.REJECTED, {**attributes, names.REJECTED_REASON: reason, names.REJECTED_EVENT: name})


def record_event(name: str, attributes: dict[str, AttributeValue]) -> None:
    """Record an event with attributes whose texts are bounded, in the request that is being served if there is one."""
    timestamp_ns = time.time_ns()
    active = runtime()
    if active is None:
        return
    tracked = current_request()
    if tracked is None:
        make_event_span(active.tracer, name, timestamp_ns, attributes)
    elif reason := tracked.reason_to_filter(name):
        active.accounting.add_filtered(reason)
    elif not tracked.add_event(name, timestamp_ns, attributes):
        active.accounting.add_refused("too_many_events_in_a_request")
