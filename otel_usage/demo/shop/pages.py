"""The pages that are not HTML, and how long the slow one takes."""

from __future__ import annotations

ROBOTS = "User-agent: *\nDisallow: /cart\nDisallow: /checkout\n"
HEALTH = "ok\n"
SLOW_SECONDS = 0.25
BROKEN = "the demo's broken page was asked for, which is its purpose"
