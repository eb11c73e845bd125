"""What the worker adds to an event, off the request thread.

A step is a pure function from an event to the attributes that it adds. The order is data: a later step
sees what the earlier ones added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from otel_usage.enrich.campaign import read_campaign
from otel_usage.enrich.referrer import read_referrer_domain
from otel_usage.enrich.user_agent import read_user_agent
from otel_usage.model import Attributes, Event

Step: TypeAlias = Callable[[Event], Attributes]

STEPS: tuple[Step, ...] = (
    read_user_agent,
    read_referrer_domain,
    read_campaign,
)


def enrich(event: Event, steps: Sequence[Step] = STEPS) -> Event:
    """Add the attributes of every step to the event's own dictionary, and return the event."""
    attributes = event.attributes
    for step in steps:
        added = step(event)
        if added:
            attributes.update(added)
    return event
