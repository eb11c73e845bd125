"""Puts our middleware into every Django handler of the process, right after contrib's."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Collection
from enum import Enum
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # mypy 2.4 loses the name
from wrapt import register_post_import_hook

from otel_usage.django import logins
from otel_usage.instrumentation.guard import report_error

logger = logging.getLogger(__name__)

_OUR_MIDDLEWARE = "otel_usage.django.middleware.UsageMiddleware"
_OUTERMOST_MIDDLEWARE = "otel_usage.django.middleware.OutermostMiddleware"
_CONTRIB_MIDDLEWARE = "opentelemetry.instrumentation.django.middleware.otel_middleware._DjangoMiddleware"
_AUTH_SIGNALS = "django.contrib.auth.signals"
_SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"
_MANAGEMENT_PROGRAMS = ("manage.py", "django-admin")

_loading = threading.RLock()
_is_active = False
_is_hooked = False
_settings_trouble: _SettingsTrouble | None = None
"""Why the settings could not be had when the process started; None where nothing was wrong by then."""


class DjangoUsageInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Tracks the requests of the Django site of the process.

    The launcher finds it by its entry point. By hand: `DjangoUsageInstrumentor().instrument()`, before the first
    request, with `otel_usage.configure()` for settings that are not in the environment. Django is not imported
    before the site does so, and its settings are neither read early nor changed.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the versions of Django that we work with."""
        return ("django >= 5.2",)

    def _instrument(self, **kwargs: Any) -> None:
        global _is_active, _is_hooked, _settings_trouble
        _is_active = True
        _settings_trouble = _find_settings_trouble() if _contrib_is_wanted() else None
        if _settings_trouble is not None and _is_management_command():
            # Django's commands fail before a handler is built, and name another cause.
            logger.error("%s", _settings_are_missing())
        if not _is_hooked:
            _is_hooked = True
            register_post_import_hook(_wrap_load_middleware, "django.core.handlers.base")
            register_post_import_hook(_connect_logins, _AUTH_SIGNALS)
        elif _AUTH_SIGNALS in sys.modules:
            logins.connect()

    def _uninstrument(self, **kwargs: Any) -> None:
        global _is_active
        _is_active = False
        if _AUTH_SIGNALS in sys.modules:
            logins.disconnect()


def _connect_logins(signals: Any) -> None:
    if _is_active:
        logins.connect()


def _wrap_load_middleware(base: Any) -> None:
    """Let each handler find our middleware in the settings, for the moment in which it builds its chain."""
    original: Callable[..., None] = base.BaseHandler.load_middleware

    @functools.wraps(original)
    def load_middleware(self: Any, *args: Any, **kwargs: Any) -> None:
        if not _is_active:
            original(self, *args, **kwargs)
            return
        # One at a time, because two handlers may be built in two threads at once.
        with _loading:
            # Not `django.conf.settings`: the handlers' own name for them may have been replaced, by a test suite.
            settings = base.settings
            base.settings = _with_our_middleware(settings)
            try:
                original(self, *args, **kwargs)
            finally:
                base.settings = settings

    base.BaseHandler.load_middleware = load_middleware


class _SettingsWithOurs:
    """The settings of the site with our middleware among theirs."""

    def __init__(self, settings: Any, middleware: list[str]) -> None:
        self._settings = settings
        self.MIDDLEWARE = middleware

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)


def _with_our_middleware(settings: Any) -> Any:
    """Return the settings for the moment, or as they are where we cannot go in; never raises."""
    try:
        if not hasattr(settings, "ROOT_URLCONF") and _contrib_is_wanted():
            logger.error("%s", _settings_are_missing())
        middleware = list(settings.MIDDLEWARE)
        if _OUR_MIDDLEWARE in middleware:
            return settings
        from otel_usage.django.middleware import UsageMiddleware

        if _CONTRIB_MIDDLEWARE in middleware:
            UsageMiddleware.contrib_excludes = staticmethod(_contrib_exclusion())
            middleware.insert(middleware.index(_CONTRIB_MIDDLEWARE) + 1, _OUR_MIDDLEWARE)
            middleware.insert(0, _OUTERMOST_MIDDLEWARE)
        else:
            UsageMiddleware.contrib_excludes = None
            middleware.insert(0, _OUR_MIDDLEWARE)
        return _SettingsWithOurs(settings, middleware)
    except Exception as error:
        report_error(error)
        return settings


def _contrib_exclusion() -> Callable[[Any], bool]:
    from django.core.exceptions import DisallowedHost
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware

    def excludes(request: Any) -> bool:
        try:
            return bool(_DjangoMiddleware._excluded_urls.url_disabled(request.build_absolute_uri("?")))
        except DisallowedHost:
            return False

    return excludes


def is_active() -> bool:
    """Return whether the handlers that are built now are tracked."""
    return _is_active


def _is_management_command() -> bool:
    # Before the program runs, the launcher's `sys.argv` may still be empty.
    words = [*sys.argv[:1], *getattr(sys, "orig_argv", [])[:3]]
    return any(PurePath(word).name in _MANAGEMENT_PROGRAMS for word in words)


def _contrib_is_wanted() -> bool:
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    if {"*", "django"}.intersection(name.strip() for name in disabled):
        return False
    return find_spec("opentelemetry.instrumentation.django") is not None


class _SettingsTrouble(Enum):
    IS_UNSET = "is unset"
    IS_NO_MODULE = "is no module"


def _find_settings_trouble() -> _SettingsTrouble | None:
    """Return why contrib, which reads the settings at the start, cannot have them; imports no more than it does."""
    module = os.environ.get(_SETTINGS_VARIABLE)
    if not module:
        return _SettingsTrouble.IS_UNSET
    try:
        return None if find_spec(module) is not None else _SettingsTrouble.IS_NO_MODULE
    except Exception:  # of a package of the site, or of a name that is none
        return _SettingsTrouble.IS_NO_MODULE


def _settings_are_missing() -> str:
    module = os.environ.get(_SETTINGS_VARIABLE) or "mysite.settings"
    if _settings_trouble is _SettingsTrouble.IS_UNSET:
        trouble = f"{_SETTINGS_VARIABLE} was not in the environment when the process started"
        cure = f"Set it before the start: export {_SETTINGS_VARIABLE}={module}"
    elif _settings_trouble is _SettingsTrouble.IS_NO_MODULE:
        trouble = f"{_SETTINGS_VARIABLE} is {module!r}, which could not be found when the process started"
        cure = (
            "Start in the directory of the project, or put that into PYTHONPATH: gunicorn's --chdir and uvicorn's "
            "--app-dir come too late"
        )
    else:
        trouble = f"The settings {module!r} could not be loaded when the process started"
        cure = f"To see why: python -c 'import {module}'"
    return (
        f"{trouble}, so the instrumentation of Django (opentelemetry-instrumentation-django) gave Django empty "
        f"settings, and every request will fail. {cure}"
    )
