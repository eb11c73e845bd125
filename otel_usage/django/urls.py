"""The URLs of the client API: `path("usage/", include("otel_usage.django.urls"))`."""

from __future__ import annotations

from django.urls import path

from otel_usage.client_api.script import SCRIPT_NAME
from otel_usage.django import client_views

urlpatterns = [
    path("log/", client_views.log, name="activity_detail"),
    path(SCRIPT_NAME, client_views.script, name="usage_script"),
]
