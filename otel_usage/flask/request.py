"""What visit managers and sources may ask of a Flask request."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from io import BytesIO
from typing import IO, Any

from flask.ctx import RequestContext
from flask.sessions import NullSession

from otel_usage.instrumentation.forms import is_small_form, values_of_field


class FlaskRequest:
    """A Flask request behind the `FrameworkRequest` protocol."""

    __slots__ = ("_context",)

    def __init__(self, context: RequestContext) -> None:
        self._context = context

    def session(self) -> MutableMapping[str, Any] | None:
        """Return the session, None for an app without a secret key."""
        session = self._context.session
        return None if isinstance(session, NullSession) else session

    def form_values(self, name: str) -> Iterator[str]:
        """Yield the values in the query, then those in a URL-encoded body of known, modest length.

        Such a body is read only when the query did not do, and laid back, so that the view finds it untouched.
        Any other one is a stream, and the view's alone.
        """
        yield from self._context.request.args.getlist(name)
        yield from self._body_values(name)

    def _body_values(self, name: str) -> Sequence[str]:
        request = self._context.request
        length, limit = request.content_length, request.max_content_length
        if length is None or not is_small_form(request.mimetype, length) or "stream" in request.__dict__:
            return ()
        if limit is not None and length > limit:  # the view answers with 413, before it reads
            return ()
        environ = request.environ
        body = _read(environ["wsgi.input"], length)
        environ["wsgi.input"] = BytesIO(body)
        return values_of_field(body, name)


def _read(stream: IO[bytes], length: int) -> bytes:
    """Return so many bytes, fewer where the client has gone; a server may hand them out piece by piece."""
    pieces = []
    while length > 0:
        try:
            piece = stream.read(length)
        except OSError:  # the client has gone; the view finds that out when it reads on
            break
        if not piece:
            break
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)
