from __future__ import annotations

import threading

from otel_usage.pipeline.accounting import Accounting, AccountingSnapshot


def test_an_event_is_seen_once_and_settled_once() -> None:
    accounting = Accounting()

    accounting.add_waiting(5)
    accounting.add_filtered("excluded_url")
    accounting.add_refused("queue_full", 2)
    accounting.settle_stored(2)
    accounting.settle_rejected("refused", 1)
    accounting.settle_dropped("shut_down", 1)

    assert accounting.snapshot() == AccountingSnapshot(
        seen=8,
        stored=2,
        waiting=1,
        filtered={"excluded_url": 1},
        rejected={"refused": 1},
        dropped={"queue_full": 2, "shut_down": 1},
    )


def test_a_snapshot_does_not_change_any_more() -> None:
    accounting = Accounting()
    snapshot = accounting.snapshot()

    accounting.add_filtered("excluded_url")

    assert snapshot == AccountingSnapshot(0, 0, 0, {}, {}, {})


def test_threads_that_count_at_once_lose_nothing() -> None:
    accounting = Accounting()

    def count() -> None:
        for _ in range(5_000):
            accounting.add_waiting()
            accounting.settle_stored(1)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert accounting.snapshot() == AccountingSnapshot(20_000, 20_000, 0, {}, {}, {})
