"""Builds the Go programs of these tests, whose modules come over the network the first time."""

from __future__ import annotations

import subprocess
from pathlib import Path

_BUILD_SECONDS = 600
_TRIES = 3


def build_program(source: Path, program: Path) -> str:
    """Build the package in a directory; Go keeps what it compiled before.

    Returns:
        What Go said when it could not, also when it was asked again; empty when the program is there.
    """
    said = ""
    for _ in range(_TRIES):
        done = subprocess.run(
            ["go", "build", "-o", str(program), "."],
            cwd=source,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return ""
        said = done.stderr.strip()
    return said
