"""One variant of the side by side with Flask-Track-Usage, in a process of its own that measures in turns."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import flask
from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from tests.benchmarks.old_shop import discard, track
from tests.benchmarks.request_child import (
    Variant,
    build_app,
    build_environ,
    build_request,
    set_up_sdk,
    time_requests,
)

CONTRIB = Variant(contrib=True, ratio=1.0, request="returning")


@dataclass(frozen=True, slots=True)
class Tracking:
    """What tracks the app."""

    kind: str
    """`bare`, `contrib`, `ours` (as under the launcher), `extension` (our `TrackUsage`), `old`."""
    storage: str = ""
    """DSN of ours, SQLAlchemy URL of the old one; empty throws everything away."""
    contrib: bool = True
    """Whether the extension has contrib's spans, as under the launcher, or its own."""
    is_told: bool = False
    """Whether the extension has a storage, which does nothing."""
    summaries: bool = False


@dataclass(slots=True)
class Statements:
    """What an engine of SQLAlchemy's was asked for."""

    executed: int = 0
    committed: int = 0


@contextmanager
def build(tracking: Tracking) -> Iterator[tuple[Callable[[], Any], Any]]:
    """Give what sends one request to the tracked app, and the engine that the old package writes to."""
    if tracking.kind == "old":
        with _old(tracking) as both:
            yield both
        return
    if tracking.kind == "extension":
        yield _extension(tracking), None
        return
    variants = {
        "bare": Variant(request="returning"),
        "contrib": CONTRIB,
        "ours": dataclasses.replace(CONTRIB, usage=tracking.storage or "discard"),
    }
    yield build_request(variants[tracking.kind]), None


def _extension(tracking: Tracking) -> Callable[[], Any]:
    from otel_usage.flask.compat import TrackUsage

    set_up_sdk(dataclasses.replace(CONTRIB, usage=tracking.storage or "discard"))
    if tracking.contrib:
        FlaskInstrumentor().instrument()
    # Through the module: contrib replaces the class.
    app = build_app(flask.Flask)
    TrackUsage(app, [discard] if tracking.is_told else [])
    client = app.test_client(use_cookies=False)
    environ = build_environ(client, "returning")
    return lambda: client.open(environ)


@contextmanager
def _old(tracking: Tracking) -> Iterator[tuple[Callable[[], Any], Any]]:
    table = f"bench_{uuid4().hex[:12]}"
    app = build_app(Flask)
    engine = track(app, tracking.storage, table=table, summaries=tracking.summaries)
    client = app.test_client(use_cookies=False)
    environ = build_environ(client, "returning")
    yield lambda: client.open(environ), engine
    if engine is not None:
        _drop_tables(engine, table)


def _drop_tables(engine: Any, prefix: str) -> None:
    sqlalchemy = importlib.import_module("sqlalchemy")
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine, only=lambda name, _: name.startswith(prefix))
    metadata.drop_all(engine)


def count_statements(engine: Any, ask: Callable[[], object]) -> Statements:
    """Return what one request executes and commits."""
    event = importlib.import_module("sqlalchemy").event
    counted = Statements()

    def executed(*arguments: object) -> None:
        counted.executed += 1

    def committed(*arguments: object) -> None:
        counted.committed += 1

    listeners = (("before_cursor_execute", executed), ("commit", committed))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    ask()
    for name, listener in listeners:
        event.remove(engine, name, listener)
    return counted


def main() -> None:
    tracking = Tracking(**json.loads(sys.argv[1]))
    with build(tracking) as (ask, engine):
        answer = ask()
        sql = count_statements(engine, ask) if engine is not None else None
        extra = {"status": answer.status_code, "sql": f"{sql.executed} / {sql.committed}" if sql else ""}
        for line in sys.stdin:
            print(json.dumps({**time_requests(ask, int(line)), **extra}), flush=True)


if __name__ == "__main__":
    main()
