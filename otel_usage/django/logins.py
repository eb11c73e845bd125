"""Logins, failed logins, logouts and ended sessions as events, through the signals that Django sends anyway.

Nothing of Django's is imported before it is called: this module is loaded while `django.contrib.auth` is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from otel_usage import attributes as names
from otel_usage.instrumentation.api import record_event
from otel_usage.instrumentation.guard import never_raises
from otel_usage.instrumentation.identity import UserReader
from otel_usage.instrumentation.redaction import bounded
from otel_usage.instrumentation.tracked import current_request
from otel_usage.model import AttributeValue
from otel_usage.wiring import runtime

if TYPE_CHECKING:
    from django.contrib.sessions.backends.base import SessionBase
    from django.http import HttpRequest

logger = logging.getLogger(__name__)

SESSION_PROPERTY = "session"
BACKEND_PROPERTY = "backend"
REASON_PROPERTY = "reason"

_has_warned = False


def connect() -> None:
    """Record what Django's signals tell from now on; calling it again changes nothing."""
    from django.contrib.auth import signals

    signals.user_logged_in.connect(_on_login, dispatch_uid="otel_usage.login")
    signals.user_login_failed.connect(_on_failed_login, dispatch_uid="otel_usage.login_failed")
    signals.user_logged_out.connect(_on_logout, dispatch_uid="otel_usage.logout")


def disconnect() -> None:
    """Undo `connect`."""
    from django.contrib.auth import signals

    signals.user_logged_in.disconnect(dispatch_uid="otel_usage.login")
    signals.user_login_failed.disconnect(dispatch_uid="otel_usage.login_failed")
    signals.user_logged_out.disconnect(dispatch_uid="otel_usage.logout")


def record_session_ended(name: str, user_id: str, reason: str) -> None:
    """Record that a session was ended.

    Args:
        name: of the session.
        user_id: whose it was, as events have it; empty when they are not to say.
        reason: why, one of a few fixed words.
    """
    record_event(names.SESSION_ENDED, _attributes(user_id, {SESSION_PROPERTY: name, REASON_PROPERTY: reason}))


def shown_user_id(request: HttpRequest | None, user: Any) -> str | None:
    """Return who a user is in events; None for a visitor who is not to be followed.

    The settings of privacy and of `OTEL_USAGE_USER` hold for logins as they do for requests.
    """
    from otel_usage.django.request import facts_of
    from otel_usage.reports.connection import settings_in_force

    settings = settings_in_force()
    tracked = current_request()
    if tracked is not None:
        has_opted_out = tracked.facts.opted_out
    else:
        has_opted_out = request is not None and facts_of(request, settings).opted_out
    if has_opted_out:
        return None
    reader = UserReader(settings.user)
    if reader.is_passive:
        return "" if user.pk is None else bounded(str(user.pk), names.MAX_NAME)
    return reader.user_id(request)


def signed_in_session(request: HttpRequest | None) -> SessionBase | None:
    """Return the session of a request if somebody is signed in with it; asks no store for it."""
    from django.contrib.auth import SESSION_KEY

    session: SessionBase | None = getattr(request, "session", None)
    # `login()` has loaded it. Others send the signal too, such as those that hand out tokens.
    if session is None or "_session_cache" not in session.__dict__:
        return None
    return session if session.get(SESSION_KEY) is not None else None


@never_raises
def _on_login(request: Any = None, user: Any = None, **named: Any) -> None:
    from django.contrib.auth import BACKEND_SESSION_KEY

    from otel_usage.django.session_keys import name_at_login

    if user is None or runtime() is None:
        return
    session = signed_in_session(request)
    if session is not None:
        _warn_without_app()
    user_id = shown_user_id(request, user)
    if user_id is None:
        record_event(names.LOGIN, {})
        return
    record_event(
        names.LOGIN,
        _attributes(
            user_id,
            {
                SESSION_PROPERTY: name_at_login(session) if session is not None else "",
                BACKEND_PROPERTY: session.get(BACKEND_SESSION_KEY, "") if session is not None else "",
            },
        ),
    )


@never_raises
def _on_failed_login(**named: Any) -> None:
    # Nothing of the credentials: a name that fits no account may be another person's, or a password.
    record_event(names.LOGIN_FAILED, {})


@never_raises
def _on_logout(request: Any = None, user: Any = None, **named: Any) -> None:
    from otel_usage.django.session_keys import name_of

    if user is None:
        return  # nobody was signed in
    user_id = shown_user_id(request, user)
    if user_id is None:
        record_event(names.LOGOUT, {})
        return
    session = signed_in_session(request)
    name = name_of(session) if session is not None else ""
    record_event(names.LOGOUT, _attributes(user_id, {SESSION_PROPERTY: name}))


def _attributes(user_id: str, properties: dict[str, str]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        names.PROPERTY_PREFIX + name: bounded(str(value), names.MAX_TEXT)
        for name, value in properties.items()
        if value
    }
    if user_id:
        attributes[names.USER_ID] = user_id
    return attributes


def _warn_without_app() -> None:
    global _has_warned
    from django.apps import apps

    from otel_usage.reports.connection import settings_in_force

    if _has_warned or not settings_in_force().one_session_per_user or apps.is_installed("otel_usage.django"):
        return
    _has_warned = True
    logger.error(
        "OTEL_USAGE_ONE_SESSION_PER_USER is on, but it needs a table in the site's database, so nobody is logged out. "
        "Add 'otel_usage.django' to INSTALLED_APPS and run: manage.py migrate otel_usage"
    )
