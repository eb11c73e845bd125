"""Funnels: ordered stages that a visit may reach, read from a TOML file.

```toml
[funnels.purchase]
stages = [
  { name = "product", routes = ["/product/<slug>"] },
  { name = "cart", paths = ["/cart"] },
  { name = "order", events = ["order_placed"] },
]
```
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_usage.errors import FunnelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MIN_STAGES, MAX_STAGES = 2, 200
_STAGE_KEYS = frozenset({"name", "paths", "routes", "events"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One place on a funnel. A stage without paths, routes and events is reached by `reached()` alone."""

    name: str
    index: int
    """Position in the funnel, from 1."""
    paths: tuple[str, ...] = ()
    """Whole paths of requests that were answered without an error."""
    routes: tuple[str, ...] = ()
    """Route patterns of such requests, as the framework writes them."""
    events: tuple[str, ...] = ()
    """Names of the app's own events."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """An ordered path through the app."""

    name: str
    stages: tuple[Stage, ...]


def load_funnels(path: str | Path) -> tuple[Funnel, ...]:
    """Return the funnels of a file, in its order.

    Raises:
        FunnelError: the file cannot be read, or says something that is not a funnel; names the place.
    """
    try:
        document = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise FunnelError(f"Cannot read the funnel file '{path}': {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FunnelError(f"The funnel file '{path}' is not valid TOML: {error}") from None
    funnels = document.get("funnels")
    if not isinstance(funnels, dict) or not funnels or len(document) != 1:
        raise FunnelError(f"The funnel file '{path}' must have tables [funnels.NAME] and nothing else")
    return tuple(_read_funnel(name, table, f"'{path}', funnel '{name}'") for name, table in funnels.items())


def _read_funnel(name: str, table: object, place: str) -> Funnel:
    stages = table.get("stages") if isinstance(table, dict) and table.keys() == {"stages"} else None
    if not isinstance(stages, list) or not MIN_STAGES <= len(stages) <= MAX_STAGES:
        raise FunnelError(f"{place}: expected `stages` alone, a list of {MIN_STAGES} to {MAX_STAGES} stages")
    read = tuple(
        _read_stage(index, stage, f"{place}, stage {index}") for index, stage in enumerate(stages, 1)
    )
    names = [stage.name for stage in read]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FunnelError(f"{place}: two stages are named '{twice}'; give each its own name")
    return Funnel(name, read)


def _read_stage(index: int, table: object, place: str) -> Stage:
    if not isinstance(table, dict) or not isinstance(table.get("name"), str) or not table["name"]:
        raise FunnelError(
            f'{place}: expected a table with a name, such as {{ name = "cart", paths = ["/cart"] }}'
        )
    unknown = sorted(table.keys() - _STAGE_KEYS)
    if unknown:
        raise FunnelError(f"{place}: unknown key '{unknown[0]}', expected name, paths, routes or events")
    return Stage(
        table["name"], index, *(_read_texts(table, key, place) for key in ("paths", "routes", "events"))
    )


def _read_texts(table: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    texts = table.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise FunnelError(f"{place}: `{key}` must be a list of texts")
    return tuple(texts)
