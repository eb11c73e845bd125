"""What keeps the table of live sessions true: hooks at login, logout, new keys, and at the end of users.

`AppConfig.ready` connects them, so they need the app and not the instrumentor. None of them raises into the site.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.db import router, transaction
from django.db.models.signals import post_delete, post_save
from django.utils import timezone

from otel_usage.django.logins import shown_user_id, signed_in_session
from otel_usage.django.models import LiveSession
from otel_usage.django.session_keys import MARKER, lives_in_cookie, name_at_login, name_of, seal
from otel_usage.django.user_sessions import end_other_sessions, end_sessions_of, forget_expired
from otel_usage.log_throttle import LogThrottle, describe_error
from otel_usage.reports.connection import settings_in_force

logger = logging.getLogger(__name__)

_COOKIE_ROW_LIFETIME = timedelta(days=365)
"""How long a session in a cookie is remembered: the server cannot know whether it was prolonged."""

_PENDING = "_otel_usage_when_saved"
"""Attribute of a session with what is to be done when it has been saved."""

_trouble_log = LogThrottle()
_is_connected = False


def connect() -> None:
    """Put the hooks in, once."""
    global _is_connected
    if _is_connected:
        return
    _is_connected = True
    user_logged_in.connect(_on_login, dispatch_uid="otel_usage.live_session")
    user_logged_out.connect(_on_logout, dispatch_uid="otel_usage.live_session")
    user_model = django_settings.AUTH_USER_MODEL
    post_save.connect(_on_user_saved, sender=user_model, dispatch_uid="otel_usage.live_session")
    post_delete.connect(_on_user_deleted, sender=user_model, dispatch_uid="otel_usage.live_session")
    _follow_new_keys()
    _refuse_ended_cookies()


@dataclass(frozen=True, slots=True)
class _Login:
    name: str
    user_id: str
    shown_user_id: str


def _never_breaks(function: Callable[..., None]) -> Callable[..., None]:
    """Return the hook with its errors logged, those of a table that is not there with the cure."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            if not settings_in_force().disabled:
                function(*args, **kwargs)
        except Exception as error:
            _trouble_log.log(
                logger,
                logging.ERROR,
                "Live sessions could not be kept (%s). If the table is not there yet, run: manage.py migrate otel_usage",
                describe_error(error),
            )

    return guarded


@_never_breaks
def _on_login(request: Any = None, user: Any = None, **named: Any) -> None:
    session = signed_in_session(request)
    if session is None or user is None:
        return
    login = _Login(name_at_login(session), str(user.pk), shown_user_id(request, user) or "")
    _when_saved(session, lambda: _remember(session, login))


def _when_saved(session: SessionBase, then: Callable[[], None]) -> None:
    """Call a function once, right after the session has been saved for the first time.

    Not earlier: a key may come with the saving. And who ends the session of a request that is still to be answered
    makes Django answer it with an error, even that of the other one of two logins at the same moment.
    """
    is_armed = _PENDING in session.__dict__
    session.__dict__[_PENDING] = then
    if is_armed:
        return  # the last login of a request is the one that counts
    save, asave = session.save, session.asave

    def disarm() -> Callable[[], None] | None:
        session.__dict__.pop("save", None)
        session.__dict__.pop("asave", None)
        pending: Callable[[], None] | None = session.__dict__.pop(_PENDING, None)
        return pending

    def save_then(*args: Any, **kwargs: Any) -> None:
        pending = disarm()
        save(*args, **kwargs)
        if pending is not None:
            pending()

    async def asave_then(*args: Any, **kwargs: Any) -> None:
        # First, because some backends do it with `save`, where no database may be asked.
        pending = disarm()
        await asave(*args, **kwargs)
        if pending is not None:
            await sync_to_async(pending)()

    session.save = save_then  # type: ignore[method-assign]
    session.asave = asave_then  # type: ignore[method-assign]


