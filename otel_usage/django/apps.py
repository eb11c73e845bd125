"""The app for `INSTALLED_APPS`."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy


class UsageConfig(AppConfig):
    """`otel_usage.django`, with the label `otel_usage`."""

    name = "otel_usage.django"
    label = "otel_usage"
    verbose_name = gettext_lazy("Usage")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let every installed app register its counters, and keep track of who is signed in."""
        # Not earlier: both need models.
        from otel_usage.django.registry import autodiscover

        autodiscover()
        if apps.is_installed("django.contrib.auth"):
            from otel_usage.django import session_hooks

            session_hooks.connect()
