"""Every dashboard, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

from grafana_foundation_sdk.models.dashboard import Dashboard

from collector_config.grafana.boards.live import live

BOARDS: tuple[Callable[[], Dashboard], ...] = (live,)
"""What makes each of them, in the order of the folder."""
