"""Keeps errors of ours out of the app: whatever a hook raises is logged now and then, and passed over."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)

_Parameters = ParamSpec("_Parameters")
_error_log = LogThrottle()


def report_error(error: Exception) -> None:
    """Log an error of ours by kind and place."""
    _error_log.log(logger, logging.ERROR, "Usage tracking failed, the app goes on: %s", describe_error(error))


def never_raises(function: Callable[_Parameters, None]) -> Callable[_Parameters, None]:
    """Return the function with its exceptions logged instead of raised."""

    @functools.wraps(function)
    def guarded(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            report_error(error)

    return guarded
