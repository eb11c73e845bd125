"""What is tracked: decided for each request by its path, its view, and the groups that the view belongs to.

Views and groups are marked where they are defined, because a decorator knows no app. A group is whatever the
framework puts views into: a blueprint, a URL namespace.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from otel_usage.settings import Settings

logger = logging.getLogger(__name__)

_MARK = "_otel_usage_is_included"

_Marked = TypeVar("_Marked")

_has_marks = False
"""Whether anything in this process is marked."""


class Place(NamedTuple):
    """Where in an app a request goes."""

    view: object = None
    """None when no view answers it, as for a 404."""
    groups: tuple[object, ...] = ()
    """Those of the view, innermost first."""


UNKNOWN_PLACE = Place()


def include(view: _Marked) -> _Marked:
    """Mark a view, or the class of a view, as tracked, and return it unchanged.

    It then is tracked also inside an excluded group, and where `OTEL_USAGE_TRACK` is `included`.
    """
    return _mark(view, True)


def exclude(view: _Marked) -> _Marked:
    """Mark a view, or the class of a view, as not tracked, and return it unchanged."""
    return _mark(view, False)


def include_where_asked(view: _Marked) -> _Marked:
    """Mark a view of ours as tracked for apps in which marks count anyway; in others it changes nothing."""
    setattr(view, _MARK, True)
    return view


def _mark(thing: _Marked, is_included: bool) -> _Marked:
    """Mark anything that a request may go to. The last mark counts; what cannot be marked is logged."""
    global _has_marks
    _has_marks = True
    try:
        # A bound method takes no attributes, its function does.
        setattr(getattr(thing, "__func__", thing), _MARK, is_included)
    except (AttributeError, TypeError):
        logger.error(
            "A %s can be neither included nor excluded, expected a function, a class or a blueprint",
            type(thing).__name__,
        )
    return thing


class Marks(Protocol):
    """Marks that belong to somebody, and not to the thing that is marked."""

    def of_view(self, view: object) -> bool | None:
        """Return whether a view, or its class, is included; None when it is not marked."""

    def of_group(self, group: object) -> bool | None:
        """Return whether a group is included; None when it is not marked."""


class Scope:
    """What the settings and the marks say of a request."""

    def __init__(self, settings: Settings, *, track: str = "", marks: Marks | None = None) -> None:
        """Make the scope of an app.

        Args:
            settings: those in force.
            track: `all` or `included`, in the place of what the settings say.
            marks: further ones, that go before those that a view or group itself carries.
        """
        self._excluded = settings.excluded_urls
        self._included = settings.included_urls
        self._tracks_all = (track or settings.track) == "all"
        self._tracks_unmatched = settings.track_unmatched
        self._marks = marks

    @property
    def needs_place(self) -> bool:
        """Whether the place of a request can make a difference; if not, its path says it all."""
        return (
            _has_marks or self._marks is not None or not self._tracks_all or self._tracks_unmatched == "false"
        )

    def reason_to_filter(self, path: str, place: Place) -> str:
        """Return why a request is not tracked, empty when it is.

        An excluded URL is final. Then the mark nearest to the view counts, and without one what `TRACK` and the
        included URLs say.
        """
        for pattern in self._excluded:
            if pattern.search(path):
                return "excluded_url"
        mark = _nearest_mark(place, self._marks)
        if mark is not None:
            return "" if mark else "excluded_view"
        is_unmatched = place.view is None
        if is_unmatched and self._tracks_unmatched == "false":
            return "unmatched"
        for pattern in self._included:
            if pattern.search(path):
                return ""
        if self._tracks_all:
            return "not_included_url" if self._included else ""
        if is_unmatched:
            return "" if self._tracks_unmatched == "true" else "unmatched"
        return "not_included_view"

    def reason_to_filter_page(self, path: str) -> str:
        """Return why a page that only the browser knows is not tracked, empty when it is.

        No view stands for it, so the URLs alone decide.
        """
        if any(pattern.search(path) for pattern in self._excluded):
            return "excluded_url"
        if self._included and not any(pattern.search(path) for pattern in self._included):
            return "not_included_url"
        return ""


class AnyScope(Scope):
    """What several scopes say of one request: it is tracked when one of them wants it."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._scopes = scopes

    @property
    def needs_place(self) -> bool:
        """Whether the place of a request can make a difference."""
        return any(scope.needs_place for scope in self._scopes)

    def reason_to_filter(self, path: str, place: Place) -> str:
        """Return why none of them wants a request, in the words of the first; empty when one does."""
        return _first_unless_empty([scope.reason_to_filter(path, place) for scope in self._scopes])

    def reason_to_filter_page(self, path: str) -> str:
        """Return why none of them wants a page, in the words of the first; empty when one does."""
        return _first_unless_empty([scope.reason_to_filter_page(path) for scope in self._scopes])


def _first_unless_empty(reasons: Sequence[str]) -> str:
    return reasons[0] if all(reasons) else ""


def _nearest_mark(place: Place, own: Marks | None) -> bool | None:
    view = place.view
    if view is None:
        return None
    mark = own.of_view(view) if own is not None else None
    if mark is None:
        mark = getattr(view, _MARK, None)
    if mark is None:
        # What a class's `as_view` returns names its class.
        view_class = getattr(view, "view_class", None)
        mark = getattr(view_class, _MARK, None) if view_class is not None else None
    for group in place.groups:
        if mark is not None:
            break
        mark = own.of_group(group) if own is not None else None
        if mark is None:
            mark = getattr(group, _MARK, None)
    # An object that makes up attributes has not been marked.
    return mark if mark.__class__ is bool else None
