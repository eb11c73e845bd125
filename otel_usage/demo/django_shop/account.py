"""Signing up for the shop's letter."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.generic import TemplateView, View

from otel_usage.demo.shop.forms import problem_of_address


class Signup(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "signup.html", {"error": ""})

    def post(self, request: HttpRequest) -> HttpResponse:
        error = problem_of_address(request.POST.get("email", ""))
        if error:
            return render(request, "signup.html", {"error": error}, status=400)
        request.session["signed_up"] = True
        return redirect("account:welcome")


urlpatterns = [
    path("signup", Signup.as_view(), name="form"),
    path("welcome", TemplateView.as_view(template_name="welcome.html"), name="welcome"),
]
