"""The app for `INSTALLED_APPS`."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class UsageConfig(AppConfig):
    """`otel_usage.django`, with the label `otel_usage`."""

    name = "otel_usage.django"
    label = "otel_usage"
    verbose_name = gettext_lazy("Usage")
    default_auto_field = "django.db.models.BigAutoField"
