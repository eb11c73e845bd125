"""What the tests of the admin pages share: staff with this or that permission, events of now, and a page as text."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta, timezone
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client

from otel_usage import attributes as names
from otel_usage.model import Event
from tests.builders import build_event

OBJECTS = "/admin/otel_usage/viewedobject/"
SESSIONS = "/admin/otel_usage/usersession/"
COUNTERS = "/admin/otel_usage/countersum/"
ACTIVITIES = "/admin/otel_usage/activity/"
OVERVIEW = "/admin/otel_usage/overview/"
SERIES = OVERVIEW + "series/"
END = SESSIONS + "end/"

PAGES = (OBJECTS, SESSIONS, COUNTERS, ACTIVITIES, OVERVIEW)


def sign_in(client: Client, *permissions: str, is_superuser: bool = False, is_staff: bool = True) -> Any:
    """Sign somebody in who has these permissions of ours, such as `view_overview`, and return the user."""
    user: Any = get_user_model()._default_manager.create(
        username="staff", is_staff=is_staff, is_superuser=is_superuser
    )
    of_ours = apps.get_model("auth", "Permission")._default_manager.filter(
        content_type__app_label="otel_usage"
    )
    assert of_ours.filter(codename__in=permissions).count() == len(permissions)
    user.user_permissions.set(of_ours.filter(codename__in=permissions))
    client.force_login(user)
    return user


def ago(**span: float) -> str:
    """Return a moment as `build_event` takes it."""
    return (datetime.now(timezone.utc) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.%f")


def event(name: str, at: str = "", *, properties: dict[str, str] | None = None, **columns: Any) -> Event:
    """Return an event of one hour ago, with properties."""
    made = build_event(name, at or ago(hours=1), **columns)
    further = {names.PROPERTY_PREFIX + key: value for key, value in (properties or {}).items()}
    return Event(*made[:-1], {**made.attributes, **further})


def cells(page: str) -> list[list[str]]:
    """Return the texts in the table of a page, row by row, without what stands beside them."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [html.unescape(text) for text in re.findall(r"<bdi[^>]*>(.*?)</bdi>", row)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def column(page: str, number: int) -> list[str]:
    """Return the texts of one column."""
    return [row[number] for row in cells(page)]


def link(page: str, label: str) -> str:
    """Return where the link with this label leads; empty when there is none."""
    found = re.search(rf'<a href="([^"]*)">{re.escape(label)}</a>', page)
    return html.unescape(found[1]) if found else ""
