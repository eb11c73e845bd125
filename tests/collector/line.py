"""A TCP line between two programs that can lose the answers, as a network does that breaks at the worst moment."""

from __future__ import annotations

import socket
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from tests.collector.listening import Listening

_CHUNK = 65536


class Line(Listening):
    """Forwards HTTP connections from a port of its own to a server.

    Args:
        url: base address of the server.
        marker: in the first line of the requests whose answers it can lose.
    """

    def __init__(self, url: str, marker: bytes) -> None:
        parts = urlsplit(url)
        target = (parts.hostname or "", parts.port or 0)
        self.lost_answers = threading.Semaphore(0)
        """Released for each answer that was lost: what was asked for has been done by then."""
        self.marked_requests = 0
        """How many marked requests went through."""
        self._loses_answers = threading.Event()
        line = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(target) as server:
                    last = _LastRequest(line, marker)
                    forward = threading.Thread(target=_pump, args=(self.request, server, last), daemon=True)
                    forward.start()
                    line._return_answers(server, self.request, last)
                    _shut(self.request)
                    _shut(server)
                    forward.join()

        super().__init__(ThreadingTCPServer(("127.0.0.1", 0), Handler))

    def lose_answers(self) -> None:
        """Cut the connection in place of each answer to a marked request, from now on."""
        self._loses_answers.set()

    def mend(self) -> None:
        """Let the answers through again."""
        self._loses_answers.clear()

    def wait_for_lost_answer(self) -> None:
        """Return when an answer has been lost."""
        assert self.lost_answers.acquire(timeout=60), "no answer came to be lost"

    def _return_answers(self, server: socket.socket, client: socket.socket, last: _LastRequest) -> None:
        try:
            while chunk := server.recv(_CHUNK):
                if last.is_marked and self._loses_answers.is_set():
                    self.lost_answers.release()
                    return
                client.sendall(chunk)
        except OSError:  # either side has gone
            return


class _LastRequest:
    """Whether the last request on a connection has the marker."""

    def __init__(self, line: Line, marker: bytes) -> None:
        self._line = line
        self._marker = marker
        self.is_marked = False

    def see(self, chunk: bytes) -> None:
        if chunk.startswith((b"POST ", b"GET ")):
            self.is_marked = self._marker in chunk.split(b"\r\n", 1)[0]
            self._line.marked_requests += self.is_marked


def _pump(source: socket.socket, sink: socket.socket, last: _LastRequest) -> None:
    try:
        while chunk := source.recv(_CHUNK):
            last.see(chunk)
            sink.sendall(chunk)
    except OSError:  # either side has gone
        return
    _shut(sink, socket.SHUT_WR)


def _shut(end: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    try:
        end.shutdown(how)
    except OSError:  # it is shut already
        return
