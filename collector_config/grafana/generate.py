"""The JSON of all dashboards: the same text from the same code, so that a test says when a file is old."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from collector_config.grafana.boards import BOARDS

DASHBOARDS = Path(__file__).parent / "dashboards"


def texts() -> dict[str, str]:
    """Return the JSON of each dashboard by the name of its file."""
    found = {}
    for make in BOARDS:
        dashboard = make()
        found[f"{dashboard.uid}.json"] = json.dumps(dashboard, cls=JSONEncoder, indent=2) + "\n"
    return found


def write_dashboards() -> Iterator[Path]:
    """Write the files and yield the path of each."""
    written = texts()
    for path in DASHBOARDS.glob("*.json"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        path = DASHBOARDS / name
        path.write_text(text, "utf-8")
        yield path
