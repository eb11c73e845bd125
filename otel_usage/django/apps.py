"""The app for `INSTALLED_APPS`."""

from __future__ import annotations

import logging

from django.apps import AppConfig, apps
from django.core.signals import request_started
from django.utils.translation import gettext_lazy

logger = logging.getLogger(__name__)


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
        request_started.connect(_warn_untracked, dispatch_uid="otel_usage.warn_untracked")


def _warn_untracked(**named: object) -> None:
    """Say once, at the first request that is served, when requests and logins are not tracked."""
    from otel_usage.django import instrumentor
    from otel_usage.reports.connection import settings_in_force

    request_started.disconnect(dispatch_uid="otel_usage.warn_untracked")
    if not instrumentor.is_active() and not settings_in_force().disabled:
        logger.warning(
            "otel_usage.django is installed, but requests and logins are not tracked in this process. Start it with "
            "opentelemetry-instrument, or call DjangoUsageInstrumentor().instrument() before the first request"
        )
