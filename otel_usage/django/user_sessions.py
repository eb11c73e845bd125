"""Ends sessions, of every session backend, and keeps the table of those that are live.

The database is asked at logins, logouts and where somebody ends a session, and in no other request.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from importlib import import_module
from typing import Any, cast

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db import router, transaction
from django.utils import timezone

from otel_usage.django.logins import record_session_ended
from otel_usage.django.session_keys import (
    MARKER,
    is_session_name,
    lives_in_cookie,
    name_of_key,
    unseal,
)
from otel_usage.log_throttle import describe_error

logger = logging.getLogger(__name__)

_EXPIRED_AT_ONCE = 5
"""So many expired rows are looked at per login; each login makes one, so that they get fewer."""


def end_session(key: str, *, reason: str = "ended") -> bool:
    """End a session: whoever uses it is logged out with the next request.

    Works with every session backend; one that keeps sessions in signed cookies needs the app `otel_usage.django`
    installed before the login. Records the event `session_ended`. Repeatable: a session that is gone has ended.

    Args:
        key: the session's key, or its name, the 64 hex digits that the event `login` has as its property `session`.
            A name needs the app `otel_usage.django` installed before the login; one that nobody knows, because its
            session has ended or began earlier than that, counts as gone.
        reason: why, one of a few fixed words of the site's own, for the event.

    Returns:
        False when it could not be ended; the log says why.
    """
    try:
        if not is_session_name(key):
            with _savepoint():
                return _end_by_key(key, reason)
        if not is_installed():
            logger.error(
                "A session can be ended by its name only where live sessions are known. Add 'otel_usage.django' to "
                "INSTALLED_APPS and run: manage.py migrate otel_usage"
            )
            return False
        with _savepoint():
            return _end_by_name(key, reason)
    except Exception as error:  # of a database or cache that is down
        logger.error(
            "Could not end a session: %s. If it is the table of live sessions that is missing, run: "
            "manage.py migrate otel_usage",
            describe_error(error),
        )
        return False


def end_sessions_of(user: Any, *, reason: str = "ended") -> int:
    """End every session that a user has signed in with since the app `otel_usage.django` was installed.

    Args:
        user: a user, or the user's key.
        reason: why, as for `end_session`.

    Returns:
        How many were ended.

    Raises:
        Exception: the database or the session backend could not answer; what had been ended by then is.
    """
    user_id = str(user.pk if hasattr(user, "pk") else user)
    rows = list(_rows().filter(user_id=user_id, ended=None))
    return sum(_end(row, reason) for row in rows)


def end_other_sessions(user_id: str) -> None:
    """End all sessions of a user but the last one that was opened.

    Two logins at the same moment agree on which that is: each comes here after its own row has been committed, so
    at least one of them sees both rows, and both take the one with the highest number for the last.
    """
    for row in _rows().filter(user_id=user_id, ended=None).order_by("-pk")[1:]:
        _end(row, "one_session_per_user")


def forget_expired() -> None:
    """Remove some rows of sessions that have expired; a session that was prolonged keeps its row."""
    now = timezone.now()
    for row in _rows().filter(expires__lt=now).order_by("expires")[:_EXPIRED_AT_ONCE]:
        lifetime = _remaining_seconds(row)
        if lifetime is None:
            row.delete()
        else:
            _rows().filter(pk=row.pk).update(expires=now + timedelta(seconds=lifetime))


def is_installed() -> bool:
    """Return whether the table of live sessions is part of the site."""
    return apps.is_installed("otel_usage.django")


def session_store(key: str | None = None) -> SessionBase:
    """Return a session of the site's backend, not loaded yet."""
    return cast(SessionBase, import_module(django_settings.SESSION_ENGINE).SessionStore(key))


def _rows() -> Any:
    # Not at the top: a site without the app in INSTALLED_APPS cannot load its model.
    from otel_usage.django.models import LiveSession

    return LiveSession._default_manager


def _savepoint() -> AbstractContextManager[None]:
    """Return what keeps a failing statement of ours from breaking a transaction of the site's."""
    if not is_installed():
        return nullcontext()
    return cast("AbstractContextManager[None]", transaction.atomic(using=router.db_for_write(_rows().model)))


def _end_by_name(name: str, reason: str) -> bool:
    row = _rows().filter(name=name).first()
    if row is not None:
        _end(row, reason)
    return True


def _end_by_key(key: str, reason: str) -> bool:
    if is_installed() and (row := _rows().filter(name=name_of_key(key)).first()) is not None:
        _end(row, reason)
        return True
    store = _load(key)
    data = dict(store.items())
    if not data:
        if key and not lives_in_cookie(store):
            session_store().delete(key)  # expired, but not gone
        return True
    name = str(data.get(MARKER, ""))
    if is_installed() and name and (row := _rows().filter(name=name).first()) is not None:
        _end(row, reason)
        return True
    if lives_in_cookie(store):
        logger.error(
            "A session that lives in a cookie was opened before 'otel_usage.django' was installed and migrated, and "
            "cannot be ended; it ends with SESSION_COOKIE_AGE, or with the user's password"
        )
        return False
    session_store().delete(key)
    # Nobody knows whether its user agreed to be followed.
    record_session_ended(name or name_of_key(key), "", reason)
    return True


def _load(key: str) -> SessionBase:
    """Return the session of a key, loaded; it is empty when there is none."""
    store = session_store(key)
    store.items()
    if store.session_key not in (None, key):
        store.delete()  # the file backend makes a new one in the place of one that has expired
    return store


def _end(row: Any, reason: str) -> bool:
    """End the session of a row, and return whether it was this call that did."""
    if row.sealed_key:
        key = unseal(row.sealed_key)
        # One that was sealed with a lost SECRET_KEY was signed in with it too, and is not any more.
        if key is not None:
            session_store().delete(key)
        # After the session, so that a failure leaves the row for the next try.
        changed = _rows().filter(pk=row.pk).delete()[0]
    else:
        now = timezone.now()
        # A cookie from before now is refused by Django itself after this time.
        expires = now + timedelta(seconds=django_settings.SESSION_COOKIE_AGE)
        changed = _rows().filter(pk=row.pk, ended=None).update(ended=now, expires=expires)
    if changed:
        record_session_ended(row.name, row.shown_user_id, reason)
    return bool(changed)


def _remaining_seconds(row: Any) -> float | None:
    """Return how long the session of an expired row goes on, None when it is over."""
    key = unseal(row.sealed_key) if row.sealed_key else None
    if key is None:
        return None
    store = _load(key)
    if store.get(SESSION_KEY) is None:
        return None
    return max(store.get_expiry_age(), 60)
