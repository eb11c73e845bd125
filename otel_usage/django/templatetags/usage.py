"""`{% load usage %}`: tags that say in a template what its readers view."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.template import Context

from otel_usage.django.signals import send_object_viewed
from otel_usage.instrumentation import api
from otel_usage.instrumentation.guard import report_error

register = template.Library()


@register.simple_tag(takes_context=True)
def object_viewed(context: Context, thing: Any, object_id: Any = None) -> str:
    """Say that an object is viewed: `{% object_viewed product %}`, or `{% object_viewed "article" slug %}`.

    Writes nothing. Sends `object_viewed_signal` for an object; a type as text is recorded alone.
    """
    try:
        if isinstance(thing, str):
            if thing and object_id not in (None, ""):
                api.object_viewed(thing, object_id)
        elif thing is not None:
            send_object_viewed(thing, context.get("request"))
    except Exception as error:
        report_error(error)
    return ""


@register.simple_tag(takes_context=True)
def objects_viewed(context: Context, things: Iterable[Any]) -> str:
    """Say that every object of a list is viewed: `{% objects_viewed products %}`, before or after its loop.

    Takes what `{% for %}` takes: a list, a page of a paginator, a queryset, which then remembers what it loaded.
    Writes nothing.
    """
    try:
        if not isinstance(things, str):  # a variable that is not there
            for thing in things:
                object_viewed(context, thing)
    except Exception as error:
        report_error(error)
    return ""
