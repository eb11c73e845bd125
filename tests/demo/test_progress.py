"""Progress without a terminal is a few lines, not a thousand."""

from __future__ import annotations

import io

from rich.console import Console

from otel_usage.demo.progress import show_progress


def test_where_there_is_no_terminal_each_quarter_is_a_line() -> None:
    output = io.StringIO()

    with show_progress(Console(file=output, force_terminal=False), 8) as on_progress:
        for _ in range(8):
            on_progress(1)

    assert output.getvalue().splitlines() == [f"Sent {sent} of 8 requests" for sent in (2, 4, 6, 8)]


def test_a_terminal_gets_a_bar_that_reaches_the_end() -> None:
    output = io.StringIO()

    with show_progress(Console(file=output, force_terminal=True, width=80), 3) as on_progress:
        on_progress(3)

    assert "3/3" in output.getvalue()
