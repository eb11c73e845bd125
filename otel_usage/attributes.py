"""Names of the span attributes: the wire format between the app, the Collector and ClickHouse.

Semantic conventions (v1.44.0) come first; what they do not name stands under `usage.`.
The constants are our own copies, because the conventions' Python package keeps unstable names in a
private module that moves.
"""

from __future__ import annotations

# What happened.
EVENT_NAME = "usage.event.name"
"""Makes a span a usage event; `request` for request spans."""
EVENT_ID = "usage.event.id"
"""Trace id and span id in hex, 48 characters; set by the worker. Only spans that carry it are stored."""

# Who.
VISIT_KEY = "session.id"
VISIT_IS_NEW = "usage.visit.is_new"
VISITOR_ID = "usage.visitor.id"
USER_ID = "user.id"
CLIENT_ADDRESS = "client.address"
CLIENT_ADDRESS_HASH = "usage.client.address_hash"
PEER_ADDRESS = "network.peer.address"
FORWARDED_FOR = "usage.client.forwarded_for"
"""The raw X-Forwarded-For header, or Forwarded without one: what was claimed, not what is believed."""
HAS_AUTHORIZATION = "usage.request.has_authorization"
USER_AGENT = "user_agent.original"
LANGUAGE = "usage.client.language"
"""The first language of Accept-Language, such as `de-CH`."""

# What.
METHOD = "http.request.method"
STATUS_CODE = "http.response.status_code"
RESPONSE_SIZE = "http.response.body.size"
ROUTE = "http.route"
SCHEME = "url.scheme"
HOST = "server.address"
PATH = "url.path"
QUERY = "url.query"
REFERRER_URL = "usage.referrer.url"
ENDPOINT = "usage.endpoint"
"""The framework's name of the view, such as `catalog.product`."""
BLUEPRINT = "usage.blueprint"
VIEW_ARGUMENT_PREFIX = "usage.view_argument."
PROPERTY_PREFIX = "usage.property."
TRACK_VAR = PROPERTY_PREFIX + "track_var"
"""What a Flask app put into `g.track_var`: one JSON object, whose `_truncated` lists the keys that are left out."""

OBJECT_TYPE = "usage.object.type"
OBJECT_ID = "usage.object.id"
COUNTER_NAME = "usage.counter.name"
COUNTER_VALUE = "usage.counter.value"
FUNNEL = "usage.funnel.name"
STAGE = "usage.funnel.stage.name"
STAGE_INDEX = "usage.funnel.stage.index"

REJECTED_REASON = "usage.rejected.reason"
"""Sets an event aside: it goes to `rejected_events`, and no view counts it."""
REJECTED_EVENT = "usage.rejected.event"
"""Name of the event that it should have been, such as `counter`."""
REJECTED_VALUE = "usage.rejected.value"
"""What was given for the counter's value, as text."""

# Set by the worker.
BROWSER = "user_agent.name"
BROWSER_VERSION = "user_agent.version"
OS = "user_agent.os.name"
OS_VERSION = "user_agent.os.version"
DEVICE_TYPE = "usage.device.type"
SYNTHETIC_TYPE = "user_agent.synthetic.type"
"""`bot` for robots; absent for people."""
BOT_NAME = "usage.bot.name"
COUNTRY = "geo.country.iso_code"
"""Two letters, ISO 3166-1; where the client is, by its address before anything was masked."""
REGION = "geo.region.iso_code"
"""ISO 3166-2, such as `CH-ZH`."""
REGION_NAME = "usage.geo.region.name"
"""Where a source has no code for the region."""
CITY = "geo.locality.name"
REFERRER_DOMAIN = "usage.referrer.domain"
CAMPAIGN_SOURCE = "usage.campaign.source"
CAMPAIGN_MEDIUM = "usage.campaign.medium"
CAMPAIGN_NAME = "usage.campaign.name"
CAMPAIGN_TERM = "usage.campaign.term"
CAMPAIGN_CONTENT = "usage.campaign.content"

# Event names that we give a meaning; any other name is the app's own.
REQUEST = "request"
OBJECT_VIEWED = "object_viewed"
STAGE_REACHED = "stage_reached"
COUNTER = "counter"
ACTIVITY = "activity"
LOGIN = "login"
LOGIN_FAILED = "login_failed"
LOGOUT = "logout"
SESSION_ENDED = "session_ended"
RESPONSE_SENT = "response_sent"
REJECTED = "rejected"
"""Name of an event that was rejected where it was made."""

RESERVED_EVENT_NAMES = frozenset(
    {
        REQUEST,
        OBJECT_VIEWED,
        STAGE_REACHED,
        COUNTER,
        ACTIVITY,
        LOGIN,
        LOGIN_FAILED,
        LOGOUT,
        SESSION_ENDED,
        RESPONSE_SENT,
        REJECTED,
    }
)
"""Names that `track()` refuses, because the views count them."""

# Longest texts that are kept, in characters. A request may carry megabytes; a row may not.
MAX_NAME = 256
"""Names, ids, routes, hosts."""
MAX_TEXT = 2048
"""Paths, queries, referrers, user agents, property values."""
MAX_PROPERTIES = 32
"""Properties, and view arguments, of one event."""
