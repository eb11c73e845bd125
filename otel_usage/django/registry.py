"""`site`: which models have counters, and which; filled by the `usage` module of each installed app."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.module_loading import autodiscover_modules

from otel_usage.attributes import MAX_NAME
from otel_usage.errors import OtelUsageError
from otel_usage.instrumentation.api import object_type_of
from otel_usage.instrumentation.counter_rules import add_counter_rule

DEFAULT_COUNTERS = ("views", "clicks")
"""What a model has that is registered without names."""

_KEY_FIELDS = frozenset({"object_id"})
_NUMBERS = (models.IntegerField, models.FloatField, models.DecimalField)

Model: TypeAlias = type[models.Model]


class AlreadyRegistered(OtelUsageError, ValueError):
    """The model has this counter already."""


class NotRegistered(OtelUsageError, LookupError):
    """The model, or the counter, is not registered."""


class _Registration(NamedTuple):
    model: Model
    sources: Mapping[str, object]
    """By the name of each counter: that name, or the class that it was read from."""


class CounterSite:
    """The counters of each registered model. Changes while the apps load, and is only read after that."""

    def __init__(self, default_counters: Iterable[str] = DEFAULT_COUNTERS) -> None:
        self.default_counters = tuple(default_counters)
        # Of this name, because Django's autodiscovery puts it back when an app's module fails; by the name of the
        # type, because that is all that an event knows. Its values are replaced, never changed.
        self._registry: dict[str, _Registration] = {}

    def register(self, model_or_models: Model | Iterable[Model], *counters: object) -> None:
        """Declare the counters of a model, or of several.

        A counter of a registered model that is not declared is refused from then on. A model may be registered
        again, by another app, with further counters.

        Args:
            model_or_models: the class of a model, or several. A proxy stands for its model.
            *counters: names, or classes that have names: in `counters`, or as the number fields of a model.
                `default_counters` when there are none.

        Raises:
            AlreadyRegistered: the model has one of the counters; nothing is registered then.
            ImproperlyConfigured: something else than a model or a counter was given.
        """
        sources = dict(_named(counters or self.default_counters))
        found = dict(self._registry)
        for model in _models_of(model_or_models):
            label = object_type_of(model)
            known = found[label].sources if label in found else {}
            for name in sources:
                if name in known:
                    raise AlreadyRegistered(
                        f"{label} has the counter {name!r} already. Register it once, or unregister it first"
                    )
            found[label] = _Registration(model, {**known, **sources})
        self._registry = found

    def unregister(self, model_or_models: Model | Iterable[Model], *counters: object) -> None:
        """Take counters back, all of a model when none are named; nothing of it is refused then.

        Raises:
            NotRegistered: the model, or one of the counters, is not registered; nothing is taken back then.
        """
        found = dict(self._registry)
        taken = dict(_named(counters))
        for model in _models_of(model_or_models):
            label = object_type_of(model)
            known = found[label].sources if label in found else {}
            for name in taken:
                if name not in known:
                    raise NotRegistered(f"{label} has no counter {name!r}. It has: {_listed(known)}")
            left = {name: source for name, source in known.items() if taken and name not in taken}
            if not known:
                raise _not_registered(label)
            found.pop(label)
            if left:
                found[label] = _Registration(model, left)
        self._registry = found

    def is_registered(self, model: Model | models.Model) -> bool:
        """Return whether a model, or that of an object, has declared counters."""
        return _label(model) in self._registry

    def counters(self, model: Model | models.Model) -> tuple[str, ...]:
        """Return the counters of a model, or of an object, in the order of their registration.

        Raises:
            NotRegistered: it has none.
        """
        registration = self._registry.get(_label(model))
        if registration is None:
            raise _not_registered(_label(model))
        return tuple(registration.sources)

    def models(self) -> list[Model]:
        """Return every registered model, in the order of registration."""
        return [registration.model for registration in self._registry.values()]

    def get_parent(self, counter: object) -> Model:
        """Return the first model that was registered with a counter, or with a class of counters.

        Raises:
            NotRegistered: there is none.
        """
        for registration in self._registry.values():
            if counter in registration.sources or counter in registration.sources.values():
                return registration.model
        name = counter.__name__ if isinstance(counter, type) else repr(counter)
        raise NotRegistered(f"No model is registered with {name}")

    def refuses(self, object_type: str, counter: str) -> bool:
        """Return whether the type is registered, and the counter is none of its own."""
        registration = self._registry.get(object_type)
        return registration is not None and counter not in registration.sources


def counter_names(source: object) -> tuple[str, ...]:
    """Return the counters that a name, a list of names or a class of counters stands for.

    Raises:
        ImproperlyConfigured: it is none of these.
    """
    if isinstance(source, str) and 0 < len(source) <= MAX_NAME:
        return (source,)
    given = getattr(source, "counters", None) if isinstance(source, type) else source
    if isinstance(given, (list, tuple)) and given and all(isinstance(name, str) and name for name in given):
        return tuple(given)
    if isinstance(source, type) and issubclass(source, models.Model):
        fields = [
            field.name
            for field in source._meta.get_fields()
            if isinstance(field, _NUMBERS) and not field.primary_key and field.name not in _KEY_FIELDS
        ]
        if fields:
            return tuple(fields)
    raise ImproperlyConfigured(
        f"{source!r:.200} names no counter, expected texts such as 'clicks', or a class that lists them in `counters`"
    )


def autodiscover() -> None:
    """Import the module `usage` of every installed app, in which the apps register their counters.

    `otel_usage.django` does this when it is installed. A module that fails leaves the registry as it was before,
    and its error comes out.
    """
    autodiscover_modules("usage", register_to=site)


def _named(counters: Iterable[object]) -> Iterator[tuple[str, object]]:
    for source in counters:
        for name in counter_names(source):
            yield name, source if isinstance(source, type) else name


def _models_of(model_or_models: object) -> list[Model]:
    several = isinstance(model_or_models, (list, tuple, set, frozenset))
    found: list[Model] = []
    for model in model_or_models if several else [model_or_models]:  # type: ignore[attr-defined]
        if not (isinstance(model, type) and issubclass(model, models.Model)) or model._meta.abstract:
            raise ImproperlyConfigured(f"{model!r:.200} cannot have counters, expected the class of a model")
        found.append(model)
    return found


def _label(model: Model | models.Model) -> str:
    return object_type_of(model if isinstance(model, type) else type(model))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _not_registered(label: str) -> NotRegistered:
    return NotRegistered(
        f"{label} is not registered. Call otel_usage.django.site.register() in the module `usage` of its app"
    )


site = CounterSite()
"""The one that counts."""

add_counter_rule(site.refuses)
