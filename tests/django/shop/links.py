"""The click-through view in each way that a site may have it."""

from __future__ import annotations

from django.urls import path

from otel_usage.django.messages import send_decrement_message, send_increment_message
from otel_usage.django.views import TrackObjectView, track_object, trackable_redirect
from tests.django.shop.models import Link


def broken_message(*args: object, **kwargs: object) -> None:
    raise RuntimeError("of the site")


urlpatterns = [
    path("id/<str:object_id>/", track_object, {"queryset": Link.objects.all(), "url_field": "url"}),
    path("slug/<slug:slug>/", track_object, {"queryset": Link.objects.all(), "message_op": "downloads"}),
    path(
        "function/<int:object_id>/",
        track_object,
        {
            "queryset": Link.objects.all(),
            "message_op": "clicks",
            "message_func": send_increment_message,
            "redirect_func": lambda link, options: f"/to/{link.slug}/{options['value']}/",
            "value": 3,
        },
    ),
    path(
        "less/<int:object_id>/",
        track_object,
        {"queryset": Link.objects.all(), "message_op": "clicks", "message_func": send_decrement_message},
    ),
    path(
        "broken/<int:object_id>/",
        track_object,
        {"queryset": Link.objects.all(), "message_op": "clicks", "message_func": broken_message},
    ),
    path("nothing/", track_object, {"queryset": Link.objects.all()}),
    path("old/<int:object_id>/", trackable_redirect, {"queryset": Link.objects.all(), "url_field": "url"}),
    path("class/<int:pk>/", TrackObjectView.as_view(model=Link, url_field="url")),
]
