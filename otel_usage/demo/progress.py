"""Shows how many requests are sent: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_PLAIN_LINES = 4


@contextmanager
def show_progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of requests sent since its last call."""
    if not console.is_terminal:
        yield _PlainProgress(console, total)
        return
    columns = (
        TextColumn("Sending requests"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda sent: progress.advance(task, sent)


class _PlainProgress:
    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._sent = 0

    def __call__(self, sent: int) -> None:
        quarter = self._quarter()
        self._sent += sent
        if self._quarter() > quarter:
            self._console.print(f"Sent {self._sent:,} of {self._total:,} requests")

    def _quarter(self) -> int:
        return self._sent * _PLAIN_LINES // self._total if self._total else 0
