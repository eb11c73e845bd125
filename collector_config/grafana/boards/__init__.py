"""Every dashboard, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana.boards.acquisition import acquisition
from collector_config.grafana.boards.addresses import addresses
from collector_config.grafana.boards.bots import bots
from collector_config.grafana.boards.content import content
from collector_config.grafana.boards.funnels import funnels
from collector_config.grafana.boards.live import live
from collector_config.grafana.boards.pipeline import pipeline
from collector_config.grafana.boards.reliability import reliability
from collector_config.grafana.boards.trace import trace
from collector_config.grafana.boards.visits import visits

BOARDS: tuple[Callable[[], Dashboard], ...] = (
    live,
    acquisition,
    content,
    funnels,
    visits,
    bots,
    addresses,
    reliability,
    pipeline,
    trace,
)
"""What makes each of them."""
