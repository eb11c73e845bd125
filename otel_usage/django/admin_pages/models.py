"""What the admin pages are about, as models without a table: there for the pages' names and permissions alone."""

from __future__ import annotations

from django.db import models


class Overview(models.Model):
    """Requests, visits and conversions at a glance."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = verbose_name_plural = "overview"


class ViewedObject(models.Model):
    """One view of one object."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = "object viewed"
        verbose_name_plural = "objects viewed"


class UserSession(models.Model):
    """A login, a logout, a failed login or an ended session. Who may change it may end sessions."""

    class Meta:
        managed = False
        default_permissions = ("view", "change")
        verbose_name = "user session"


class CounterSum(models.Model):
    """What a counter of an object came to."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = "counter"


class Activity(models.Model):
    """One call of the client API."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = "activity"
        verbose_name_plural = "activities"
