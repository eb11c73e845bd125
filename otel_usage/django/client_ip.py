"""The address of the client, by the rules that usage itself goes by."""

from __future__ import annotations

from functools import lru_cache

from django.http import HttpRequest

from otel_usage.django.request import facts_of
from otel_usage.instrumentation.address import AddressResolver
from otel_usage.reports.connection import settings_in_force
from otel_usage.setting_values import TrustedProxies


def get_client_ip(request: HttpRequest) -> str | None:
    """Return the client's address as text, None when it is unknown, as behind a Unix socket.

    `X-Forwarded-For` and `Forwarded` are believed from the proxies of `OTEL_USAGE_TRUSTED_PROXIES` alone; otherwise
    it is the peer. The setting `OTEL_USAGE_IP` does not change it: that one is about what is stored.
    """
    settings = settings_in_force()
    return _resolver(settings.trusted_proxies).client_address(facts_of(request, settings)) or None


@lru_cache(maxsize=8)
def _resolver(trusted_proxies: TrustedProxies) -> AddressResolver:
    return AddressResolver(trusted_proxies)
