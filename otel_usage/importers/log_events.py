"""Logged requests as events: the same attributes, rules and steps of enrichment as for a request that an app sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import unquote_to_bytes, urlsplit

from otel_usage import attributes as names
from otel_usage.enrich import enrich
from otel_usage.enrich.stages import StageMatcher
from otel_usage.importers.chunk import Chunk, Refusal
from otel_usage.importers.client_addresses import ClientAddresses
from otel_usage.importers.event_rows import rows_of
from otel_usage.importers.identity import build_event
from otel_usage.importers.log_parts import LogRows, MadePart, Part, part_event
from otel_usage.importers.logged_request import (
    EARLIEST_NS,
    LATEST_NS,
    NO_REQUEST,
    OUT_OF_RANGE,
    LogFormat,
    LoggedRequest,
    split_request_line,
)
from otel_usage.instrumentation.redaction import bounded, redact_query, redact_url, secret_parameters
from otel_usage.instrumentation.scope import Scope
from otel_usage.model import Attributes, AttributeValue, Event
from otel_usage.reports.funnels import load_funnels
from otel_usage.settings import Settings

OUTSIDE_PERIOD = "outside of --since and --until"

_METHOD = re.compile(r"[A-Za-z]{3,20}", re.ASCII)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,20}://", re.ASCII)
FILTERED = {
    "excluded_url": "a path that OTEL_USAGE_EXCLUDED_URLS excludes",
    "not_included_url": "a path that OTEL_USAGE_INCLUDED_URLS does not include",
}
"""What is said of a path that the settings leave out, by the scope's word for it."""
_REFUSED_STATUSES = ("401", "403")
_NOTHING = ("", "-")
_REQUEST_FIELD = LoggedRequest._fields.index("request")
_MAX_REMEMBERED = 100_000


