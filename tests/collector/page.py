"""The commands of docs/collector.md, run as they stand there but on free ports, with a Collector that samples sooner."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.docs_tables import DOCS
from tests.flask.launching import BIN, ROOT
from tests.ports import free_port
from tests.serving import wait_for

PORTS = ("4317", "4318", "4319", "8123", "8888", "8889", "13133", "13134", "14317", "14318", "14319")
_STAYS = re.compile(r"otel-usage serve|otelcol-contrib --config|opentelemetry-instrument|rotel start")
# The distro is installed beside the tests, and asks for these; an app has it when a command of the page installs it.
_WITHOUT_DISTRO = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
_FOREIGN = ("OTEL_", "FLASK_", "_OTEL_USAGE_", "COLLECTOR_", "CLICKHOUSE_")


def commands_of(heading: str) -> list[str]:
    """Return the commands of one section of the page."""
    page = (DOCS / "collector.md").read_text("utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def headings() -> list[str]:
    """Return the sections of the page that have commands."""
    page = (DOCS / "collector.md").read_text("utf-8")
    return [heading for heading in re.findall(r"^## (.+)$", page, re.MULTILINE) if commands_of(heading)]


class Terminal:
    """A directory with our files, in which commands run; those that stay run until the end.

    Args:
        directory: to work in.
        programs: further programs by name.
        ports: the port to use for each of `PORTS` that is taken already; the others get free ones.
        environ: variables of all commands.
    """

    def __init__(
        self, directory: Path, programs: dict[str, Path], ports: dict[str, int], environ: dict[str, str]
    ) -> None:
        self._directory = directory
        self._ports = {port: ports.get(port) or free_port() for port in PORTS}
        self._app_port = free_port()
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        tools = directory / "bin"
        tools.mkdir()
        for name, program in programs.items():
            (tools / name).symlink_to(program)
        self._copy_files()
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
        self._environ = {
            **kept,
            "PATH": f"{tools}:{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url("4318"),
            **_WITHOUT_DISTRO,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "FLASK_APP": "tests.flask.launched_app:create_app",
            "FLASK_RUN_PORT": str(self._app_port),
            **environ,
        }

    def url(self, port: str) -> str:
        """Return the address that stands for a port of the page."""
        return f"http://127.0.0.1:{self._ports[port]}"

    def run(self, command: str) -> None:
        """Run a command to its end, which must be a good one, or start it and return when it is ready."""
        if command.startswith("export "):
            for name, _, value in (word.partition("=") for word in shlex.split(command)[1:]):
                self._environ[name] = value
            return
        if command.startswith("pip install opentelemetry-distro"):
            self._environ = {key: text for key, text in self._environ.items() if key not in _WITHOUT_DISTRO}
        text = self._on_free_ports(command)
        if "otel-usage serve" in text:
            text += f" --http-port {self._ports['8123']}"
        if not _STAYS.search(command):
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", text],
                capture_output=True,
                text=True,
                cwd=self._directory,
                env=self._environ,
            )
            assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
            return
        log = self._directory / f"{len(self._running)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", text],
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._directory,
                env=self._environ,
            )
        self._running.append((process, log))
        wait_for(lambda: self._is_ready(command, process, log), f"the start of `{command}`, see {log},")

    def ask_the_app(self, requests: int, path: str = "/item/1") -> None:
        """Send requests to the app, whatever it answers."""
        for _ in range(requests):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._app_port}{path}").close()
            except urllib.error.HTTPError as answer:
                answer.close()

    def end_the_app(self) -> str:
        """Tell the app to end, so that it sends what it has, and return its log."""
        process, log = self._running.pop()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
        return log.read_text("utf-8")

    def close(self) -> None:
        """End all that still runs."""
        for process, _ in reversed(self._running):
            with suppress(ProcessLookupError):  # it has ended by itself, and its test says why
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)

    def _on_free_ports(self, text: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: str(self._ports[found[1]]), text)

    def _copy_files(self) -> None:
        copy = self._directory / "collector_config"
        copy.mkdir()
        for file in (ROOT / "collector_config").iterdir():
            if file.is_file():
                text = file.read_text("utf-8").replace("decision_wait: 10s", "decision_wait: 1s")
                (copy / file.name).write_text(self._on_free_ports(text), "utf-8")
                (copy / file.name).chmod(file.stat().st_mode)

    def _is_ready(self, command: str, process: subprocess.Popen[bytes], log: Path) -> bool:
        if process.poll() is not None:
            raise AssertionError(f"`{command}` has ended: {log.read_text('utf-8')[-2000:]}")
        if "otel-usage serve" in command:
            return "ready " in log.read_text("utf-8")
        if "otelcol-contrib" in command:
            return self._answers(self._ports["13134" if "gateway.yaml" in command else "13133"])
        return self._listens(self._ports["4318"] if "rotel" in command else self._app_port)

    @staticmethod
    def _answers(port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    @staticmethod
    def _listens(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True


@contextmanager
def terminal(
    directory: Path, programs: dict[str, Path], ports: dict[str, int], environ: dict[str, str]
) -> Iterator[Terminal]:
    """Open a terminal and close it at the end of the block."""
    opened = Terminal(directory, programs, ports, environ)
    try:
        yield opened
    finally:
        opened.close()
