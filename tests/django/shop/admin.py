"""Registers one model and not the other, so that both can be asked for."""

from __future__ import annotations

from django.contrib import admin

from tests.django.shop.models import Product

admin.site.register(Product)
