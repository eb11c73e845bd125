"""What the simulator plans and the sender sends: visitors, their visits and every request of them."""

from __future__ import annotations

from dataclasses import dataclass

from otel_usage.demo.agents import Agent

FOLLOW = ""
"""Target of a request that goes where the answer before it pointed."""

FUNNELS = {
    "purchase": ("shop", "product", "cart", "checkout", "order"),
    "signup": ("form", "done"),
}
"""The funnels of `funnels.toml` with their stages in order."""


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request and everything that is known of it before it is sent."""

    method: str
    target: str
    """Path and query, or `FOLLOW`."""
    route: str
    """The pattern that answers it, empty for none."""
    status: int
    address: str = ""
    """The client's, as it must be stored."""
    forwarded_for: str = ""
    """The header that the proxy sends: the address, perhaps behind what the client claims, perhaps with a port."""
    referrer: str = ""
    """Of the first request of a visit, when another site sent the visitor. Later ones name the page before."""
    form: tuple[tuple[str, str], ...] = ()
    campaign: str = ""
    """`utm_source` of the target."""
    product: str = ""
    """Slug of the product that it shows."""
    stages: tuple[tuple[str, str], ...] = ()
    """(funnel, stage) that it reaches."""
    event: str = ""
    """The event of another kind that it causes: the shop's own, or that of a stream."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone with one browser, who may come several times."""

    agent: Agent
    language: str
    """Accept-Language, empty for none."""
    keeps_cookies: bool
    opts_out: bool
    """Sends `Sec-GPC: 1`."""
    visits: tuple[tuple[PlannedRequest, ...], ...]
    """At least one visit of at least one request. Between two visits lies more than the visit time-out."""

    @property
    def request_count(self) -> int:
        return sum(len(visit) for visit in self.visits)
