"""Table 1: what one request costs, bare and with each layer of instrumentation."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping

from tests.benchmarks.measure import run_child, spread
from tests.benchmarks.request_child import Variant
from tests.benchmarks.table import Table

CONTRIB = Variant(contrib=True, ratio=1.0)
USAGE = Variant(contrib=True, ratio=1.0, usage="discard")
RARE = Variant(contrib=True, ratio=0.01)
SQLITE = {"visit_manager": "sqlalchemy", "visit_database": "sqlite:///{directory}/visits.db"}
"""`{directory}` stands for an empty one of the variant's own."""

VARIANTS: Mapping[str, tuple[Variant, str]] = {
    "bare Flask": (Variant(), ""),
    "contrib, no SDK": (Variant(contrib=True), ""),
    "contrib + SDK + BSP, no-op exporter": (CONTRIB, ""),
    "+ otel_usage, new visitor": (USAGE, "contrib + SDK + BSP, no-op exporter"),
    "contrib + BSP, request with cookie": (dataclasses.replace(CONTRIB, request="returning"), ""),
    "+ otel_usage, returning visitor": (
        dataclasses.replace(USAGE, request="returning"),
        "contrib + BSP, request with cookie",
    ),
    "contrib + BSP, behind a proxy": (dataclasses.replace(CONTRIB, request="proxy"), ""),
    "+ otel_usage, new, trusted proxy": (
        dataclasses.replace(USAGE, request="proxy", settings={"trusted_proxies": "10.0.0.0/8"}),
        "contrib + BSP, behind a proxy",
    ),
    "contrib + BSP, query and referrer": (dataclasses.replace(CONTRIB, request="query"), ""),
    "+ otel_usage, new, query and referrer": (
        dataclasses.replace(USAGE, request="query"),
        "contrib + BSP, query and referrer",
    ),
    "contrib + BSP, 1 % sampled": (RARE, ""),
    "+ otel_usage, new, 1 % sampled": (
        dataclasses.replace(RARE, usage="discard"),
        "contrib + BSP, 1 % sampled",
    ),
    "+ otel_usage, visits cookieless": (
        dataclasses.replace(USAGE, settings={"visit_manager": "cookieless"}),
        "contrib + SDK + BSP, no-op exporter",
    ),
    "+ otel_usage, returning, visits in the session": (
        dataclasses.replace(USAGE, request="returning", settings={"visit_manager": "session"}),
        "contrib + BSP, request with cookie",
    ),
    "+ otel_usage, returning, visits in SQLite": (
        dataclasses.replace(USAGE, request="returning", settings=SQLITE),
        "contrib + BSP, request with cookie",
    ),
    "otel_usage + SDK + BSP without contrib": (dataclasses.replace(USAGE, contrib=False), "bare Flask"),
    "contrib + BSP, Django": (dataclasses.replace(CONTRIB, framework="django"), ""),
    "+ otel_usage, Django": (dataclasses.replace(USAGE, framework="django"), "contrib + BSP, Django"),
    "contrib + BSP, Django, ASGI": (dataclasses.replace(CONTRIB, framework="django asgi"), ""),
    "+ otel_usage, Django, ASGI": (
        dataclasses.replace(USAGE, framework="django asgi"),
        "contrib + BSP, Django, ASGI",
    ),
    "bare Django, ASGI": (Variant(framework="django asgi"), ""),
    "otel_usage + SDK + BSP, Django, ASGI, without contrib": (
        dataclasses.replace(USAGE, framework="django asgi", contrib=False),
        "bare Django, ASGI",
    ),
}
"""Name: the variant, and the one that it is compared with."""


def run(*, quick: bool = False) -> list[Table]:
    """Return the cost of each variant over interleaved rounds."""
    rounds, requests = (3, 1000) if quick else (9, 4000)
    results: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(rounds):
        for name, (variant, _base) in VARIANTS.items():
            arguments = json.dumps(dataclasses.asdict(variant))
            results[name].append(run_child("request_child", arguments, str(requests)))
    return [_table(results, rounds, requests)]


def _table(results: Mapping[str, list[dict[str, float]]], rounds: int, requests: int) -> Table:
    bare = _median(results["bare Flask"], "p50_us")
    rows = []
    for name, (_variant, base) in VARIANTS.items():
        median = _median(results[name], "p50_us")
        # Round by round, because a slow round is slow for both.
        differences = [
            ours["p50_us"] - theirs["p50_us"]
            for ours, theirs in zip(results[name], results.get(base, []), strict=False)
        ]
        rows.append(
            (
                name,
                f"{median:.0f}",
                f"{median / bare:.2f}",
                f"{statistics.median(differences):+.1f}" if differences else "",
                f"{_median(results[name], 'p99_us'):.0f}",
                f"{_median(results[name], 'cpu_us'):.0f}",
                spread([result["p50_us"] for result in results[name]]),
            )
        )
    return Table(
        "Cost of a request",
        ("variant", "p50 µs", "× bare", "ours µs", "p99 µs", "CPU µs", "spread"),
        rows,
        (
            f"Medians of {rounds} interleaved rounds, a fresh process each, {requests} requests; Flask with its test client, Django straight to its handler.",
            "`ours` is the median of the differences, round by round, to the same request without otel_usage (without contrib: to bare Flask).",
        ),
    )


def _median(results: list[dict[str, float]], key: str) -> float:
    return statistics.median(result[key] for result in results)
