"""A session backend of the site's own, with the interface of `SessionBase` and nothing more."""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

kept: dict[str, dict[str, Any]] = {}


class SessionStore(SessionBase):
    def exists(self, session_key: str) -> bool:
        return session_key in kept

    def create(self) -> None:
        self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]  # not in the stubs
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            self.create()
            return
        if must_create and self.session_key in kept:
            raise CreateError
        if not must_create and self.session_key not in kept:
            raise UpdateError
        kept[self.session_key] = dict(self._get_session(no_load=must_create))  # type: ignore[attr-defined]

    def delete(self, session_key: str | None = None) -> None:
        kept.pop(session_key or self.session_key or "", None)

    def load(self) -> dict[str, Any]:
        return dict(kept.get(self.session_key or "", {}))

    @classmethod
    def clear_expired(cls) -> None:
        kept.clear()
