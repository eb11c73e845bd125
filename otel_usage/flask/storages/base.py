"""The classes that storages derive from, with Flask-Track-Usage's three verbs: `set_up`, `store`, `get_usage`.

Any other callable that takes the data is a storage too; these add arguments, hooks and questions.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from otel_usage.log_throttle import LogThrottle, describe_error

logger = logging.getLogger(__name__)

Hook: TypeAlias = Callable[..., object]
"""What is called after each store, with the data as keyword arguments."""

_PARENT_NAME, _PARENT = "_parent_class_name", "_parent_self"
"""Under which a hook is given its storage, beside the data."""


class Sink:
    """What writers and storages share: arguments, `store`, hooks, sums."""

    more_keys: Collection[str] = ()
    """Keys of the data that this one wants beyond those of Flask-Track-Usage; see `MORE_KEYS`."""
    keeps_sums: bool = False
    """Whether it answers `get_sum` for the summaries, such as `sumUrl`."""
    _post_storage_hooks: Sequence[Hook] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Call `set_up`, then make and set up the hooks.

        Args:
            *args: for `set_up`.
            **kwargs: for `set_up`. `hooks` is a list of hooks: functions, instances, or classes, of which
                instances are made. `set_up` is given the hooks only if it takes them.

        Raises:
            TypeError: a hook cannot be called.
        """
        hooks = kwargs.get("hooks") or ()
        given = kwargs if _takes(self.set_up, "hooks") else _without_hooks(kwargs)
        self.set_up(*args, **given)
        self._hook_error_log = LogThrottle()
        self._post_storage_hooks = _made_hooks(hooks, {**kwargs, **self._parent()})

    def set_up(self, *args: Any, **kwargs: Any) -> None:
        """Do what there is to do once. To be overridden, like `store`."""

    def store(self, data: dict[str, Any]) -> object:
        """Keep one request.

        Args:
            data: see the page on storages; it is this storage's own copy.

        Returns:
            A dictionary that the hooks are to be given instead of the data; anything else gives them the data.
        """
        raise NotImplementedError(f"{type(self).__name__} must have a method store(data)")

    @property
    def needs_data(self) -> bool:
        """Whether it is to be called for a request at all."""
        return True

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Store one request, then call each hook, and return the data.

        What `store` raises is the caller's; then no hook is called. A hook that raises is logged, and hurts no
        other one.
        """
        stored = self.store(data)
        if self._post_storage_hooks:
            shown = stored if isinstance(stored, dict) else data
            for hook in self._post_storage_hooks:
                self._call_hook(hook, {**shown, **self._parent()})
        return data

    def get_sum(
        self,
        hook: object,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        limit: int = 500,
        page: int = 1,
        target: object = None,
    ) -> Any:
        """Ask a hook of this storage for its sums.

        Args:
            hook: itself, its class, or the name of its class.
            start_date: with `end_date` the beginning of a range; alone, the moment whose hour, day and month are
                asked for.
            end_date: the end of the range.
            limit: most rows of a page.
            page: from 1.
            target: the one key that is asked for, such as a URL; None for all.

        Raises:
            NotImplementedError: this storage has no such hook, or the hook keeps no sums.
        """
        ask = self._sums_of(hook)
        if ask is None:
            raise NotImplementedError(f'Cannot find hook named "{hook_name(hook)}"')
        return ask(
            start_date=start_date,
            end_date=end_date,
            limit=limit,
            page=page,
            target=target,
            **self._parent(),
        )

    def _sums_of(self, hook: object) -> Callable[..., Any] | None:
        """Return the `get_sum` of one of this storage's hooks, None if there is no such hook or it keeps no sums."""
        name = hook_name(hook)
        for known in self._post_storage_hooks:
            if name in (type(known).__name__, getattr(known, "__name__", "")):
                sums: Callable[..., Any] | None = getattr(known, "get_sum", None)
                return sums
        return None

    def _parent(self) -> dict[str, Any]:
        return {_PARENT_NAME: type(self).__name__, _PARENT: self}

    def _call_hook(self, hook: Hook, data: Mapping[str, Any]) -> None:
        try:
            hook(**data)
        except (Exception, SystemExit) as error:  # of a hook that is not ours
            self._hook_error_log.log(
                logger,
                logging.ERROR,
                "The hook %s of the storage %s failed: %s",
                hook_name(hook),
                type(self).__name__,
                describe_error(error),
            )


class Writer(Sink):
    """A storage that only writes."""


class Storage(Sink):
    """A storage that can be asked for what it has stored."""

    def get_usage(
        self,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        limit: int = 500,
        page: int = 1,
    ) -> list[dict[str, Any]]:
        """Return the requests of a span of time, page by page.

        Args:
            start_date: the first moment that counts; None for the beginning of all.
            end_date: the last one; None for now.
            limit: most rows of a page.
            page: from 1.

        Raises:
            TypeError: the storage answers with something other than a list of dictionaries.
        """
        rows: Any = self._get_usage(start_date, end_date, limit, page)
        if not isinstance(rows, list):
            raise TypeError(
                f"{type(self).__name__}._get_usage returned a {type(rows).__name__}, expected a list"
            )
        for row in rows:
            if not isinstance(row, dict):
                raise TypeError(
                    f"{type(self).__name__}._get_usage returned a list with a {type(row).__name__} in it, "
                    "expected dictionaries only"
                )
        return rows

    def _get_usage(
        self, start_date: datetime | None, end_date: datetime | None, limit: int, page: int
    ) -> list[dict[str, Any]]:
        """Return the rows. To be overridden, this or `get_usage`."""
        raise NotImplementedError(f"{type(self).__name__} must have a method _get_usage")


def hook_name(hook: object) -> str:
    """Return the name by which a hook is asked for: a text itself, the name of a class or function, else of the class."""
    return hook if isinstance(hook, str) else str(getattr(hook, "__name__", type(hook).__name__))


def _made_hooks(hooks: Iterable[Any], kwargs: dict[str, Any]) -> list[Hook]:
    made: list[Hook] = []
    for hook in hooks:
        if inspect.isclass(hook):
            hook = hook(**_taken(hook, kwargs))
        if not callable(hook):
            raise TypeError(
                f"A hook is a {type(hook).__name__}, expected a function or an object with __call__"
            )
        made.append(hook)
    for hook in made:
        set_up = getattr(hook, "set_up", None)
        if set_up is not None:
            set_up(**_taken(set_up, kwargs))
    return made


def _taken(function: Callable[..., object], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the keyword arguments that a function takes."""
    return {name: value for name, value in kwargs.items() if _takes(function, name)}


def _takes(function: Callable[..., object], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    return any(
        parameter.kind is parameter.VAR_KEYWORD
        or (parameter.name == name and parameter.kind is not parameter.POSITIONAL_ONLY)
        for parameter in parameters
    )


def _without_hooks(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name != "hooks"}
