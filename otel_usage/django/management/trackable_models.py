"""Models as commands name them, with the errors that django-trackable's commands gave."""

from __future__ import annotations

from django.apps import apps
from django.core.management.base import CommandError
from django.db.models import Model

from otel_usage.django.registry import NotRegistered, site


def find_model(label: str) -> type[Model]:
    """Return the model of `app.Model`.

    Raises:
        CommandError: the text is no such name, or there is no such model.
    """
    app_label, dot, name = label.partition(".")
    if not (app_label and dot and name) or "." in name:
        raise CommandError(f"{label!r} is no model, expected app.Model such as shop.Product", returncode=2)
    try:
        return apps.get_model(app_label, name)
    except LookupError:
        known = ", ".join(model._meta.label for model in site.models()) or "none"
        raise CommandError(f"Unknown model: {label}. Registered are: {known}", returncode=2) from None


def find_registered_model(label: str) -> type[Model]:
    """Return the model of `app.Model` that has counters; for a class of counters, the model that has these.

    Raises:
        CommandError: the text is no such name, there is no such model, or it has no counters.
    """
    model = find_model(label)
    try:
        return model if site.is_registered(model) else site.get_parent(model)
    except NotRegistered:
        raise CommandError(
            f"{label} is not registered. Call otel_usage.django.site.register() in the module `usage` of its app",
            returncode=2,
        ) from None
