"""Counting by the calls of django-trackable, whose messages are events here; nothing in it raises."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from otel_usage import attributes as names
from otel_usage.django.registry import counter_names
from otel_usage.instrumentation.api import object_attributes, record_counter, record_custom_event
from otel_usage.instrumentation.guard import never_raises
from otel_usage.instrumentation.tracked import current_request
from otel_usage.model import Attributes
from otel_usage.pipeline.rejection import whole_number
from otel_usage.pipeline.rows import to_text

INCREMENT, DECREMENT = "incr", "decr"

_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def send_increment_message(
    request: HttpRequest | None,
    obj: object,
    field_name: str,
    data_cls: type | None = None,
    options: Mapping[str, object] = _NO_OPTIONS,
) -> None:
    """Add to a counter of an object.

    Args:
        request: the request that it happens in; None outside of one.
        obj: an object of a model, or whatever `otel_usage.increment` takes.
        field_name: name of the counter.
        data_cls: a class of counters that must have this one; it changes nothing else.
        options: `value`, a whole number, 1 by default. 0 counts 0, and a negative one takes away.
    """
    send_message(request, obj, field_name, INCREMENT, data_cls, options)


def send_decrement_message(
    request: HttpRequest | None,
    obj: object,
    field_name: str,
    data_cls: type | None = None,
    options: Mapping[str, object] = _NO_OPTIONS,
) -> None:
    """Take from a counter of an object; the arguments are those of `send_increment_message`."""
    send_message(request, obj, field_name, DECREMENT, data_cls, options)


@never_raises
def send_message(
    request: HttpRequest | None,
    obj: object,
    field: str,
    op: str,
    data_cls: type | None = None,
    options: Mapping[str, object] = _NO_OPTIONS,
) -> None:
    """Send what a site's own functions did.

    Args:
        request: as for `send_increment_message`.
        obj: as there.
        field: name of the counter.
        op: `incr` or `decr`; any other becomes an event of this name, about the object, with `field` and the
            options as its properties.
        data_cls: as for `send_increment_message`.
        options: as there, for `incr` and `decr`.
    """
    further = _agent_of(request)
    if op in (INCREMENT, DECREMENT):
        value = options.get("value")
        value = 1 if value is None else value
        number = whole_number(value)
        if op == DECREMENT and number is not None:
            value = -number
        record_counter(obj, field, value, further, is_known=_has_counter(data_cls, field))
        return
    record_custom_event(op, {**further, **object_attributes(obj)}, {"field": field, **options})


def _agent_of(request: HttpRequest | None) -> Attributes:
    """Return the agent of a request that is not tracked; a tracked one gives its events all that it is."""
    if request is None or current_request() is not None:
        return {}
    return {names.USER_AGENT: to_text(request.META.get("HTTP_USER_AGENT", ""), names.MAX_TEXT)}


def _has_counter(data_cls: type | None, field: str) -> bool:
    if data_cls is None:
        return True
    try:
        return field in counter_names(data_cls)
    except ImproperlyConfigured:
        return False
