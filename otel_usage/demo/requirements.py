"""What the demo needs to be installed, looked for before anything is started."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from otel_usage.demo.stacks import Stack
from otel_usage.errors import OtelUsageError

_DISTRIBUTION_BY_MODULE = {
    "chdb": "chdb",
    "lz4": "lz4",
    "opentelemetry.instrumentation.auto_instrumentation": "opentelemetry-instrumentation",
    "opentelemetry.proto": "opentelemetry-proto",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "zstandard": "zstandard",
}
"""What `otel-usage serve` and the launcher need, whatever the shop runs on."""
PROGRAMS = Path(sys.executable).parent
"""Where pip puts the programs of this environment."""
LAUNCHER = "opentelemetry-instrument"


def check_requirements(stack: Stack) -> None:
    """Look for every package and program that one way to run the demo needs.

    Raises:
        OtelUsageError: some are missing; names all of them, and how to install them.
    """
    # Found, not imported: chdb starts threads when it is imported.
    needed = {**_DISTRIBUTION_BY_MODULE, **stack.distribution_by_module}
    missing = [needed[module] for module in sorted(needed) if not _is_there(module)]
    if not missing:
        programs = [PROGRAMS / LAUNCHER, PROGRAMS / stack.program]
        missing = [f"the program {program}" for program in programs if not program.is_file()]
    if missing:
        raise OtelUsageError(
            f"demo needs {' and '.join(missing)}. Install it with: pip install 'otel-usage[demo]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
