"""What the span of a request says of it: its texts bounded, its secrets and its address as the settings allow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import NamedTuple
from uuid import UUID

from opentelemetry.trace import Span

from otel_usage import attributes as names
from otel_usage.instrumentation.address import AddressPolicy
from otel_usage.instrumentation.identity import is_accepted
from otel_usage.instrumentation.redaction import REDACTED, bounded, redact_query, redact_url
from otel_usage.instrumentation.tracked import TrackedRequest
from otel_usage.model import AttributeValue, RequestFacts

_OLD_NAMES_OF_ADDRESS = ("net.peer.ip", "net.sock.peer.addr")
_CAPTURED_ADDRESSES = (
    "http.request.header.x_forwarded_for",
    "http.request.header.forwarded",
    "http.request.header.x_real_ip",
)
"""As contrib writes the headers that it was told to capture."""
_OLD_NAMES_OF_URL = ("http.url", "http.target", "url.full")

_KNOWN_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_OTHER_METHOD = "_OTHER"
"""What the conventions write for a method that they do not know."""

_NOT_MODIFIED = 304

PURPOSE = names.PROPERTY_PREFIX + "purpose"
"""`prefetch`, `prerender` or `preview`, on requests whose answer may never be shown."""


class Answer(NamedTuple):
    """What an adapter knows when the response is ready."""

    status_code: int
    route: str = ""
    """The pattern that matched, empty for a 404."""
    endpoint: str = ""
    blueprint: str = ""
    view_arguments: Mapping[str, object] | None = None
    user_id: str = ""
    response_size: int | None = None
    """Bytes of the body, None when it is a stream."""
    allows_cookie: bool = True
    """False for responses that shared caches keep, and for those that cannot carry one."""


def allows_cookie(status_code: int, cache_control: str) -> bool:
    """Return False where a shared cache would hand one visitor's cookie to others."""
    if status_code == _NOT_MODIFIED:
        return False
    directives = cache_control.lower()
    return "public" not in directives and "s-maxage" not in directives


def _argument_text(value: object) -> str:
    """Return a view argument as text; an object that a converter loaded gives its type alone.

    Its text may take a query to make, and may say more of it than the URL did.
    """
    is_plain = isinstance(value, (str, int, float, Decimal, UUID, date, PurePath))
    return bounded(str(value) if is_plain else type(value).__name__, names.MAX_TEXT)


class RequestDescription:
    """Writes requests down as attributes, by the address policy and the secret parameters of one app."""

    def __init__(self, policy: AddressPolicy, secrets: re.Pattern[str]) -> None:
        self._policy = policy
        self._secrets = secrets

    def attributes_of(self, tracked: TrackedRequest, answer: Answer) -> dict[str, AttributeValue]:
        """Return the attributes of the request's span, and set those that its events share."""
        facts = tracked.facts
        inherited = tracked.inherited = self._identity(tracked, answer)
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.REQUEST,
            **inherited,
            names.METHOD: bounded(facts.method, 32),
            names.STATUS_CODE: answer.status_code,
            names.SCHEME: facts.scheme,
            names.HOST: bounded(facts.host, names.MAX_NAME),
        }
        if tracked.state:
            attributes[names.VISIT_IS_NEW] = tracked.state.visit.is_new
        self._add_headers(attributes, facts)
        if answer.route:
            attributes[names.ROUTE] = answer.route
        if answer.endpoint:
            attributes[names.ENDPOINT] = answer.endpoint
        if answer.blueprint:
            attributes[names.BLUEPRINT] = answer.blueprint
        if answer.response_size is not None:
            attributes[names.RESPONSE_SIZE] = answer.response_size
        if answer.view_arguments:
            for name, value in list(answer.view_arguments.items())[: names.MAX_PROPERTIES]:
                attributes[names.VIEW_ARGUMENT_PREFIX + name] = _argument_text(value)
        if self._policy.keeps_everything:
            attributes[names.PEER_ADDRESS] = facts.peer_address
            claimed = facts.forwarded_for or facts.forwarded
            if claimed:
                attributes[names.FORWARDED_FOR] = bounded(claimed, names.MAX_TEXT)
        return attributes

    def _add_headers(self, attributes: dict[str, AttributeValue], facts: RequestFacts) -> None:
        if facts.query:
            attributes[names.QUERY] = bounded(redact_query(facts.query, self._secrets), names.MAX_TEXT)
        if facts.referrer:
            attributes[names.REFERRER_URL] = bounded(
                redact_url(facts.referrer, self._secrets), names.MAX_TEXT
            )
        if facts.accept_language:
            first = facts.accept_language.partition(",")[0].partition(";")[0]
            attributes[names.LANGUAGE] = bounded(first.strip(), 35)
        if facts.has_authorization:
            attributes[names.HAS_AUTHORIZATION] = True
        if facts.purpose:
            attributes[PURPOSE] = facts.purpose

    def _identity(self, tracked: TrackedRequest, answer: Answer) -> dict[str, AttributeValue]:
        """Return what the events of the request share with it."""
        facts = tracked.facts
        kept = self._policy.apply(tracked.client_address)
        attributes: dict[str, AttributeValue] = {
            names.CLIENT_ADDRESS: kept.address,
            names.USER_AGENT: bounded(facts.user_agent, names.MAX_TEXT),
            # Where an object was viewed, or a button clicked, is the first thing that one asks.
            names.PATH: bounded(facts.path, names.MAX_TEXT),
        }
        if kept.hashed:
            attributes[names.CLIENT_ADDRESS_HASH] = kept.hashed
        if tracked.state:
            attributes[names.VISIT_KEY] = tracked.state.visit.key
            attributes[names.VISITOR_ID] = tracked.state.visit.visitor_id
        if not facts.opted_out:
            user_id = answer.user_id
            if not user_id and facts.basic_user and is_accepted(answer.status_code, answer.endpoint):
                user_id = facts.basic_user
            if user_id:
                attributes[names.USER_ID] = bounded(user_id, names.MAX_NAME)
        return attributes

    def hide_what_others_wrote(self, span: Span, attributes: dict[str, AttributeValue]) -> None:
        """Overwrite the address and the URL that the framework's instrumentation put on the span in full.

        A method that it found no name for stays as it wrote it.

        Args:
            span: the request's own span, which records.
            attributes: those of the request, to which the ones that hide others are added.
        """
        is_known = attributes[names.METHOD] in _KNOWN_METHODS
        if is_known and self._policy.keeps_everything and names.QUERY not in attributes:
            return
        present: Mapping[str, object] = getattr(span, "attributes", None) or {}
        if present.get(names.METHOD) == _OTHER_METHOD:
            attributes[names.METHOD] = _OTHER_METHOD
        if not self._policy.keeps_everything:
            attributes[names.PEER_ADDRESS] = attributes[names.CLIENT_ADDRESS]
            for name in _OLD_NAMES_OF_ADDRESS:
                if name in present:
                    attributes[name] = attributes[names.CLIENT_ADDRESS]
            for name in _CAPTURED_ADDRESSES:
                if name in present:
                    attributes[name] = (REDACTED,)
        # Short of a secret in it, the URL that others wrote is the one that we keep, and may stay.
        if names.QUERY in attributes:
            for name in _OLD_NAMES_OF_URL:
                if name in present:
                    attributes[name] = redact_url(str(present[name]), self._secrets)
