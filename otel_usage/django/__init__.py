"""Usage tracking for Django: the instrumentor, and the app `otel_usage.django` for `INSTALLED_APPS`.

Names are loaded on first use: the launcher imports this module also in processes that have no Django, and Django
imports it before the apps are ready.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_usage.django.client_ip import get_client_ip as get_client_ip
    from otel_usage.django.counters import counter_series as counter_series
    from otel_usage.django.counters import counters_for as counters_for
    from otel_usage.django.instrumentor import DjangoUsageInstrumentor as DjangoUsageInstrumentor
    from otel_usage.django.registry import AlreadyRegistered as AlreadyRegistered
    from otel_usage.django.registry import NotRegistered as NotRegistered
    from otel_usage.django.registry import autodiscover as autodiscover
    from otel_usage.django.registry import site as site
    from otel_usage.django.user_sessions import end_session as end_session
    from otel_usage.django.user_sessions import end_sessions_of as end_sessions_of
    from otel_usage.instrumentation.api import increment as increment
    from otel_usage.instrumentation.scope import exclude as exclude
    from otel_usage.instrumentation.scope import include as include

_MODULE_BY_NAME = {
    "AlreadyRegistered": "otel_usage.django.registry",
    "NotRegistered": "otel_usage.django.registry",
    "autodiscover": "otel_usage.django.registry",
    "counter_series": "otel_usage.django.counters",
    "counters_for": "otel_usage.django.counters",
    "site": "otel_usage.django.registry",
    "DjangoUsageInstrumentor": "otel_usage.django.instrumentor",
    "increment": "otel_usage.instrumentation.api",
    "get_client_ip": "otel_usage.django.client_ip",
    "end_session": "otel_usage.django.user_sessions",
    "end_sessions_of": "otel_usage.django.user_sessions",
    "exclude": "otel_usage.instrumentation.scope",
    "include": "otel_usage.instrumentation.scope",
}

__all__ = sorted(_MODULE_BY_NAME)


def __getattr__(name: str) -> object:
    module = _MODULE_BY_NAME.get(name)
    if module is None:
        raise AttributeError(f"module 'otel_usage.django' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return __all__
