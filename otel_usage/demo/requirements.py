"""What the demo needs to be installed, looked for before anything is started."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from otel_usage.errors import OtelUsageError

_DISTRIBUTION_BY_MODULE = {
    "chdb": "chdb",
    "flask": "flask",
    "gunicorn": "gunicorn",
    "lz4": "lz4",
    "opentelemetry.instrumentation.auto_instrumentation": "opentelemetry-instrumentation",
    "opentelemetry.instrumentation.flask": "opentelemetry-instrumentation-flask",
    "opentelemetry.proto": "opentelemetry-proto",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "zstandard": "zstandard",
}
PROGRAMS = Path(sys.executable).parent
"""Where pip puts the programs of this environment."""
_PROGRAM_NAMES = ("opentelemetry-instrument", "gunicorn")


def check_requirements() -> None:
    """Look for every package and program.

    Raises:
        OtelUsageError: some are missing; names all of them, and how to install them.
    """
    # Found, not imported: chdb starts threads when it is imported.
    missing = [name for module, name in _DISTRIBUTION_BY_MODULE.items() if not _is_there(module)]
    if not missing:
        missing = [
            f"the program {PROGRAMS / name}" for name in _PROGRAM_NAMES if not (PROGRAMS / name).is_file()
        ]
    if missing:
        raise OtelUsageError(
            f"demo needs {' and '.join(missing)}. Install it with: pip install 'otel-usage[demo]'"
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
