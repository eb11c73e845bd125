"""One process of several that count at the same time: `python -m tests.django.counting_process THREADS TIMES PK`."""

from __future__ import annotations

import os
import sys
import threading

import django

import otel_usage
from otel_usage import wiring


def main(threads: int, times: int, key: int) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django.project.settings"
    django.setup()
    from tests.django.shop.models import Link

    link = Link(pk=key)

    def count() -> None:
        for number in range(times):
            otel_usage.increment(link, "clicks")
            otel_usage.increment(link, "downloads", -2 if number % 2 else 5)
            otel_usage.increment(link, "unknown")

    running = [threading.Thread(target=count) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    active = wiring.runtime()
    assert active is not None
    assert active.processor is not None
    # Longer than the end of a process waits: many small batches take their time.
    assert active.processor.force_flush(100_000)
    print(active.accounting.snapshot())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
