"""Links from what ClickHouse knows by name and id to the admin pages of the site's own models."""

from __future__ import annotations

from django.apps import apps
from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


def change_url(request: HttpRequest, site: AdminSite, object_type: str, object_id: str) -> str:
    """Return the admin page of an object, without looking whether the object is still there.

    Args:
        request: of a person who may see it, or may not.
        site: where its model may be registered.
        object_type: such as `shop.Product`.
        object_id: its key as text.

    Returns:
        Empty when the type is no model of this site or not registered, when no object of it can have this key, and
        when this person may not see it.
    """
    if not object_id:
        return ""
    try:
        model = apps.get_model(object_type)
        model_admin = site._registry.get(model)
        if model_admin is None or not model_admin.has_view_or_change_permission(request):
            return ""
        model._meta.pk.to_python(object_id)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        return reverse(name, args=(quote(object_id),), current_app=site.name)
    except (LookupError, ValueError, ValidationError, NoReverseMatch):
        return ""


def user_url(request: HttpRequest, site: AdminSite, user_id: str) -> str:
    """Return the admin page of a user; see `change_url`."""
    return change_url(request, site, get_user_model()._meta.label, user_id)
