from __future__ import annotations

from django.urls import include, path, re_path

from tests.django.shop import views

urlpatterns = [
    path("", views.home),
    path("item/<int:number>/", views.item, name="item"),
    path("async-item/<int:number>/", views.async_item),
    re_path("^old/(?P<number>[0-9]+)/$", views.item),
    path("forbidden/", views.forbidden),
    path("broken/", views.broken),
    path("redirect/", views.redirecting),
    path("empty/", views.empty),
    path("stream/", views.stream),
    path("async-stream/", views.async_stream),
    path("file/", views.file),
    path("cached/", views.cached),
    path("who/", views.who),
    path("login/<str:username>/", views.sign_in),
    path("logout/", views.sign_out),
    path("new-password/", views.new_password),
    path("async-new-password/", views.async_new_password),
    path("form/", views.form),
    path("events/", views.events),
    re_path("^app/", views.single_page),
    path("excluded/", views.excluded),
    path("included/", views.included),
    path("viewed/", include("tests.django.shop.viewed")),
    path("link/", include("tests.django.shop.links")),
]
