"""The counters of the shop, found because the app is installed."""

from __future__ import annotations

import otel_usage.django
from tests.django.shop.models import Link

otel_usage.django.site.register(Link, "clicks", "downloads")
