"""A program that stores a request before it forks, in its children and again after them, and prints what became of each.

The parent's thread is held inside its storage while it forks, with the storage's queue full of waiting requests.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict
from typing import Any

from otel_usage.flask.storages import Delivery, RequestExtras
from tests.builders import build_event

SECONDS = 30.0
CHILDREN = 2

entered, released = threading.Event(), threading.Event()
parent = os.getpid()
paths: list[str] = []


def storage(data: dict[str, Any]) -> None:
    if os.getpid() == parent and not released.is_set():
        entered.set()
        released.wait(SECONDS)
    paths.append(data["path"])


def report(who: str, delivery: Delivery) -> None:
    done = delivery.flush(SECONDS)
    (counts,) = delivery.accounting()
    print(json.dumps({"who": who, "done": done, "paths": paths, **asdict(counts)}), flush=True)


def main() -> None:
    delivery = Delivery(storage)
    delivery.offer(build_event(path="/in-hand"), RequestExtras())
    entered.wait(SECONDS)
    delivery.offer(build_event(path="/waiting"), RequestExtras())
    children = []
    for number in range(CHILDREN):
        child = os.fork()
        if not child:
            delivery.offer(build_event(path=f"/child/{number}"), RequestExtras())
            report("child", delivery)
            delivery.close(SECONDS)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    released.set()
    report("parent", delivery)


if __name__ == "__main__":
    main()
