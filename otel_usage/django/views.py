"""The click-through view: counts a click on an object, then sends the visitor to where it leads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.generic import View
from django.views.generic.detail import SingleObjectMixin

from otel_usage.django.messages import send_increment_message
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.tracked import current_request

if TYPE_CHECKING:
    _ObjectMixin = SingleObjectMixin[Any]
else:
    _ObjectMixin = SingleObjectMixin  # generic for type checkers alone

_Object = TypeVar("_Object", bound=Model)

MessageFunction: TypeAlias = Callable[..., object]
"""Gets request, object and counter, then `data_cls` and `options` by name."""
RedirectFunction: TypeAlias = Callable[[Any, dict[str, Any]], str]
"""Gets the object and the options; returns where to go."""


def track_object(
    request: HttpRequest,
    queryset: QuerySet[_Object],
    message_op: str = "clicks",
    message_func: MessageFunction = send_increment_message,
    trackable_cls: type | None = None,
    url_field: str | None = None,
    redirect_func: RedirectFunction | None = None,
    object_id: object = None,
    slug: str | None = None,
    slug_field: str = "slug",
    **options: Any,
) -> HttpResponse:
    """Count a click on an object, and answer with a redirect, or with `true` to a script.

    Where it goes is said by the site alone, never by the request: by `redirect_func`, by `url_field`, or by the
    object's `get_absolute_url()`. The visitor arrives also when nothing can be counted.

    Args:
        request: the request.
        queryset: where the object is looked for.
        message_op: the counter.
        message_func: what counts: `send_increment_message`, `send_decrement_message`, or one like them.
        trackable_cls: passed to it as `data_cls`.
        url_field: attribute of the object with the URL to go to; an empty one is passed over.
        redirect_func: returns the URL to go to.
        object_id: primary key of the object.
        slug: the object's slug, where there is no `object_id`.
        slug_field: the field in which that stands.
        **options: passed to both functions, such as `value`.

    Raises:
        Http404: there is no such object.
        ImproperlyConfigured: neither `object_id` nor `slug` was given, or nothing says where to go.
    """
    obj = _find(queryset, object_id, slug, slug_field)
    return _answer(
        request,
        lambda: _target_of(obj, url_field, redirect_func, options),
        lambda: message_func(request, obj, message_op, data_cls=trackable_cls, options=dict(options)),
    )


def trackable_redirect(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Do what `track_object` does, under the name that it had before; warns."""
    warnings.warn(
        "trackable_redirect is called otel_usage.django.views.track_object now",
        DeprecationWarning,
        stacklevel=2,
    )
    return track_object(request, *args, **kwargs)


class TrackObjectView(_ObjectMixin, View):
    """`track_object` as a class: `TrackObjectView.as_view(model=Link, counter="clicks", url_field="url")`.

    The object is found as in Django's `DetailView`, by `pk` or `slug` of the URL pattern.
    """

    counter = "clicks"
    url_field: str | None = None

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Count a click and answer like `track_object`."""
        obj = self.get_object()
        return _answer(request, lambda: self.get_redirect_url(obj), lambda: self.send_message(obj))

    def get_redirect_url(self, obj: Any) -> str:
        """Return where to go."""
        return _target_of(obj, self.url_field, None, {})

    def send_message(self, obj: Any) -> None:
        """Count the click."""
        send_increment_message(self.request, obj, self.counter)


def _answer(request: HttpRequest, target: Callable[[], str], count: Callable[[], object]) -> HttpResponse:
    # Before it counts: what cannot be followed is no click.
    response: HttpResponse = (
        JsonResponse(True, safe=False) if _is_from_script(request) else HttpResponseRedirect(target())
    )
    tracked = current_request()
    try:
        # A browser that fetches the page in advance has not followed the link, and may never do so.
        if tracked is None or not tracked.facts.purpose:
            count()
    except Exception as error:  # of a function that is not ours
        report_error(error)
    # A browser that kept the answer would go there the next time without asking us.
    response["Cache-Control"] = "no-store"
    return response


def _find(queryset: QuerySet[_Object], object_id: object, slug: str | None, slug_field: str) -> _Object:
    if object_id not in (None, ""):
        wanted: Mapping[str, object] = {"pk": object_id}
    elif slug and slug_field:
        wanted = {slug_field: slug}
    else:
        raise ImproperlyConfigured(
            "track_object needs the object_id or the slug of the object, from its URL pattern"
        )
    try:
        return queryset.filter(**wanted).get()
    # A key that the field cannot read belongs to no object.
    except (queryset.model.DoesNotExist, ValidationError, ValueError, OverflowError):
        raise Http404(f"There is no such {queryset.model._meta.verbose_name}") from None


def _is_from_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "XMLHttpRequest"


def _target_of(
    obj: Model, url_field: str | None, redirect_func: RedirectFunction | None, options: Mapping[str, Any]
) -> str:
    if redirect_func is not None:
        return redirect_func(obj, dict(options))
    target = getattr(obj, url_field, "") if url_field else ""
    if target:
        return str(target)
    get_absolute_url: Callable[[], str] | None = getattr(obj, "get_absolute_url", None)
    if get_absolute_url is None:
        raise ImproperlyConfigured(
            f"track_object does not know where {obj._meta.label} leads. Give it a url_field or a redirect_func, "
            "or the model a get_absolute_url()"
        )
    return get_absolute_url()
