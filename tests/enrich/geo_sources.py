"""Sources of places that answer as a test tells them, and a clock that moves when it does."""

from __future__ import annotations

import threading
from collections.abc import Callable

from otel_usage.enrich.geo_answer import read_answer
from otel_usage.model import Attributes

CH = read_answer({"country": "CH"})
LONG = 60.0
"""Longer than anything here takes: who waits in vain is seen to."""


class Source:
    """Answers as it is told, and remembers what it was asked."""

    name = "The source"

    def __init__(self, answer: Callable[[str], Attributes] = lambda address: CH) -> None:
        self._answer = answer
        self.asked: list[str] = []

    def prepare(self) -> None:
        pass

    def ask(self, address: str) -> Attributes:
        self.asked.append(address)
        return self._answer(address)


class Hanging(Source):
    """Answers only when it is let."""

    def __init__(self) -> None:
        super().__init__(self._wait)
        self.goes_on = threading.Event()

    def _wait(self, address: str) -> Attributes:
        assert self.goes_on.wait(LONG)
        return CH


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
