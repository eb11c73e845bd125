from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("usage/", include("otel_usage.django.urls")),
    path("", include("tests.django.shop.urls")),
]
