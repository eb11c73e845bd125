"""Sessions of the HTTP interface: what SET, USE and temporary tables leave behind for later requests.

Drivers send a session id with everything, most of it for no reason, and a long-lived handle keeps every setting for
ever. A session therefore gets a handle of its own only when a statement leaves something in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from otel_usage.server.engine import Engine, EngineError, EngineHandle, quoted_text
from otel_usage.server.sql_tokens import SqlRefused

MAX_SESSIONS = 64
MAX_SESSION_SECONDS = 3600.0
DEFAULT_SESSION_SECONDS = 60.0
_SESSION_IS_LOCKED = 373


class _Session:
    def __init__(self, handle: EngineHandle) -> None:
        self.handle = handle
        self.lock = threading.Lock()
        self.expires = 0.0


class Sessions:
    """The sessions that hold a handle. For any number of threads.

    Args:
        engine: whose handles they hold.
        default_database: the current one where a request names none.
    """

    def __init__(self, engine: Engine, default_database: str) -> None:
        self._engine = engine
        self._default_database = default_database
        self._lock = threading.Lock()
        self._by_id: dict[str, _Session] = {}

    @contextmanager
    def handle(
        self,
        session_id: str,
        *,
        keeps_state: bool,
        database: str,
        settings: Mapping[str, str],
        timeout_seconds: float = DEFAULT_SESSION_SECONDS,
    ) -> Iterator[EngineHandle]:
        """Give the handle for one request of a session, or a fresh one.

        Args:
            session_id: empty for a request without session.
            keeps_state: the statement leaves something in the session.
            database: to make the current one; empty keeps the session's own.
            settings: for this request alone.
            timeout_seconds: how long the session outlives its last request.

        Raises:
            SqlRefused: another request of the session is running, or there are too many sessions.
            EngineError: the database does not exist, or a setting is wrong.
        """
        session = self._find(session_id, keeps_state=keeps_state, database=database)
        if session is None:
            with self._engine.handle() as handle:
                handle.use(database or self._default_database)
                handle.set(settings)
                yield handle
            return
        if not session.lock.acquire(blocking=False):
            raise SqlRefused(f"Session {session_id[:100]!a} is locked by another request", _SESSION_IS_LOCKED)
        try:
            session.expires = time.monotonic() + min(timeout_seconds, MAX_SESSION_SECONDS)
            if database:
                session.handle.use(database)
            with _changed_settings(session.handle, settings):
                yield session.handle
        finally:
            session.lock.release()

    def end(self, session_id: str) -> None:
        """End a session, if it is there and at rest."""
        with self._lock:
            session = self._by_id.get(session_id)
            if session is not None and session.lock.acquire(blocking=False):
                session.handle.close()
                del self._by_id[session_id]

    def close(self) -> None:
        """End all sessions."""
        with self._lock:
            for session in self._by_id.values():
                session.handle.close()
            self._by_id.clear()

    def _find(self, session_id: str, *, keeps_state: bool, database: str) -> _Session | None:
        if not session_id:
            return None
        with self._lock:
            self._drop_expired()
            session = self._by_id.get(session_id)
            if session is None and keeps_state:
                if len(self._by_id) >= MAX_SESSIONS:
                    raise SqlRefused(
                        f"{MAX_SESSIONS} sessions are open. Close some or wait for their time-out", 202
                    )
                handle = self._engine.open_handle()
                try:
                    handle.use(database or self._default_database)
                except EngineError:
                    handle.close()
                    raise
                session = self._by_id[session_id] = _Session(handle)
                session.expires = time.monotonic() + DEFAULT_SESSION_SECONDS
            return session

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for session_id, session in list(self._by_id.items()):
            if session.expires < now and session.lock.acquire(blocking=False):
                session.handle.close()
                del self._by_id[session_id]


@contextmanager
def _changed_settings(handle: EngineHandle, settings: Mapping[str, str]) -> Iterator[None]:
    """Change settings of a long-lived handle and put them back afterwards."""
    if not settings:
        yield
        return
    names = ", ".join(quoted_text(name) for name in settings)
    before = handle.run(f"SELECT name, value FROM system.settings WHERE name IN ({names})", "JSONCompact")  # noqa: S608
    handle.set(settings)
    try:
        yield
    finally:
        handle.set(before.pairs())
