"""The campaign that brought the visitor, from the `utm_` parameters of the query."""

from __future__ import annotations

from urllib.parse import parse_qsl

from otel_usage import attributes as names
from otel_usage.model import Attributes, Event

_ATTRIBUTE_BY_PARAMETER = {
    "utm_source": names.CAMPAIGN_SOURCE,
    "utm_medium": names.CAMPAIGN_MEDIUM,
    "utm_campaign": names.CAMPAIGN_NAME,
    "utm_term": names.CAMPAIGN_TERM,
    "utm_content": names.CAMPAIGN_CONTENT,
}
_NOTHING: Attributes = {}


def read_campaign(event: Event) -> Attributes:
    """Return the campaign attributes; the first value of each parameter counts, empty ones do not."""
    query = event.attributes.get(names.QUERY)
    if not isinstance(query, str) or "utm_" not in query:
        return _NOTHING
    try:
        parameters = parse_qsl(query, max_num_fields=200)
    except ValueError:  # more fields than any campaign link has
        return _NOTHING
    campaign: dict[str, str] = {}
    for name, value in parameters:
        attribute = _ATTRIBUTE_BY_PARAMETER.get(name)
        if attribute is not None:
            campaign.setdefault(attribute, value[: names.MAX_NAME])
    return campaign
