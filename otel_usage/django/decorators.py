"""What function views are marked with to say that an object was viewed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import router
from django.db.models import Model
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from otel_usage.django.signals import send_object_viewed
from otel_usage.instrumentation.guard import report_error
from otel_usage.log_throttle import LogThrottle

logger = logging.getLogger(__name__)

_View = TypeVar("_View", bound=Callable[..., Any])

_NOT_MODIFIED = 304

_misuse_log = LogThrottle()


def object_viewed(
    what: type[Model] | Callable[..., object], argument: str | None = None
) -> Callable[[_View], _View]:
    """Mark a view function, plain or asynchronous: what it shows was viewed, when it answers with success.

    `@object_viewed(Product)` takes the key from the argument `pk` or `id` of the view, or its only one;
    `@object_viewed(Product, "number")` names the argument. That costs no query: `object_viewed_signal` carries an
    instance that has its key, and loads the rest when a receiver asks for it.

    `@object_viewed(find)` calls `find(request, …)` with the view's own arguments, after the view; it returns the
    object, or None when there is none. For an asynchronous view it may be asynchronous; one that is not runs in
    Django's thread for such code, and may ask the database.

    A view that has the object in its hands needs no decorator: `otel_usage.object_viewed(product)`.

    Args:
        what: a model, or a function that finds the object.
        argument: name of the view's argument that holds the key of the model.

    Raises:
        TypeError: `what` is neither, or the function comes with an argument.
    """
    if not callable(what):
        raise TypeError(
            f"object_viewed() was given {what!r}, expected a model or a function: @object_viewed(Product)"
        )
    find = _finder(what, argument)

    def mark(view: _View) -> _View:
        if not iscoroutinefunction(view):
            if iscoroutinefunction(find):
                raise TypeError(f"{find!r} is asynchronous and {view!r} is not; expected both to be alike")
            return cast(_View, _marked(view, find))
        return cast(_View, _marked_async(view, find))

    return mark


def _finder(what: type[Model] | Callable[..., object], argument: str | None) -> Callable[..., object]:
    if isinstance(what, type) and issubclass(what, Model):
        return functools.partial(_instance_by_key, what, argument)
    if argument is not None:
        raise TypeError(
            f"object_viewed() was given the argument {argument!r} with {what!r}, expected it with a model"
        )
    return cast(Callable[..., object], what)


def _marked(view: Callable[..., Any], find: Callable[..., object]) -> Callable[..., Any]:
    @functools.wraps(view)
    def marked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = view(request, *args, **kwargs)
        try:
            if _is_shown(response):
                _send(find(request, *args, **kwargs), request)
        except Exception as error:
            report_error(error)
        return response

    return marked


def _marked_async(
    view: Callable[..., Awaitable[Any]], find: Callable[..., Any]
) -> Callable[..., Awaitable[Any]]:
    find_async = find if iscoroutinefunction(find) else sync_to_async(find)

    @functools.wraps(view)
    async def marked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = await view(request, *args, **kwargs)
        try:
            if _is_shown(response):
                _send(await find_async(request, *args, **kwargs), request)
        except Exception as error:
            report_error(error)
        return response

    return marked


def _send(instance: object, request: HttpRequest) -> None:
    if instance is not None:
        send_object_viewed(instance, request)


def _is_shown(response: HttpResponseBase) -> bool:
    """Return whether the client sees what the view is about: a redirect and an error show something else."""
    return 200 <= response.status_code < 300 or response.status_code == _NOT_MODIFIED


def _instance_by_key(
    model: type[Model], argument: str | None, request: HttpRequest, *args: Any, **kwargs: Any
) -> Model | None:
    field = model._meta.pk
    if argument is not None:
        key = kwargs[argument]
    elif "pk" in kwargs or "id" in kwargs:
        key = kwargs["pk"] if "pk" in kwargs else kwargs["id"]
    elif len(args) + len(kwargs) == 1:
        (key,) = (*args, *kwargs.values())
    else:
        _misuse_log.log(
            logger,
            logging.ERROR,
            "@object_viewed(%s) cannot tell which argument of its view is the key, and records nothing. Name it: "
            "@object_viewed(%s, 'number')",
            model.__name__,
            model.__name__,
        )
        return None
    # As it comes from the database, with all but the key left for later.
    return model.from_db(router.db_for_read(model), [field.attname], [field.to_python(key)])
