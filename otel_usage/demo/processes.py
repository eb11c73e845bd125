"""Child processes that are waited for by what they say, and that never outlive us."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from otel_usage.errors import OtelUsageError

_POLL_SECONDS = 0.05


class ChildError(OtelUsageError):
    """A child process ended early, or did not say in time what it was waited for."""


class Child:
    """A running command in a process group of its own; its output goes to a file.

    A context manager: whatever happens inside, the whole group is gone afterwards.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command.

        Args:
            name: what messages call it.
            command: program and arguments.
            log_path: file that takes its standard output and error. A pipe that nobody reads would stop it.
            env: its whole environment; None: a copy of ours.

        Raises:
            ChildError: the program cannot be started.
        """
        self.name = name
        self.log_path = log_path
        self._is_over = False
        try:
            with log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    start_new_session=True,
                )
        except OSError as error:
            raise ChildError(f"Cannot start {name} ({command[0]}): {error.strerror}") from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """Return everything that it has said so far."""
        return self.log_path.read_text("utf-8", "replace")

    def wait_for_line(self, pattern: str, *, timeout_seconds: float) -> re.Match[str]:
        """Return the match of a regular expression with the first line of its output that has one.

        Raises:
            ChildError: it ended, or the time was up, without such a line.
        """
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout_seconds
        while True:
            is_running = self.is_running()  # before reading, so that the last words are read too
            for line in self.output().splitlines(keepends=True):
                found = expression.search(line) if line.endswith("\n") else None
                if found:
                    return found
            if not is_running:
                raise ChildError(
                    f"{self.name} ended with code {self._process.returncode} before it was ready"
                )
            if time.monotonic() >= deadline:
                raise ChildError(f"{self.name} was not ready after {timeout_seconds:g} seconds")
            time.sleep(_POLL_SECONDS)

    def wait(self, *, timeout_seconds: float) -> int:
        """Return its exit code when it has ended by itself.

        Raises:
            ChildError: it has not, when the time is up.
        """
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ChildError(f"{self.name} still runs after {timeout_seconds:g} seconds") from None

    def stop(self, *, grace_seconds: float = 20.0) -> int | None:
        """Ask it to end, then end its whole group; return its exit code, None when it had to be killed."""
        if self._is_over:
            return self._process.returncode
        code = None
        try:
            self._process.terminate()
            code = self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also after a good end, and when an interrupt cut the wait short: a worker may still be there.
            self._kill_group()
            self._process.wait()
            self._is_over = True
        return code

    def _kill_group(self) -> None:
        # When everyone has left; macOS says it with the second one.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
