"""Writes every dashboard to dashboards/, and takes away what no longer is one."""

from __future__ import annotations

import sys


def main() -> None:
    """Write the files and print their paths; an older Python, for which there is no SDK, is told so."""
    if sys.version_info < (3, 11):
        number = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"This is Python {number}, and Grafana's Foundation SDK needs 3.11 or newer. Run it with such a Python."
        )
    from collector_config.grafana.generate import write_dashboards

    for path in write_dashboards():
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
