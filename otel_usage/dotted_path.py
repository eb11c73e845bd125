"""Finds what a dotted path of a setting names."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import Any

from otel_usage.errors import SettingError


def load_dotted(path: str) -> Any:
    """Return what a dotted path such as `shop.visits.Manager` or `shop.visits:Kinds.Manager` names.

    Raises:
        SettingError: it names nothing.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    try:
        return attrgetter(name)(importlib.import_module(module))
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise SettingError(f"{path[:200]!r} cannot be loaded: {error}") from error
