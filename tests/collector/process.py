"""Runs a real OpenTelemetry Collector with one of our files, on ports of its own."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs_tables import ROOT
from tests.ports import free_port
from tests.serving import wait_for

CONFIG = ROOT / "collector_config"
START_SECONDS = 60.0


@dataclass
class CollectorProcess:
    """A Collector that can be stopped, killed and started again with the same queue and the same ports.

    Attributes:
        binary: the program.
        config: file name in `collector_config`.
        directory: for its log, and for its queue below it.
        environ: variables that the file reads.
        settings: further `key=value` for the file, such as `processors.tail_sampling.decision_wait=1s`.
    """

    binary: Path
    config: str
    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._ports = {name: free_port() for name in ("grpc", "http", "health", "metrics")}
        self._process: subprocess.Popen[bytes] | None = None
        self.log = self.directory / f"{Path(self.config).stem}.log"

    def __enter__(self) -> CollectorProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def otlp_url(self) -> str:
        """Base address of OTLP/HTTP."""
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def grpc_address(self) -> str:
        """Host and port of OTLP/gRPC."""
        return f"127.0.0.1:{self._ports['grpc']}"

    def start(self) -> None:
        """Start it and return when it says that it is healthy."""
        assert self._process is None, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary, f"--config={CONFIG / self.config}", *self._options()],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "COLLECTOR_STORAGE": str(self._storage), **self.environ},
            )
        wait_for(self._is_healthy, f"the start of the Collector, see {self.log},", START_SECONDS)

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.terminate()
        return process.wait(START_SECONDS)

    def kill(self) -> None:
        """End it at once, as a crash or the kernel would."""
        process, self._process = self._process, None
        assert process is not None, "it does not run"
        process.kill()
        process.wait(START_SECONDS)

    def wait_until_queue_is_empty(self) -> None:
        """Return when all that it took has been taken from it."""
        wait_for(lambda: self.metric("otelcol_exporter_queue_size") == 0, f"an empty queue, see {self.log},")

    def log_text(self) -> str:
        """Return all that it printed since the first start."""
        return self.log.read_text("utf-8")

    def metric(self, name: str) -> float:
        """Return the sum of one of its own metrics over all labels; 0 when it is not there yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['metrics']}/metrics") as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))

    @property
    def _storage(self) -> Path:
        return self.directory / f"{Path(self.config).stem}-queue"

    def _options(self) -> list[str]:
        reader = (
            f"{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {self._ports['metrics']}}}}}}}}}"
        )
        settings = [
            f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{self._ports['grpc']}",
            f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{self._ports['http']}",
            f"extensions.health_check.endpoint=127.0.0.1:{self._ports['health']}",
            f"service.telemetry.metrics.readers=[{reader}]",
            *self.settings,
        ]
        return [f"--set={setting}" for setting in settings]

    def _is_healthy(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise AssertionError(f"the Collector has ended: {self.log_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports['health']}/", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # not there yet, or 503 while it starts
            return False
