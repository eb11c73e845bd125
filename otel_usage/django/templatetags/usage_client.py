"""`{% load usage_client %}`: the script that reports single-page navigation."""

from __future__ import annotations

from django import template
from django.urls import reverse
from django.utils.html import format_html

register = template.Library()


@register.simple_tag
def usage_script() -> str:
    """Return the element that loads the script; `otel_usage.django.urls` must be among the site's URLs."""
    return format_html('<script src="{}" defer></script>', reverse("usage_script"))
