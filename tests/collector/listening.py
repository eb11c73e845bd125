"""A server in a thread of the test's own process, which listens while its block runs."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Listening:
    """What the servers of these tests have in common: a free port on loopback, and a thread.

    Args:
        server: bound to its port.
    """

    def __init__(self, server: ThreadingTCPServer | ThreadingHTTPServer) -> None:
        self._server = server
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
