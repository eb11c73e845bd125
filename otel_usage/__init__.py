"""Usage analytics for Python web apps out of their own OpenTelemetry spans.

Every public name stands here. They are loaded on first use, because the launcher imports this module
in each process that it starts, also in those that never serve a request.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from otel_usage.instrumentation.api import current_visit as current_visit
    from otel_usage.instrumentation.api import increment as increment
    from otel_usage.instrumentation.api import object_viewed as object_viewed
    from otel_usage.instrumentation.api import reached as reached
    from otel_usage.instrumentation.api import track as track
    from otel_usage.instrumentation.api import visit_ticket as visit_ticket
    from otel_usage.pipeline.exporters.clickhouse import ClickHouseSpanExporter as ClickHouseSpanExporter
    from otel_usage.pipeline.processor import UsageSpanProcessor as UsageSpanProcessor
    from otel_usage.reports.usage import get_usage as get_usage
    from otel_usage.visits.manager import BaseVisitManager as BaseVisitManager
    from otel_usage.visits.plugins import disable_visit_plugin as disable_visit_plugin
    from otel_usage.visits.plugins import enable_visit_plugin as enable_visit_plugin
    from otel_usage.visits.visit import Visit as Visit
    from otel_usage.wiring import configure as configure

_MODULE_BY_NAME = {
    "BaseVisitManager": "otel_usage.visits.manager",
    "ClickHouseSpanExporter": "otel_usage.pipeline.exporters.clickhouse",
    "UsageSpanProcessor": "otel_usage.pipeline.processor",
    "Visit": "otel_usage.visits.visit",
    "configure": "otel_usage.wiring",
    "current_visit": "otel_usage.instrumentation.api",
    "disable_visit_plugin": "otel_usage.visits.plugins",
    "enable_visit_plugin": "otel_usage.visits.plugins",
    "get_usage": "otel_usage.reports.usage",
    "increment": "otel_usage.instrumentation.api",
    "object_viewed": "otel_usage.instrumentation.api",
    "reached": "otel_usage.instrumentation.api",
    "track": "otel_usage.instrumentation.api",
    "visit_ticket": "otel_usage.instrumentation.api",
}

__all__ = sorted([*_MODULE_BY_NAME, "__version__"])


def __getattr__(name: str) -> object:
    module = _MODULE_BY_NAME.get(name)
    if module is None:
        raise AttributeError(f"module 'otel_usage' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return __all__
