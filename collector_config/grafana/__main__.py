"""Writes every dashboard to dashboards/, and takes away what no longer is one."""

from __future__ import annotations

import sys

from collector_config.grafana.generate import write_dashboards

if __name__ == "__main__":
    for path in write_dashboards():
        sys.stdout.write(f"{path}\n")
