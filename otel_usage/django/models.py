"""The one table that we keep in the site's own database: which sessions somebody is signed in with right now."""

from __future__ import annotations

from datetime import datetime

from django.db import models

# Django looks for models in this module alone. These have no table.
from otel_usage.django.admin_pages.models import Activity as Activity
from otel_usage.django.admin_pages.models import CounterSum as CounterSum
from otel_usage.django.admin_pages.models import Overview as Overview
from otel_usage.django.admin_pages.models import UserSession as UserSession
from otel_usage.django.admin_pages.models import ViewedObject as ViewedObject


class LiveSession(models.Model):
    """A session from its login to its end, when the row goes. It is no history: that is in ClickHouse."""

    name: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    """What events call it."""
    sealed_key: models.TextField[str, str] = models.TextField()
    """The key of the session, to end it by; empty where the session lives in a cookie."""
    user_id: models.CharField[str, str] = models.CharField(max_length=255, db_index=True)
    """As text, and no foreign key: users may live in another database, and have keys of any type."""
    shown_user_id: models.CharField[str, str] = models.CharField(max_length=255)
    """Who the user is in events; empty when they are not to say."""
    created: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    expires: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_index=True)
    """When to look whether there still is such a session."""
    ended: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    """When a session that lives in a cookie was ended; until the cookie expires by itself, it must be refused."""

    class Meta:
        verbose_name = "live session"

    def __str__(self) -> str:
        return f"session {self.name[:8]}… of user {self.user_id}"
