"""Workers with one database of visits between them: `python -m tests.visits.database_workers URL parallel|forked`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from otel_usage.settings import Settings
from otel_usage.visits.conformance import FakeVisitor
from otel_usage.visits.database import SqlalchemyVisitManager
from otel_usage.visits.visit import Visit

WORKERS = 8


class PatientManager(SqlalchemyVisitManager):
    """On a busy machine, eight processes and one disk take their time."""

    store_timeout_seconds = 60.0


def build(url: str) -> SqlalchemyVisitManager:
    manager = PatientManager(f"{url}?timeout=60" if url.startswith("sqlite:") else url)
    manager.set_up(Settings.load({}), "secret")
    return manager


def tell(visit: Visit) -> None:
    os.write(1, json.dumps([visit.key, visit.is_new, visit.visitor_id]).encode() + b"\n")


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def parallel(url: str) -> list[int]:
    """Each worker creates the table, and serves a first request of the same visitor."""
    start, begin = os.pipe()

    def work() -> None:
        os.close(begin)
        os.read(start, 1)  # until the parent closes its end
        tell(FakeVisitor("192.0.2.1").visit(build(url)))

    workers = [fork(work) for _ in range(WORKERS)]
    os.close(begin)
    return workers


def forked(url: str) -> list[int]:
    """Each worker goes on with a manager that its parent has used, and so does the parent."""
    manager, visitor = build(url), FakeVisitor("192.0.2.1")
    visitor.visit(manager)
    visitor.visit(manager)

    def work() -> None:
        tell(visitor.visit(manager))
        FakeVisitor(f"another of {os.getpid()}").visit(manager)
        manager.close()

    workers = [fork(work) for _ in range(WORKERS)]
    for number in range(10):
        assert not visitor.visit(manager).is_new
        assert FakeVisitor(f"another {number} of {os.getpid()}").visit(manager).is_new
    manager.close()
    return workers


if __name__ == "__main__":
    pids = {"parallel": parallel, "forked": forked}[sys.argv[2]](sys.argv[1])
    sys.exit(any(os.waitpid(pid, 0)[1] for pid in pids))
