"""The addresses of the shop."""

from __future__ import annotations

from django.urls import include, path

from otel_usage.demo.django_shop import account, cart, catalog, checkout, pages

urlpatterns = [
    path("", include((catalog.urlpatterns, "catalog"))),
    path("", include((cart.urlpatterns, "cart"))),
    path("", include((checkout.urlpatterns, "checkout"))),
    path("", include((account.urlpatterns, "account"))),
    path("", include((pages.urlpatterns, "pages"))),
    path("static/<path:name>", pages.static_file),
]
