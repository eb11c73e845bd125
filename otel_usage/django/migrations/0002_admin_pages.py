"""Makes the permissions to see the admin pages; creates no table."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation


def _page(
    name: str, singular: str, plural: str = "", *, permissions: tuple[str, ...] = ("view",)
) -> Operation:
    options: dict[str, Any] = {
        "verbose_name": singular,
        "managed": False,
        "default_permissions": permissions,
    }
    if plural:
        options["verbose_name_plural"] = plural
    key: models.BigAutoField[int, int] = models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )
    return migrations.CreateModel(name=name, fields=[("id", key)], options=options)


class Migration(migrations.Migration):
    """The models of the pages, unmanaged."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("otel_usage", "0001_live_session")]
    operations: ClassVar[list[Operation]] = [
        _page("Activity", "activity", "activities"),
        _page("CounterSum", "counter"),
        _page("Overview", "overview", "overview"),
        _page("UserSession", "user session", permissions=("view", "change")),
        _page("ViewedObject", "object viewed", "objects viewed"),
    ]
