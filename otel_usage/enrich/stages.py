"""Funnel stages that a request or an event reaches by its path, its route or its name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from otel_usage import attributes as names
from otel_usage.model import Event
from otel_usage.reports.funnels import Funnel

_INHERITED = (
    names.VISIT_KEY,
    names.VISITOR_ID,
    names.USER_ID,
    names.CLIENT_ADDRESS,
    names.CLIENT_ADDRESS_HASH,
    names.USER_AGENT,
    names.BROWSER,
    names.BROWSER_VERSION,
    names.OS,
    names.OS_VERSION,
    names.DEVICE_TYPE,
    names.SYNTHETIC_TYPE,
    names.BOT_NAME,
    names.COUNTRY,
    names.REGION,
    names.REGION_NAME,
    names.CITY,
)
_FIRST_ERROR_STATUS = 400
PAGE_FRAGMENT = names.PROPERTY_PREFIX + "fragment"
"""The part of a page's address behind its `#`, on activities."""


class StageMatcher:
    """Finds the stages that an event reaches, with one dictionary look-up per kind of match."""

    def __init__(self, funnels: Iterable[Funnel], *, ignores_users: bool = False) -> None:
        """Take the funnels in.

        Args:
            funnels: whose stages are matched.
            ignores_users: events of signed-in users reach no stage.
        """
        self._ignores_users = ignores_users
        self._by_path: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        self._by_route: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        self._by_event: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        for funnel in funnels:
            for stage in funnel.stages:
                reached = (funnel.name, stage.name, stage.index)
                for table, keys in (
                    (self._by_path, stage.paths),
                    (self._by_route, map(_bare, stage.routes)),
                    (self._by_event, stage.events),
                ):
                    for key in keys:
                        table[key].append(reached)
        self._is_idle = not (self._by_path or self._by_route or self._by_event)

    def stages_reached(self, event: Event) -> list[Event]:
        """Return one `stage_reached` event per match, with ids derived from the source's.

        A request counts when it was answered without an error (status below 400). The same event gives the
        same ids however often it is processed.
        """
        if self._is_idle or event.name == names.STAGE_REACHED:
            return []
        if self._ignores_users and event.attributes.get(names.USER_ID):
            return []
        if event.name == names.REQUEST:
            status = event.attributes.get(names.STATUS_CODE)
            if not isinstance(status, int) or status >= _FIRST_ERROR_STATUS:
                return []
            matches = [
                *self._by_path.get(str(event.attributes.get(names.PATH)), ()),
                *self._routes_matched(event),
            ]
        elif event.name == names.ACTIVITY:
            # A page that only the browser knows; a route that is kept in the fragment is a part of its path.
            path, fragment = (str(event.attributes.get(key, "")) for key in (names.PATH, PAGE_FRAGMENT))
            matches = [
                *self._by_path.get(path, ()),
                *(self._by_path.get(f"{path}#{fragment}", ()) if fragment else ()),
                *self._by_event.get(event.name, ()),
            ]
        else:
            matches = self._by_event.get(event.name, [])
        return [_stage_event(event, *match) for match in dict.fromkeys(matches)]

    def _routes_matched(self, event: Event) -> Iterable[tuple[str, str, int]]:
        # A request that matched no route must not be taken for one of the front page, whose route is a slash alone.
        route = event.attributes.get(names.ROUTE)
        return self._by_route.get(_bare(str(route)), ()) if route else ()


def _bare(route: str) -> str:
    """Return a route without the slash in front, which Flask writes and Django does not."""
    return route.removeprefix("/")


def _stage_event(source: Event, funnel: str, stage: str, index: int) -> Event:
    attributes = {key: source.attributes[key] for key in _INHERITED if key in source.attributes}
    attributes[names.EVENT_NAME] = names.STAGE_REACHED
    attributes[names.FUNNEL] = funnel
    attributes[names.STAGE] = stage
    attributes[names.STAGE_INDEX] = index
    identity = b"\0".join((source.trace_id, source.span_id, funnel.encode(), stage.encode()))
    return source._replace(
        name=names.STAGE_REACHED,
        duration_ns=0,
        span_id=hashlib.sha256(identity).digest()[:8],
        parent_span_id=source.span_id,
        attributes=attributes,
    )
