"""Settings of the shop: no database, because its sessions are signed cookies."""

from __future__ import annotations

import os
import secrets

from otel_usage.demo import shop

SECRET_KEY = os.environ.get(shop.SECRET_VARIABLE) or secrets.token_hex(32)
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "otel_usage.demo.django_shop.urls"
WSGI_APPLICATION = "otel_usage.demo.django_shop.wsgi.application"
ASGI_APPLICATION = "otel_usage.demo.django_shop.asgi.application"

# Without CsrfViewMiddleware: the demo's visitors send forms that they have not asked for, and nothing is at stake.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [shop.TEMPLATES],
        "OPTIONS": {
            "environment": "otel_usage.demo.django_shop.jinja.environment",
            "context_processors": ["otel_usage.demo.django_shop.cart.count_for_header"],
        },
    }
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
STATIC_URL = "/static/"
USE_TZ = True

# Errors go where the server's own messages go, as in Flask.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
}
