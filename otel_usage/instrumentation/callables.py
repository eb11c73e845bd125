"""Functions of the app that settings name: found when its first request comes, and never let to break one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from otel_usage.dotted_path import load_dotted
from otel_usage.errors import SettingError
from otel_usage.log_throttle import describe_error

logger = logging.getLogger(__name__)

RequestFunction: TypeAlias = Callable[[Any], object]
"""Gets the framework's request."""


def load_request_function(named: object, setting: str, consequence: str) -> RequestFunction | None:
    """Return the function that a setting names, None when it names none; then the log says so.

    Args:
        named: a dotted path, or the function itself.
        setting: the name of the setting, for the log.
        consequence: what follows from its absence, for the log.
    """
    try:
        # Not earlier: the modules of an app must not be imported before they are instrumented.
        found: Any = load_dotted(named) if isinstance(named, str) else named
    except SettingError as error:
        logger.error("%s: %s. %s.", setting, error, consequence)
        return None
    except Exception as error:  # of the app's module
        logger.error("%s cannot be loaded: %s. %s.", setting, describe_error(error), consequence)
        return None
    if not callable(found) or inspect.iscoroutinefunction(found):
        logger.error(
            "%s is a %s, expected a plain function that takes the request. %s.",
            setting,
            "coroutine function" if callable(found) else type(found).__name__,
            consequence,
        )
        return None
    function: RequestFunction = found
    return function
