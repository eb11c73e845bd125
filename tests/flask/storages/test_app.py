"""Storages of an app that serves real requests: what they do stays theirs, and what they get respects the settings."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, abort, g

from otel_usage import wiring
from otel_usage.flask import TrackUsage
from otel_usage.flask.storages import Writer
from tests.tracking import Tracking

SECONDS = 20.0


class Kept(Writer):
    """Keeps what it is given, and can be waited for."""

    def set_up(self, more_keys: tuple[str, ...] = ()) -> None:
        self.more_keys = more_keys
        self.stored: list[dict[str, Any]] = []
        self.thread_ids: set[int] = set()
        self.came = threading.Semaphore(0)

    def store(self, data: dict[str, Any]) -> None:
        self.thread_ids.add(threading.get_ident())
        self.stored.append(data)
        self.came.release()

    def wait(self) -> dict[str, Any]:
        assert self.came.acquire(timeout=SECONDS)
        return self.stored[-1]


def build_app(*storages: Any) -> Flask:
    app = Flask("shop")
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/order/<uuid:key>", "order", lambda key: "order")
    TrackUsage(app, list(storages))
    return app


@pytest.fixture
def started(tracking: Tracking) -> Tracking:
    tracking.start(flush_interval_seconds=0.01)
    return tracking


def test_a_storage_that_raises_or_hangs_is_not_felt_by_the_page_nor_by_another_one(started: Tracking) -> None:
    released, kept = threading.Event(), Kept()

    def hang(data: dict[str, Any]) -> None:
        released.wait(SECONDS)

    def fail(data: dict[str, Any]) -> None:
        raise SystemExit

    client = build_app(hang, fail, kept).test_client()

    answers = [client.get("/").status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    for _ in range(3):
        kept.wait()
    assert len(started.events("request")) == 3
    released.set()


def test_storages_and_hooks_run_in_a_thread_that_serves_no_request(started: Tracking) -> None:
    hook_threads: list[int] = []
    hook_ran = threading.Event()

    def hook(**data: Any) -> None:
        hook_threads.append(threading.get_ident())
        hook_ran.set()

    kept = Kept(hooks=[hook])

    build_app(kept).test_client().get("/")

    assert hook_ran.wait(SECONDS)
    assert set(hook_threads) == kept.thread_ids
    assert threading.get_ident() not in hook_threads


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/" + "p" * 5000, {}, 404, id="long path"),
        pytest.param("/?q=" + "q" * 5000, {}, 200, id="long URL"),
        pytest.param("/order/6f1c2f9e-4c7b-4b0e-9d7a-2f3f5a1b8c9d", {}, 200, id="uuid"),
        pytest.param("/", {"X-Forwarded-For": "203.0.113.7, 198.51.100.23"}, 200, id="two hops"),
        pytest.param("/", {"User-Agent": "a" * 5000}, 200, id="long agent"),
    ],
)
def test_requests_that_used_to_be_too_large_are_stored_like_others(
    started: Tracking, path: str, headers: dict[str, str], status: int
) -> None:
    kept = Kept()
    client = build_app(kept).test_client()

    answer = client.get(
        path, headers=headers, environ_overrides={"REMOTE_ADDR": "2001:db8:85a3:8d3:1319:8a2e:370:7348"}
    )

    assert answer.status_code == status
    data = kept.wait()
    assert data["status"] == status
    assert data["remote_addr"] == "2001:db8:85a3:8d3:1319:8a2e:370:7348"
    if "order" in path:
        assert data["view_args"] == {"key": UUID("6f1c2f9e-4c7b-4b0e-9d7a-2f3f5a1b8c9d")}


def test_a_request_that_is_refused_before_its_view_stays_what_it_was(started: Tracking) -> None:
    kept = Kept()
    app = build_app(kept)
    app.before_request_funcs.setdefault(None, []).insert(0, lambda: abort(401))

    assert app.test_client().get("/").status_code == 401
    assert kept.wait()["status"] == 401


def test_a_storage_is_told_no_more_than_the_settings_let_through(tracking: Tracking) -> None:
    tracking.start(ip="masked", flush_interval_seconds=0.01)
    kept = Kept()
    client = build_app(kept).test_client()

    client.get(
        "/?token=hunter2&q=1",
        headers={"X-Forwarded-For": "203.0.113.99", "Authorization": "Basic YW5uOmh1bnRlcjI="},
        environ_overrides={"REMOTE_ADDR": "203.0.113.99"},
    )

    data = kept.wait()
    assert data["remote_addr"] == "203.0.113.0"
    assert data["url_args"] == {"token": "REDACTED", "q": "1"}
    assert data["authorization"] is True
    assert not any(secret in repr(data) for secret in ("hunter2", "203.0.113.99", "ann"))


def test_a_session_is_known_to_a_storage_that_asks_for_it(started: Tracking) -> None:
    kept = Kept(more_keys=("visit_key",))
    client = build_app(kept).test_client()

    keys = []
    for _ in range(2):
        client.get("/")
        keys.append(kept.wait()["visit_key"])

    assert keys[0] == keys[1]
    assert len(keys[0]) == 32


def test_track_var_of_one_storage_is_not_that_of_another_one(started: Tracking) -> None:
    kept, changed = Kept(), Kept()
    app = build_app(changed, kept)

    @app.get("/basket")
    def basket() -> str:
        g.track_var["basket"] = {"items": [1, 2]}
        return ""

    app.test_client().get("/basket")
    changed.wait()["track_var"]["basket"]["items"].append(3)

    assert kept.wait()["track_var"] == {"basket": {"items": [1, 2]}}


def test_an_app_that_ends_closes_its_storages_after_the_last_event(started: Tracking) -> None:
    kept = Kept()

    build_app(kept).test_client().get("/")
    wiring.shut_down()

    assert len(kept.stored) == 1


def test_an_app_that_is_gone_loses_nothing_that_its_storage_still_has_when_the_process_ends(
    started: Tracking,
) -> None:
    released, kept = threading.Event(), Kept()
    in_hand = threading.Event()

    def store_slowly(data: dict[str, Any]) -> None:
        in_hand.set()
        released.wait(SECONDS)
        kept(data)

    app = build_app(store_slowly)
    is_gone = weakref.ref(app)
    app.test_client().get("/")
    assert in_hand.wait(SECONDS)
    del app
    started.processor.force_flush()
    gc.collect()
    assert is_gone() is None

    end = threading.Thread(target=wiring.shut_down)
    end.start()
    end.join(0.2)
    assert end.is_alive()
    released.set()
    end.join(SECONDS)
    assert len(kept.stored) == 1
