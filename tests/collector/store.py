"""An `otel-usage serve` that can be stopped and started again where it was."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.serving import ServeProcess, start_serve


class Store:
    """A server with data and ports that stay."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._server: ServeProcess | None = start_serve(data)
        self.dsn = self._server.dsn
        self.http_url = self._server.http_url
        self.otlp_url = self._server.otlp_url

    def stop(self) -> None:
        """Stop it, if it runs, as an administrator does."""
        server, self._server = self._server, None
        if server is not None:
            assert server.stop() == 0

    def start(self) -> None:
        """Start it, if it does not run, and return when it is ready."""
        if self._server is None:
            ports = [str(urlsplit(url).port) for url in (self.http_url, self.otlp_url)]
            self._server = start_serve(self._data, "--http-port", ports[0], "--otlp-port", ports[1])
