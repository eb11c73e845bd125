"""Which counters an object has, as far as somebody declared them; whoever knows adds a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

CounterRule: TypeAlias = Callable[[str, str], bool]
"""Gets the type of an object and the name of a counter; returns whether that counter is refused."""

_rules: list[CounterRule] = []


def add_counter_rule(rule: CounterRule) -> None:
    """Ask this rule too for every counter; it runs on the app's own thread, so it only looks things up."""
    if rule not in _rules:
        _rules.append(rule)


def is_unknown_counter(object_type: str, counter: str) -> bool:
    """Return whether objects of this type have declared counters, and this is none of them."""
    return any(rule(object_type, counter) for rule in _rules)
