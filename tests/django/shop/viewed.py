"""Views that say which objects they show, in every way that there is."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path
from django.views import View
from django.views.generic import DetailView, TemplateView

from otel_usage.django.decorators import object_viewed
from otel_usage.django.mixins import ObjectViewedMixin
from tests.django.shop.models import Document, Product


class ProductDetail(ObjectViewedMixin, DetailView):  # type: ignore[type-arg]  # generic for the checker alone
    model = Product
    template_name = "shop/detail.html"


class DocumentDetail(ObjectViewedMixin, DetailView):  # type: ignore[type-arg]  # generic for the checker alone
    model = Document
    template_name = "shop/detail.html"


class AboutPage(ObjectViewedMixin, TemplateView):
    template_name = "shop/detail.html"


class AsyncDetail(ObjectViewedMixin, View):
    async def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        product = await Product.objects.aget(pk=pk)
        context = self.get_context_data(object=product)
        return HttpResponse(str(context["object"]))


@object_viewed(Product)
def by_key(request: HttpRequest, pk: str) -> HttpResponse:
    if pk == "404":
        raise Http404
    return HttpResponseRedirect("/") if pk == "302" else HttpResponse("shown")


@object_viewed(Document, "reference")
async def by_named_key(request: HttpRequest, language: str, reference: str) -> HttpResponse:
    return HttpResponse("shown")


def find_by_name(request: HttpRequest, name: str) -> Product | None:
    return Product.objects.filter(name=name).first()


@object_viewed(find_by_name)
def by_name(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("shown")


@object_viewed(find_by_name)
async def by_name_plainly(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("shown")


async def find_by_name_later(request: HttpRequest, name: str) -> Product | None:
    return await Product.objects.filter(name=name).afirst()


@object_viewed(find_by_name_later)
async def by_name_later(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("shown")


@object_viewed(Product)
def with_two_arguments(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    return HttpResponse("shown")


def product_list(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/list.html", {"products": Product.objects.order_by("name")})


urlpatterns = [
    path("product/<int:pk>/", ProductDetail.as_view()),
    path("document/<uuid:pk>/", DocumentDetail.as_view()),
    path("about/", AboutPage.as_view()),
    path("async/<int:pk>/", AsyncDetail.as_view()),
    path("by-key/<str:pk>/", by_key),
    path("by-named-key/<str:language>/<str:reference>/", by_named_key),
    path("by-name/<str:name>/", by_name),
    path("by-name-later/<str:name>/", by_name_later),
    path("by-name-plainly/<str:name>/", by_name_plainly),
    path("two/<str:a>/<str:b>/", with_two_arguments),
    path("list/", product_list),
]
