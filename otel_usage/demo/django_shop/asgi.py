"""The shop for uvicorn and other ASGI servers."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "otel_usage.demo.django_shop.settings")

application = get_asgi_application()
