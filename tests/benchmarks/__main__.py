"""`python -m tests.benchmarks [--only NAME] [--quick]`: run the benchmarks and print their tables."""

from __future__ import annotations

import argparse
import importlib

BENCHMARKS = (
    "request_cost",
    "exporter_throughput",
    "clickhouse_down",
    "otlp_receiver",
    "access_log_import",
    "copying",
    "disk",
    "startup",
    "track_usage_cost",
    "track_usage_servers",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, for a first look")
    options = parser.parse_args()
    for name in options.only or BENCHMARKS:
        for table in importlib.import_module(f"tests.benchmarks.{name}").run(quick=options.quick):
            print(table, end="\n\n", flush=True)


if __name__ == "__main__":
    main()
