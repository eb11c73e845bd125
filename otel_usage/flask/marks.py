"""The views and blueprints that one `TrackUsage` includes or excludes, without a trace on the views themselves."""

from __future__ import annotations

from collections.abc import Iterator

from otel_usage.instrumentation.scope import Place

_LONGEST_CHAIN = 32
"""Decorators that are followed; a view that wraps itself has no end."""


class OwnMarks:
    """Marks of views, classes of views and blueprints. The last mark of a thing counts."""

    def __init__(self) -> None:
        self.views: dict[object, bool] = {}
        """Functions and classes, with whether they are included."""
        self._wrapped: dict[object, bool] = {}
        """Functions that a marked decorator wraps: a decorator below may have given them to the app."""
        self._groups: dict[object, bool] = {}

    def mark_view(self, view: object, is_included: bool) -> None:
        """Mark a function or a class.

        Raises:
            TypeError: it cannot be kept in a set.
        """
        self.views[view] = is_included
        for function in _wrapped_by(view):
            self._wrapped[function] = is_included

    def mark_group(self, group: object, is_included: bool) -> None:
        """Mark a blueprint."""
        self._groups[group] = is_included

    def of_view(self, view: object) -> bool | None:
        """Return whether a view is included: by itself, by what it wraps, or by its class or one of its bases."""
        if not self.views:
            return None
        try:
            mark = self.views.get(view)
        except TypeError:  # a callable object without a hash
            return None
        if mark is None:
            mark = self._wrapped.get(view)
        if mark is None:
            mark = _first_mark(self.views, _wrapped_by(view))
        if mark is None:
            mark = _first_mark(self.views, getattr(getattr(view, "view_class", None), "__mro__", ()))
        return mark

    def of_place(self, place: Place) -> bool | None:
        """Return the mark that is nearest to a view."""
        marks = [self.of_view(place.view), *map(self.of_group, place.groups)]
        return next((mark for mark in marks if mark is not None), None)

    def of_group(self, group: object) -> bool | None:
        """Return whether a blueprint is included."""
        return self._groups.get(group)


def _first_mark(marks: dict[object, bool], things: Iterator[object] | tuple[object, ...]) -> bool | None:
    return next((marks[thing] for thing in things if thing in marks), None)


def _wrapped_by(view: object) -> Iterator[object]:
    """Yield the functions that decorators have wrapped with `functools.wraps`, the outer ones first."""
    for _ in range(_LONGEST_CHAIN):
        view = getattr(view, "__wrapped__", None)
        if view is None:
            return
        yield view
