"""What the `TrackUsage` extensions of one app want of its requests: their scopes, `g.track_var`, their storages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

import flask
from flask.ctx import RequestContext

from otel_usage import attributes as names
from otel_usage.flask.extension import WAIT_KEY, ModeError
from otel_usage.flask.handover import Handover, StorageWait, Taker
from otel_usage.flask.marks import OwnMarks
from otel_usage.flask.scope import place_of
from otel_usage.flask.storages import RequestExtras
from otel_usage.flask.track_var import read_track_var, to_json
from otel_usage.instrumentation.guard import report_error
from otel_usage.instrumentation.redaction import bounded
from otel_usage.instrumentation.scope import AnyScope, Place, Scope
from otel_usage.instrumentation.tracked import TrackedRequest, current_request
from otel_usage.log_throttle import LogThrottle
from otel_usage.settings import Settings

logger = logging.getLogger(__name__)

TRACK_BY_MODE = {"exclude": "all", "include": "included"}
"""What `OTEL_USAGE_TRACK` says, by the old word for it."""

_PLAIN = (str, bytes, int, float, Decimal, UUID, date, PurePath)

_misuse_log = LogThrottle()


class Attachment(NamedTuple):
    """What one `TrackUsage` wants of one app."""

    marks: OwnMarks
    mode: str
    """`include` or `exclude`."""
    taker: Taker | None
    """None where no storage wants to be called."""
    reads_back: bool = False
    """A storage reads what was sent out of the process."""


class AppUsage:
    """All attachments of one app."""

    def __init__(self, app_name: str, follows_visitors: bool) -> None:
        """Begin without any.

        Args:
            app_name: `server_name` of the data.
            follows_visitors: whether visits are made, and their cookie is set.
        """
        self.follows_visitors = follows_visitors
        self._app_name = app_name
        self._by_owner: dict[object, Attachment] = {}
        # Replaced as a whole: a request of another thread sees the old or the new.
        self._all: tuple[Attachment, ...] = ()
        self._takers: tuple[Taker, ...] = ()

    def attachment_of(self, owner: object) -> Attachment | None:
        """Return what an extension wants; None when it is not attached."""
        return self._by_owner.get(owner)

    def attach(self, owner: object, attachment: Attachment) -> None:
        """Take what an extension wants, in the place of what it wanted before."""
        self._by_owner[owner] = attachment
        self._all = tuple(self._by_owner.values())
        self._takers = tuple(each.taker for each in self._all if each.taker is not None)

    def scope(self, settings: Settings) -> Scope:
        """Return which requests any of them wants."""
        scopes = [_scope_of(each, settings) for each in self._all]
        return scopes[0] if len(scopes) == 1 else AnyScope(scopes)

    def prepare_request(self, is_testing: bool) -> None:
        """Give the request its `g.track_var`, before any code of the app can ask for it.

        Raises:
            ModeError: under TESTING only, when somebody has changed the mode to a wrong one.
        """
        for each in self._all:
            if not is_mode(each.mode):
                _complain_of_mode(each.mode, is_testing)
        outer = current_request()
        if outer is not None and not outer.is_finished and "track_var" in flask.g:
            return  # a request inside another shares its context, and must leave what is in it
        flask.g.track_var = {}

    def describe(self, tracked: TrackedRequest, context: RequestContext, settings: Settings) -> None:
        """Add what the app said in `g.track_var` to a request, and let its event reach the storages. Never raises."""
        try:
            track_var = _track_var()
            if track_var:
                tracked.plugin_attributes = {**tracked.plugin_attributes, names.TRACK_VAR: to_json(track_var)}
            handover = self._handover(tracked, context, settings, track_var)
            if handover is not None:
                tracked.companion = tracked.companion._replace(on_event=handover)
            if context.app.testing and self._all:
                reads_back = any(each.reads_back for each in self._all)
                if handover is not None:
                    handover.is_done = threading.Event()
                context.request.environ[WAIT_KEY] = StorageWait(handover, reads_back)
        except Exception as error:
            report_error(error)

    def _handover(
        self,
        tracked: TrackedRequest,
        context: RequestContext,
        settings: Settings,
        track_var: Mapping[str, Any],
    ) -> Handover | None:
        takers = self._takers
        if takers and len(self._all) > 1:
            takers = self._takers_of(
                tracked.facts.path, place_of(context.app, context.request.url_rule), settings
            )
        if not takers:
            return None
        for taker in takers:
            taker.delivery.start()
        environ = context.request.environ
        extras = RequestExtras(
            self._app_name,
            _plain_arguments(context.request.view_args),
            track_var,
            host=bounded(environ.get("HTTP_HOST", ""), names.MAX_NAME),
            protocol=bounded(environ.get("SERVER_PROTOCOL", ""), 16),
        )
        return Handover(takers, extras)

    def _takers_of(self, path: str, place: Place, settings: Settings) -> tuple[Taker, ...]:
        return tuple(
            each.taker
            for each in self._all
            if each.taker is not None and not _scope_of(each, settings).reason_to_filter(path, place)
        )


def is_mode(mode: object) -> bool:
    """Return whether this is one of the two modes, in exactly these letters."""
    return isinstance(mode, str) and mode in TRACK_BY_MODE


def _scope_of(attachment: Attachment, settings: Settings) -> Scope:
    track = TRACK_BY_MODE[attachment.mode] if is_mode(attachment.mode) else ""
    return Scope(settings, track=track, marks=attachment.marks)


def _complain_of_mode(mode: object, is_testing: bool) -> None:
    if is_testing:
        raise ModeError(mode)
    _misuse_log.log(logger, logging.ERROR, "%s. Going on with what OTEL_USAGE_TRACK says.", ModeError(mode))


def _track_var() -> dict[str, Any]:
    """Return a copy of what the app put into `g.track_var`."""
    given = flask.g.get("track_var", {})
    track_var = read_track_var(given)
    if track_var is None:
        _misuse_log.log(
            logger,
            logging.WARNING,
            "flask.g.track_var is a %s, expected a dictionary; it is left out",
            type(given).__name__,
        )
        return {}
    return track_var


def _plain_arguments(view_args: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the arguments of the route, an object that a converter loaded as the name of its type."""
    if not view_args:
        return None if view_args is None else {}
    return {
        name: value if isinstance(value, _PLAIN) or value is None else type(value).__name__
        for name, value in view_args.items()
    }
