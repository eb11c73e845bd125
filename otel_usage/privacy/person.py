"""Which rows are a person's: the conditions on each table.

A visit is a person's as a whole, or not at all: whoever signs in has been the visitor of what came before. So a
row belongs to a person when what was named stands in it, or in any row of its visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otel_usage import attributes as names
from otel_usage.privacy import spans as span_conditions
from otel_usage.privacy.selector import ADDRESS_HASH, USER, VISIT, VISITOR, Selector

EVENTS, REJECTED, VISITS, STAGES, ADDRESSES, SUMMARIES = (
    "events",
    "rejected_events",
    "visits_state",
    "funnel_stages_state",
    "ips_daily_state",
    "summaries_state",
)
SPANS = span_conditions.SPANS
VISIT_TABLES = (VISITS, STAGES)
"""State tables with a row for each visit."""

_BY_ADDRESS = (ADDRESSES, SUMMARIES)
"""State tables with keys that are an address, and so a person's as a whole."""

SPAN = "span"
"""Kind of the ids of spans among what a stage notes."""

_HAS_VISIT = "visit_key_bytes != toFixedString('', 16)"


@dataclass(frozen=True, slots=True)
class Person:
    """The conditions for one person."""

    kind: str
    """What was named: see `Selector`."""
    conditions: Mapping[str, str]
    """By table: which rows are the person's. Without those that are kept by address unless one was named."""
    direct: Mapping[str, str]
    """By table: in which rows stands what was named."""
    visits: str
    """Query in parentheses for the hex keys of the person's visits."""
    spans: str
    """Query for the ids of the person's events and of the spans that name the person or a visit of theirs."""
    parameters: Mapping[str, str]
    """Values that the conditions bind."""


def named_person(selector: Selector) -> Person:
    """Return the person whose visits are looked up each time; reads only."""
    parameters = dict(selector.values)

    def values_of(kind: str) -> str:
        # A kind that is not given has no parameter, so it must not be bound.
        return (
            f"(SELECT {{{kind}:String}} AS value)" if kind in parameters else "(SELECT '' AS value WHERE 0)"
        )

    direct = _direct(selector.kind, values_of)
    visits = f"({visits_query(selector.kind, direct, values_of)})"
    return _person(selector.kind, direct, visits, "", parameters)


def staged_person(kind: str, stage: str) -> Person:
    """Return the person whose values, visits and spans stand in the table `stage`, so that no statement names them."""

    def values_of(selected: str) -> str:
        return f"(SELECT value FROM {stage} WHERE selector = '{selected}')"

    return _person(kind, _direct(kind, values_of), values_of(VISIT), values_of(SPAN), {})


def visits_query(kind: str, direct: Mapping[str, str], values_of: Callable[[str], str]) -> str:
    """Return the query for the hex keys of all visits in which stands what was named, in the tables of `direct`."""
    if kind == VISIT:
        return f"SELECT value FROM {values_of(VISIT)}"
    queries = [
        f"SELECT lower(hex(visit_key_bytes)) AS value FROM {table} WHERE {_HAS_VISIT} AND {condition}"
        for table, condition in direct.items()
        if table in (EVENTS, *VISIT_TABLES)
    ]
    queries.append(
        f"SELECT {_REJECTED_VISIT} AS value FROM {REJECTED} WHERE {_body(names.VISIT_KEY)} != '' "
        f"AND {direct[REJECTED]}"
    )
    if SPANS in direct:
        queries.append(
            f"SELECT {span_conditions.VISIT_OF_SPAN} AS value FROM {SPANS} "
            f"WHERE SpanAttributes['{names.VISIT_KEY}'] != '' AND {direct[SPANS]}"
        )
    return f"SELECT DISTINCT value FROM ({' UNION ALL '.join(queries)})"


