"""Runs the server without the rest of the command line: `python -m otel_usage.server`."""

from __future__ import annotations

import argparse
import sys

from otel_usage.data_directory import data_path
from otel_usage.server.serve import DEFAULT_MAX_BODY_BYTES, ServeOptions, serve


def main() -> int:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m otel_usage.server")
    parser.add_argument("--data", type=data_path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, default=8123)
    parser.add_argument("--otlp-port", type=int, default=4318)
    parser.add_argument("--allow-host", action="append", default=[])
    parser.add_argument("--max-body-bytes", type=int, default=DEFAULT_MAX_BODY_BYTES)
    given = parser.parse_args()
    return serve(
        ServeOptions(
            data=given.data,
            host=given.host,
            http_port=given.http_port,
            otlp_port=given.otlp_port,
            allowed_hosts=tuple(given.allow_host),
            max_body_bytes=given.max_body_bytes,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
