"""Lets the site find out who is signed in, in the ways that it has itself: Django's, and those of REST framework.

An ordinary request asks for no user that its view did not ask for. This one is our own view, whose point is to tell
who did what, so it does ask: nothing for a client without credentials, and for one with a session as much as
`request.user` costs in any view.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest

_REST_FRAMEWORK = "rest_framework"


def load_user(request: HttpRequest) -> None:
    """Let the site's own authentication look at a request; whom it finds is in `request.user` afterwards."""
    if apps.is_installed(_REST_FRAMEWORK):
        _authenticate_by_rest_framework(request)
    else:
        _look_at_session(request)


def _look_at_session(request: HttpRequest) -> bool:
    """Load the user of the session; return whether somebody is signed in."""
    # Without the cookie there is nobody, and asking would only mark the session as accessed.
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return False
    user = getattr(request, "user", None)
    return user is not None and bool(user.is_authenticated)


def _authenticate_by_rest_framework(request: HttpRequest) -> None:
    """Ask the site's authentication classes in their order, as a view of REST framework does."""
    from rest_framework.authentication import SessionAuthentication
    from rest_framework.exceptions import AuthenticationFailed
    from rest_framework.request import Request
    from rest_framework.settings import api_settings

    for authentication_class in api_settings.DEFAULT_AUTHENTICATION_CLASSES:
        if issubclass(authentication_class, SessionAuthentication):
            # It would want a CSRF token, which a beacon cannot carry; the call's origin has been checked instead.
            if _look_at_session(request):
                return
            continue
        try:
            found: tuple[Any, Any] | None = authentication_class().authenticate(Request(request))
        except AuthenticationFailed:
            continue  # a token that has expired is no reason to lose the view
        if found is not None:
            request.user = found[0]
            return