class LogEvents:
    """Makes events of logged requests, under the settings of the app whose log it is.

    Args:
        settings: those that an app would have: what is kept of addresses, what is tracked, the funnels.
        service: the service of the events.
        log_format: that the requests were read in.
        since_ns: requests before this moment are refused.
        until_ns: requests from this moment on are refused.

    Raises:
        SettingError: the settings cannot be used together, or the funnel file cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        service: str,
        log_format: LogFormat,
        *,
        since_ns: int = EARLIEST_NS,
        until_ns: int = LATEST_NS,
    ) -> None:
        self._service = service
        self._clean = log_format.clean
        self._since_ns, self._until_ns = since_ns, until_ns
        self._takes_users = settings.basic_auth_users
        self._clients = ClientAddresses(settings)
        self._scope = Scope(settings)
        self._secrets = secret_parameters(settings.form_name)
        self._funnels = load_funnels(settings.funnels) if settings.funnels else ()
        self._matcher = StageMatcher(self._funnels, ignores_users=settings.ignore_users)
        # In the order of `_keys`.
        self._readers: tuple[Callable[[Any], MadePart], ...] = (
            self._target,
            self._agent,
            self._referrer_and_host,
            self._client,
            self._circumstances,
        )
        self._parts = [Part(service, self._maker(read)) for read in self._readers]
        self._may_reach_stages: dict[str, bool] = {}

    def _maker(self, read: Callable[[Any], MadePart]) -> Callable[[Any], Event | str]:
        def make(key: Any) -> Event | str:
            made = read(key)
            return made if isinstance(made, str) else part_event(self._service, made)

        return make

    def chunk_of(self, ids: Sequence[bytes], fields: Sequence[Sequence[Any]], lines: Sequence[int]) -> Chunk:
        """Return what some requests are.

        Args:
            ids: one for each request.
            fields: those of `LoggedRequest`, one sequence for each.
            lines: number of the line of each request.
        """
        found = [part.find(keys) for part, keys in zip(self._parts, _keys(fields), strict=True)]
        reasons = self._refused_times(fields[0])
        for part in found:
            reasons = {**part.reasons(), **reasons}
        numbers: Sequence[int] = range(len(ids))
        if reasons:
            numbers = [number for number in numbers if number not in reasons]
        rows = LogRows(
            self._service,
            [ids[number] for number in numbers],
            [fields[0][number] for number in numbers],
            numbers,
            found,
            _measured(fields),
        )
        further = self._further(ids, fields, numbers) if self._funnels else []
        refused = [Refusal(reason, f"line {lines[number]}") for number, reason in sorted(reasons.items())]
        return Chunk(rows, rows_of(further, self._service), refused)

    def event_of(self, event_id: bytes, request: LoggedRequest) -> Event:
        """Return the one event of a request that is none of the refused; `chunk_of` gives the same rows, sooner."""
        attributes: dict[str, AttributeValue] = {names.STATUS_CODE: int(request.status)}
        size = _to_size(request.size)
        if size is not None:
            attributes[names.RESPONSE_SIZE] = size
        keys = (column[0] for column in _keys([(value,) for value in request]))
        for read, key in zip(self._readers, keys, strict=True):
            attributes.update(cast(Attributes, read(key)))
        event = build_event(names.REQUEST, event_id, request.timestamp_ns, self._service, attributes)
        return enrich(event._replace(duration_ns=request.duration_ns))

    def _refused_times(self, times: Sequence[int]) -> dict[int, str]:
        low, high = max(self._since_ns, EARLIEST_NS), min(self._until_ns, LATEST_NS)
        if not times or (min(times) >= low and max(times) < high):
            return {}
        return {
            number: OUTSIDE_PERIOD if EARLIEST_NS <= time_ns < LATEST_NS else OUT_OF_RANGE
            for number, time_ns in enumerate(times)
            if not low <= time_ns < high
        }

    def _further(
        self, ids: Sequence[bytes], fields: Sequence[Sequence[Any]], numbers: Sequence[int]
    ) -> list[Event]:
        """Return the events of the stages that the requests reach; only those that may reach one are built."""
        requested = fields[_REQUEST_FIELD]
        known = self._may_reach_stages
        if len(known) > _MAX_REMEMBERED:
            known.clear()
        for line in set(requested).difference(known):
            target = self._target(line)
            known[line] = not isinstance(target, str) and bool(
                self._matcher.stages_reached(part_event(self._service, {**target, names.STATUS_CODE: 200}))
            )
        further: list[Event] = []
        for number in numbers:
            if known[requested[number]]:
                request = LoggedRequest(*(column[number] for column in fields))
                further += self._matcher.stages_reached(self.event_of(ids[number], request))
        return further

    # The parts of a request. Each returns its attributes, or why there is no event.

    def _target(self, line: str) -> MadePart:
        method, target = split_request_line(self._clean(line))
        path, query = _split_target(target)
        if not path or not _METHOD.fullmatch(method):
            return NO_REQUEST
        # A log knows paths, but no views.
        reason = self._scope.reason_to_filter_page(path)
        if reason:
            return FILTERED[reason]
        attributes: dict[str, AttributeValue] = {
            names.EVENT_NAME: names.REQUEST,
            names.METHOD: method,
            names.PATH: bounded(path, names.MAX_TEXT),
        }
        if query:
            attributes[names.QUERY] = bounded(redact_query(query, self._secrets), names.MAX_TEXT)
        return attributes

    def _agent(self, agent: str) -> MadePart:
        return {} if agent in _NOTHING else {names.USER_AGENT: bounded(self._clean(agent), names.MAX_TEXT)}

    def _referrer_and_host(self, key: tuple[str, str]) -> MadePart:
        # Together, because a page of the same host is not where a visitor came from.
        referrer, host = key
        attributes: dict[str, AttributeValue] = {}
        if referrer not in _NOTHING:
            attributes[names.REFERRER_URL] = bounded(
                redact_url(self._clean(referrer), self._secrets), names.MAX_TEXT
            )
        if host not in _NOTHING:
            attributes[names.HOST] = bounded(_without_port(self._clean(host)), names.MAX_NAME)
        return attributes

    def _client(self, key: tuple[str, str]) -> MadePart:
        peer, forwarded_for = key
        return self._clients.attributes(peer, "" if forwarded_for in _NOTHING else self._clean(forwarded_for))

    def _circumstances(self, key: tuple[str, str, str, str]) -> MadePart:
        user, status, scheme, language = key
        attributes: dict[str, AttributeValue] = {}
        if user not in _NOTHING:
            attributes[names.HAS_AUTHORIZATION] = True
            if self._takes_users and status not in _REFUSED_STATUSES:
                attributes[names.USER_ID] = bounded(self._clean(user), names.MAX_NAME)
        if scheme not in _NOTHING:
            attributes[names.SCHEME] = bounded(self._clean(scheme), names.MAX_NAME)
        if language not in _NOTHING:
            first = language.partition(",")[0].partition(";")[0]
            attributes[names.LANGUAGE] = bounded(self._clean(first.strip()), 35)
        return attributes


def _keys(fields: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return what tells the values of each part apart, for some requests."""
    # A tuple of columns under the names of the fields.
    request: Any = LoggedRequest._make(fields)
    return [
        request.request,
        request.user_agent,
        list(zip(request.referrer, request.host, strict=True)),
        list(zip(request.address, request.forwarded_for, strict=True)),
        list(zip(request.user, request.status, request.scheme, request.language, strict=True)),
    ]


def _measured(fields: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the numbers of some requests by their columns; nearly every line has its own."""
    request: Any = LoggedRequest._make(fields)
    return {
        "status_code": list(map(int, request.status)),
        "bytes_sent": list(map(_to_size, request.size)),
        "duration_ns": request.duration_ns,
    }


def _to_size(text: str) -> int | None:
    # A dash is how the logs write 0; an empty field says nothing.
    return 0 if text == "-" else int(text) if text else None


def _without_port(host: str) -> str:
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def _split_target(target: str) -> tuple[str, str]:
    """Return path, decoded as a server hands it to an app, and query; an empty path when there is none."""
    if _SCHEME.match(target):
        try:
            parts = urlsplit(target)
        except ValueError:
            return "", ""
        path, query = parts.path or "/", parts.query
    else:
        path, _, query = target.partition("?")
    if not path.startswith("/") and path != "*":
        return "", ""
    return unquote_to_bytes(path).decode("utf-8", "replace") if "%" in path else path, query
