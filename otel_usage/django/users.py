"""Who the user of a Django request is, as far as the site has found out anyway."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

from otel_usage.instrumentation.guard import report_error


def signed_in_user(request: HttpRequest) -> str:
    """Return the user that Django has loaded already, else the one that an already loaded session names.

    Asking for `request.user` would be queries of ours, and in an asynchronous view an error.
    """
    try:
        user = request.__dict__.get("user")
        if isinstance(user, LazyObject):
            loaded = user.__dict__["_wrapped"]
            # The asynchronous way, `request.auser()`, leaves what it found in a place of its own.
            user = request.__dict__.get("_acached_user") if loaded is empty else loaded
        if user is not None:
            return str(user.pk) if user.is_authenticated and user.pk is not None else ""
        session = getattr(request, "session", None)
        loaded_session = session.__dict__.get("_session_cache") if session is not None else None
        return str(loaded_session.get(SESSION_KEY, "")) if loaded_session else ""
    except Exception as error:  # of a user or session class of the site
        report_error(error)
        return ""