@_never_breaks
def _remember(session: SessionBase, login: _Login) -> None:
    now = timezone.now()
    is_in_cookie = lives_in_cookie(session)
    expires = session.get_expiry_date()
    if is_in_cookie:
        expires = max(expires, now + _COOKIE_ROW_LIFETIME)
    database = router.db_for_write(LiveSession)
    with transaction.atomic(using=database):
        # A second login in the same session makes it the last one of its user again.
        LiveSession.objects.using(database).filter(name=login.name).delete()
        LiveSession.objects.using(database).create(
            name=login.name,
            sealed_key="" if is_in_cookie else seal(session.session_key or ""),
            user_id=login.user_id,
            shown_user_id=login.shown_user_id,
            created=now,
            expires=expires,
        )
    if settings_in_force().one_session_per_user:
        end_other_sessions(login.user_id)
        if transaction.get_connection(database).in_atomic_block:
            # Another login at this moment sees our row only then.
            transaction.on_commit(lambda: _end_others(login.user_id), using=database)
    forget_expired()


_end_others = _never_breaks(end_other_sessions)


@_never_breaks
def _on_logout(request: Any = None, **named: Any) -> None:
    session = signed_in_session(request)
    name = name_of(session) if session is not None else ""
    if name:
        with transaction.atomic(using=router.db_for_write(LiveSession)):
            LiveSession.objects.filter(name=name).delete()


@_never_breaks
def _on_user_saved(instance: Any, created: bool, raw: bool, update_fields: Any, **named: Any) -> None:
    # From the instance's own values: asking for one that was left out would be a query.
    is_active = instance.__dict__.get("is_active", True)
    if created or raw or is_active or (update_fields is not None and "is_active" not in update_fields):
        return
    with transaction.atomic(using=router.db_for_write(LiveSession)):
        end_sessions_of(instance, reason="user_deactivated")


@_never_breaks
def _on_user_deleted(instance: Any, **named: Any) -> None:
    with transaction.atomic(using=router.db_for_write(LiveSession)):
        end_sessions_of(instance, reason="user_deleted")


def _follow_new_keys() -> None:
    """Keep the name of a session whose key changes while somebody is signed in, as it does with a new password."""
    cycle_key, acycle_key = SessionBase.cycle_key, SessionBase.acycle_key

    @functools.wraps(cycle_key)
    def cycle_and_follow(self: SessionBase) -> None:
        name = name_of(self) if self.get(SESSION_KEY) is not None else ""
        cycle_key(self)
        if name:
            self[MARKER] = name
            _note_new_key(name, self.session_key)

    @functools.wraps(acycle_key)
    async def acycle_and_follow(self: SessionBase) -> None:
        is_signed_in = await self.aget(SESSION_KEY) is not None
        # It is loaded now, so that asking for the name waits for nothing.
        name = name_of(self) if is_signed_in else ""
        await acycle_key(self)
        if name:
            self[MARKER] = name
            await sync_to_async(_note_new_key)(name, self.session_key)

    SessionBase.cycle_key = cycle_and_follow  # type: ignore[method-assign]
    SessionBase.acycle_key = acycle_and_follow  # type: ignore[method-assign]


@_never_breaks
def _note_new_key(name: str, key: str | None) -> None:
    if key:
        with transaction.atomic(using=router.db_for_write(LiveSession)):
            LiveSession.objects.filter(name=name).update(sealed_key=seal(key))


def _refuse_ended_cookies() -> None:
    """Let the backend of signed cookies, and no other, look whether the session it loads has been ended."""
    load = CookieStore.load

    @functools.wraps(load)
    def load_unless_ended(self: CookieStore) -> dict[str, Any]:
        data: dict[str, Any] = load(self)
        if not data or not _is_ended(data.get(MARKER)):
            return data
        self.create()  # as Django does with a cookie that it cannot read
        return {}

    async def aload_unless_ended(self: CookieStore) -> dict[str, Any]:
        return await sync_to_async(self.load)()

    CookieStore.load = load_unless_ended  # type: ignore[method-assign, assignment]
    CookieStore.aload = aload_unless_ended  # type: ignore[method-assign, assignment]


def _is_ended(name: object) -> bool:
    if not isinstance(name, str) or settings_in_force().disabled:
        return False
    try:
        return LiveSession.objects.filter(name=name, ended__isnull=False).exists()
    except Exception as error:
        # Signed in rather than out: whoever ends a session finds the database down as well.
        _trouble_log.log(logger, logging.ERROR, "Could not look whether a session has ended: %s", describe_error(error))  # fmt: skip
        return False
