"""What visit managers and sources may ask of a Flask request."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from flask.ctx import RequestContext
from flask.sessions import NullSession

_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 65_536
_MOST_FIELDS = 1000


class FlaskRequest:
    """A Flask request behind the `FrameworkRequest` protocol."""

    __slots__ = ("_context",)

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the session, None for an app without a secret key."""
        session = self._context.session
        return None if isinstance(session, NullSession) else session

    def form_values(self, name: str) -> Sequence[str]:
        """Return the values in the query, then those in a URL-encoded body of known, modest length.

        Such a body is read and laid back, so that the view finds it untouched. Any other one is a stream, and the
        view's alone.
        """
        return [*self._context.request.args.getlist(name), *self._body_values(name)]

    def _body_values(self, name: str) -> Sequence[str]:
        request = self._context.request
        length = request.content_length
        if request.mimetype != _FORM or not length or length > _LONGEST_FORM or "stream" in request.__dict__:
            return ()
        environ = request.environ
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = BytesIO(body)
        try:
            return parse_qs(body.decode("latin-1"), max_num_fields=_MOST_FIELDS).get(name, ())
        except ValueError:  # too many fields
            return ()
