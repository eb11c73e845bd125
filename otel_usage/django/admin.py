"""Puts the usage pages into the site's admin, where `django.contrib.admin` finds this module."""

from __future__ import annotations

from django.contrib import admin

from otel_usage.django.admin_pages.activities import ActivitiesPage
from otel_usage.django.admin_pages.counters import CountersPage
from otel_usage.django.admin_pages.models import Activity, CounterSum, Overview, UserSession, ViewedObject
from otel_usage.django.admin_pages.objects import ObjectsPage
from otel_usage.django.admin_pages.overview import OverviewPage
from otel_usage.django.admin_pages.sessions import SessionsPage

admin.site.register(Overview, OverviewPage)
admin.site.register(ViewedObject, ObjectsPage)
admin.site.register(UserSession, SessionsPage)
admin.site.register(CounterSum, CountersPage)
admin.site.register(Activity, ActivitiesPage)
