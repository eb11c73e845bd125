"""What class-based views inherit to say that their object was viewed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.views.generic.base import ContextMixin

from otel_usage.django.signals import send_object_viewed


class ObjectViewedMixin(ContextMixin):
    """Sends `object_viewed_signal` when the context of the view has an `object`.

    It stands before the generic view: `class ProductDetail(ObjectViewedMixin, DetailView)`. Views with asynchronous
    handlers may use it too. A page without an object is no event.
    """

    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the context of the view, and say what object is in it."""
        context = super().get_context_data(**kwargs)
        instance = context.get("object")
        if instance is not None:
            send_object_viewed(instance, getattr(self, "request", None))
        return context
