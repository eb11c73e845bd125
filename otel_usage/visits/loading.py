"""Finds the visit manager that a setting names."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from otel_usage.dotted_path import load_dotted
from otel_usage.errors import SettingError
from otel_usage.log_throttle import describe_error
from otel_usage.visits.manager import BaseVisitManager

MANAGER_GROUP = "otel_usage_visit_manager"

_BUILT_IN = {
    "cookie": "otel_usage.visits.cookie:CookieVisitManager",
    "cookieless": "otel_usage.visits.cookieless:CookielessVisitManager",
    "session": "otel_usage.visits.session:SessionVisitManager",
    "sqlalchemy": "otel_usage.visits.database:SqlalchemyVisitManager",
}
_PACKAGE_BY_EXTRA = {"sqlalchemy": "sqlalchemy"}
"""Built-in managers that need an extra, and a package that comes with it."""


def find_visit_manager(named: object) -> Callable[[], BaseVisitManager]:
    """Return what makes the manager of an app.

    Built-in managers and entry points are loaded at once. A dotted path is loaded by the first call, because
    the modules of an app must not be imported before they are instrumented.

    Args:
        named: a built-in name, an entry point of group `otel_usage_visit_manager`, a dotted path such as
            `shop.visits.Manager` or `shop.visits:manager`, a class, a function that returns a manager, or an
            instance, which all apps of the process then share.

    Raises:
        SettingError: there is no such manager.
    """
    if isinstance(named, str):
        if named in _BUILT_IN:
            return _maker(_load_built_in(named), named)
        found = entry_points(group=MANAGER_GROUP)
        for entry_point in found:
            if entry_point.name == named:
                return _maker(_load_entry_point(entry_point), named)
        if "." in named or ":" in named:
            return lambda: _maker(load_dotted(named), named)()
        choices = ", ".join([*_BUILT_IN, *sorted(found.names)])
        raise SettingError(
            f"OTEL_USAGE_VISIT_MANAGER is {named[:100]!r}, expected one of: {choices}; or a dotted path"
        )
    return _maker(named, type(named).__name__)


def _load_built_in(name: str) -> Any:
    package = _PACKAGE_BY_EXTRA.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        raise SettingError(
            f"The visit manager {name!r} needs {package}. Install it with: pip install 'otel-usage[{name}]'"
        )
    return load_dotted(_BUILT_IN[name])


def _load_entry_point(entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except Exception as error:  # of a package that is not ours
        raise SettingError(
            f"The visit manager {entry_point.name!r} is {entry_point.value}, which cannot be loaded: {describe_error(error)}"
        ) from error


def _maker(found: Any, name: str) -> Callable[[], BaseVisitManager]:
    if isinstance(found, BaseVisitManager):
        return lambda: found
    if not callable(found) or (inspect.isclass(found) and not issubclass(found, BaseVisitManager)):
        raise SettingError(f"The visit manager {name[:100]!r} is no BaseVisitManager")

    def make() -> BaseVisitManager:
        made = found()
        if not isinstance(made, BaseVisitManager):
            raise SettingError(f"The visit manager {name[:100]!r} is no BaseVisitManager")
        return made

    return make
