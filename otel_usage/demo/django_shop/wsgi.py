"""The shop for gunicorn and other WSGI servers."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "otel_usage.demo.django_shop.settings")

application = get_wsgi_application()
