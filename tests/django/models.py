"""The shop's models by name: a test's module is imported before Django is set up, and they cannot be."""

from __future__ import annotations

from typing import Any

from django.apps import apps


class _Shop:
    def __getattr__(self, name: str) -> Any:
        return apps.get_model("shop", name)


shop = _Shop()
