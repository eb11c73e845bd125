"""The Flask extension: what is tracked of an app, and which storages of its own are told."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, TypeAlias, TypeVar

from flask import Blueprint, Flask

from otel_usage import wiring
from otel_usage.flask.app_usage import AppUsage, Attachment, is_mode
from otel_usage.flask.extension import EXTENSION, ModeError
from otel_usage.flask.handover import Taker
from otel_usage.flask.instrumentor import FlaskUsageInstrumentor, forget_tracker
from otel_usage.flask.marks import OwnMarks
from otel_usage.flask.scope import place_of_endpoint
from otel_usage.flask.storages import Delivery, StorageCallable
from otel_usage.flask.storages.clickhouse import ClickHouseReader
from otel_usage.flask.storages.sink_thread import SinkThread, close_sinks

logger = logging.getLogger(__name__)

Storages: TypeAlias = StorageCallable | Iterable[StorageCallable]

_View = TypeVar("_View")
_AnyBlueprint = TypeVar("_AnyBlueprint", bound=Blueprint)

_MODE_KEY = "TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS"
_COOKIE_KEY = "TRACK_USAGE_COOKIE"
_USE_GEO_KEY = "TRACK_USAGE_USE_FREEGEOIP"
_GEO_ENDPOINT_KEY = "TRACK_USAGE_FREEGEOIP_ENDPOINT"
_CLOSE_SECONDS = 1.0
"""How long storages that others replace may take for what waits."""

_sinks: weakref.WeakSet[SinkThread] = weakref.WeakSet()
"""Of every app, also of one that is gone while a storage still has requests of it."""


class TrackUsage:
    """Tracks an app, with a scope of its own and storages of its own.

    One instance may be used for several apps, and several for one app: a request is tracked when one of them wants
    it, and each one's storages get what that one wants. Beside the storages, events go where the settings send them.
    """

    def __init__(
        self,
        app: Flask | None = None,
        storage: Storages | None = None,
        _fake_time: datetime | None = None,
    ) -> None:
        """Make the extension, and attach it to an app if one is given.

        Args:
            app: that is tracked; None where `init_app` follows.
            storage: one callable that takes the data of a request as a dictionary, or several.
            _fake_time: the time that storages are told of every request, for tests; without a zone it is UTC.

        Raises:
            TypeError: the app is no Flask app, a storage cannot be called, or the time is no datetime.
            NotImplementedError: the app's configuration asks for a mode that there is not.
        """
        if _fake_time is not None and not isinstance(_fake_time, datetime):
            raise TypeError(f"_fake_time is a {type(_fake_time).__name__}, expected a datetime")
        self._fake_time = _fake_time
        self._storage = _checked(storage)
        self._marks = OwnMarks()
        self._apps: weakref.WeakSet[Flask] = weakref.WeakSet()
        self._mode = "exclude"
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, storage: Storages | None = None) -> None:
        """Attach to an app, which is configured; a second time, the new storages take the place of the old ones.

        Args:
            app: that is tracked. These keys of its configuration are read now:
                TRACK_USAGE_INCLUDE_OR_EXCLUDE_VIEWS (`exclude`: every view but the excluded ones; `include`: only
                included ones; by default what `OTEL_USAGE_TRACK` says), TRACK_USAGE_COOKIE (False: no visits),
                TRACK_USAGE_USE_FREEGEOIP and TRACK_USAGE_FREEGEOIP_ENDPOINT.
            storage: one callable, or several; those of the constructor by default.

        Raises:
            TypeError: the app is no Flask app, or a storage cannot be called.
            NotImplementedError: the mode is neither `include` nor `exclude`.
        """
        if not isinstance(app, Flask):
            raise TypeError(f"The app is a {type(app).__name__}, expected a flask.Flask")
        mode = app.config.get(_MODE_KEY, "")
        if _MODE_KEY in app.config and not is_mode(mode):
            raise ModeError(mode)
        # What `current_app` stands for, not the proxy.
        app = getattr(app, "_get_current_object", lambda: app)()
        storages = self._storage if storage is None else _checked(storage)
        delivery = _deliver_to(storages, app)
        reads_back = any(isinstance(each, ClickHouseReader) for each in storages)
        if reads_back:
            wiring.need_destination()
        _prefer_geo_endpoint(app)
        wiring.configure()
        if not FlaskUsageInstrumentor().is_instrumented_by_opentelemetry:
            FlaskUsageInstrumentor().instrument()
        self._mode = mode or _mode_of_settings()
        taker = Taker(delivery, self._date) if delivery is not None else None
        attachment = Attachment(self._marks, self._mode, taker, reads_back)
        self._attach(app, attachment)

    def include(self, view: _View) -> _View:
        """Mark a view, or a class of views, as included, and return it. Decorators may stand in any order.

        It is tracked in the mode `include`, and inside an excluded blueprint.

        Raises:
            TypeError: it can be no view.
        """
        return self._mark(view, True)

    def exclude(self, view: _View) -> _View:
        """Mark a view, or a class of views, as excluded, and return it.

        Raises:
            TypeError: it can be no view.
        """
        return self._mark(view, False)

    def include_blueprint(self, blueprint: _AnyBlueprint) -> _AnyBlueprint:
        """Include the views of a blueprint, also later ones, its nested blueprints and static files; return it.

        A mark of a view, or of a blueprint that is nested nearer to it, goes before this one.

        Raises:
            TypeError: it is no blueprint.
        """
        return self._mark_blueprint(blueprint, True)

    def exclude_blueprint(self, blueprint: _AnyBlueprint) -> _AnyBlueprint:
        """Exclude the views of a blueprint; see `include_blueprint`.

        Raises:
            TypeError: it is no blueprint.
        """
        return self._mark_blueprint(blueprint, False)

    @property
    def _include_views(self) -> set[object]:
        """The views that are included so far; a new set each time."""
        return self._marked_views(True)

    @property
    def _exclude_views(self) -> set[object]:
        """The views that are excluded so far; a new set each time."""
        return self._marked_views(False)

    @property
    def _type(self) -> str:
        """The mode, as Flask-Track-Usage calls it."""
        return self._mode

    @_type.setter
    def _type(self, mode: str) -> None:
        self._mode = mode
        for app in self._apps:
            attachment: Attachment = app.extensions[EXTENSION].attachment_of(self)
            self._attach(app, attachment._replace(mode=mode))

    def _attach(self, app: Flask, attachment: Attachment) -> None:
        usage: AppUsage | None = app.extensions.get(EXTENSION)
        if usage is None:
            follows_visitors = app.config.get(_COOKIE_KEY) is not False
            usage = app.extensions[EXTENSION] = AppUsage(app.name, follows_visitors)
        before = usage.attachment_of(self)
        usage.attach(self, attachment)
        forget_tracker(app)
        self._apps.add(app)
        if before is not None and before.taker is not None and before.taker is not attachment.taker:
            before.taker.delivery.close(_CLOSE_SECONDS)

    def _date(self) -> int | None:
        fake = self._fake_time
        if fake is None:
            return None
        return int((fake if fake.tzinfo is not None else fake.replace(tzinfo=timezone.utc)).timestamp())

    def _mark(self, view: _View, is_included: bool) -> _View:
        if isinstance(view, Blueprint):
            self._mark_blueprint(view, is_included)
        elif not callable(view):
            raise TypeError(f"A view is a {type(view).__name__}, expected a function or a class")
        else:
            self._marks.mark_view(view, is_included)
        return view

    def _mark_blueprint(self, blueprint: _AnyBlueprint, is_included: bool) -> _AnyBlueprint:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"A blueprint is a {type(blueprint).__name__}, expected a flask.Blueprint")
        self._marks.mark_group(blueprint, is_included)
        return blueprint

    def _marked_views(self, is_included: bool) -> set[object]:
        views = {view for view, mark in self._marks.views.items() if mark is is_included}
        for app in self._apps:
            for endpoint, view in app.view_functions.items():
                if self._marks.of_place(place_of_endpoint(app, endpoint)) is is_included:
                    views.add(view)
        return views


def _checked(storage: Any) -> list[StorageCallable]:
    """Return the storages as a list.

    Raises:
        TypeError: they are neither a callable nor several things; each by itself is looked at later.
    """
    if storage is None:
        return []
    if callable(storage):
        return [storage]
    if isinstance(storage, (str, bytes)) or not isinstance(storage, Iterable):
        raise TypeError(
            f"storage is {storage!r}, expected a callable that takes the data of a request, or a list of such"
        )
    return list(storage)


def _deliver_to(storages: list[StorageCallable], app: Flask) -> Delivery | None:
    delivery = Delivery(storages, server_name=app.name)
    if not delivery.has_work:
        return None
    _sinks.update(delivery.sinks)
    wiring.take_events_in_process(_close_sinks)
    return delivery


def _close_sinks(timeout_seconds: float) -> None:
    close_sinks(list(_sinks), timeout_seconds)


def _mode_of_settings() -> str:
    settings = wiring.configured_settings()
    return "include" if settings is not None and settings.track == "included" else "exclude"


def _prefer_geo_endpoint(app: Flask) -> None:
    """Let the old keys name the service that is asked where an address is, unless a setting does."""
    if not app.config.get(_USE_GEO_KEY):
        return
    endpoint = app.config.get(_GEO_ENDPOINT_KEY)
    if endpoint:
        wiring.prefer_geo_endpoint(str(endpoint))
    else:
        logger.warning(
            "%s is on without %s: the service that was the default is gone. Set OTEL_USAGE_GEO_DATABASE to a "
            "MaxMind DB file, or name a service.",
            _USE_GEO_KEY,
            _GEO_ENDPOINT_KEY,
        )