def _person(
    kind: str, direct: Mapping[str, str], visits: str, noted_spans: str, parameters: Mapping[str, str]
) -> Person:
    of_visits = f"visit_key_bytes IN (SELECT toFixedString(unhex(value), 16) FROM {visits})"
    conditions = dict.fromkeys((EVENTS, *VISIT_TABLES), of_visits)
    conditions[REJECTED] = (
        f"({direct[REJECTED]} OR ({_body(names.VISIT_KEY)} != '' AND {_REJECTED_VISIT} IN {visits}))"
    )
    if kind != VISIT:
        conditions[EVENTS] = f"({direct[EVENTS]} OR {of_visits})"
    conditions.update({table: direct[table] for table in _BY_ADDRESS if table in direct})
    spans = (
        f"SELECT event_id AS value FROM {EVENTS} WHERE {conditions[EVENTS]} UNION ALL "
        f"SELECT {span_conditions.SPAN_ID} AS value FROM {SPANS} "
        f"WHERE {span_conditions.identified_condition(direct[SPANS], visits)}"
    )
    conditions[SPANS] = span_conditions.condition(direct[SPANS], visits, noted_spans or f"({spans})")
    return Person(kind, conditions, direct, visits, spans, parameters)


def _direct(kind: str, values_of: Callable[[str], str]) -> dict[str, str]:
    return {**_direct_in_tables(kind, values_of), SPANS: span_conditions.direct_condition(kind, values_of)}


def _direct_in_tables(kind: str, values_of: Callable[[str], str]) -> dict[str, str]:
    values = values_of(kind)
    if kind == VISIT:
        key = f"visit_key_bytes IN (SELECT toFixedString(unhex(value), 16) FROM {values})"
        return {**dict.fromkeys((EVENTS, *VISIT_TABLES), key), REJECTED: f"{_REJECTED_VISIT} IN {values}"}
    if kind == USER:
        last_user = f"tupleElement(last_user, 2) IN {values}"
        return {
            EVENTS: f"user_id IN {values}",
            VISITS: last_user,
            STAGES: last_user,
            REJECTED: f"{_body(names.USER_ID)} IN {values}",
        }
    if kind == VISITOR:
        visitor = f"visitor_id_bytes IN (SELECT toFixedString(unhex(value), 16) FROM {values})"
        return {EVENTS: visitor, VISITS: visitor, REJECTED: f"{_own_key(names.VISITOR_ID)} IN {values}"}
    addresses, hashes = f"(SELECT toIPv6(value) FROM {values})", values_of(ADDRESS_HASH)
    return {
        EVENTS: f"(client_address IN {addresses} OR client_address_hash IN {hashes})",
        VISITS: f"tupleElement(first_request, 3) IN {addresses}",
        ADDRESSES: f"client_address IN {addresses}",
        SUMMARIES: f"kind = 'remote' AND (key IN (SELECT {_SUMMARY_KEY} FROM {values}) OR key IN {hashes})",
        REJECTED: f"(toIPv6OrDefault({_body(names.CLIENT_ADDRESS)}) IN {addresses} "
        f"OR {_body(names.CLIENT_ADDRESS_HASH)} IN {hashes})",
    }


_SUMMARY_KEY = r"replaceRegexpOne(toString(toIPv6(value)), '^::ffff:([0-9.]+)$', '\\1')"
"""An address as the view `summaries_mv` writes it."""


def _body(attribute: str) -> str:
    """Return the expression for the text of an attribute of a rejected event; a number is text too."""
    text = f"JSONExtractString(body, '{attribute}')"
    return f"if({text} != '', {text}, trim(BOTH '\"' FROM JSONExtractRaw(body, '{attribute}')))"


def _own_key(attribute: str) -> str:
    """Return the expression for a key as hex; one that is not ours was hashed for `events`, so it is here."""
    text = _body(attribute)
    return f"if(match({text}, '^[0-9a-fA-F]{{32}}$'), lower({text}), lower(hex(substring(SHA256({text}), 1, 16))))"


_REJECTED_VISIT = _own_key(names.VISIT_KEY)
