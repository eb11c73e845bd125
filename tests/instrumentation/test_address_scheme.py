from __future__ import annotations

import pytest

from tests.instrumentation.address_cases import NETWORKS, PEER, build_facts, build_resolver

# why, trusted proxies, X-Forwarded-Proto, Forwarded, the client's scheme
CASES = [
    ("no header", NETWORKS, "", "", "http"),
    ("X-Forwarded-Proto", NETWORKS, "https", "", "https"),
    ("X-Forwarded-Proto of plain", NETWORKS, "http", "", "http"),
    ("X-Forwarded-Proto in capitals and spaces", NETWORKS, " HTTPS\t", "", "https"),
    ("the client's own is the first of a list", NETWORKS, "https, http", "", "https"),
    ("an inner hop is not the client", NETWORKS, "http, https", "", "http"),
    ("X-Forwarded-Proto of nobody trusted", "", "https", "", "http"),
    ("X-Forwarded-Proto of another network", "203.0.113.0/24", "https", "", "http"),
    ("something else", NETWORKS, "httpsx", "", "http"),
    ("a letter that looks like one", NETWORKS, "http\u017f", "", "http"),
    ("X-Forwarded-Proto without end", NETWORKS, " " * 10_000 + "https", "", "http"),
    ("Forwarded", NETWORKS, "", "for=1.2.3.4;proto=https", "https"),
    ("Forwarded of plain", NETWORKS, "", "for=1.2.3.4;proto=http", "http"),
    ("Forwarded in capitals and quotes", NETWORKS, "", 'For=1.2.3.4;Proto="HTTPS"', "https"),
    ("Forwarded without proto", NETWORKS, "", "for=1.2.3.4", "http"),
    ("Forwarded with an empty proto", NETWORKS, "", 'for=1.2.3.4;proto=""', "http"),
    ("Forwarded of nobody trusted", "", "", "for=1.2.3.4;proto=https", "http"),
    ("Forwarded of another network", "203.0.113.0/24", "", "for=1.2.3.4;proto=https", "http"),
    (
        "TLS ends at the outer proxy",
        NETWORKS,
        "",
        "for=1.2.3.4;proto=https, for=10.0.0.2;proto=http",
        "https",
    ),
    (
        "TLS begins behind the outer proxy",
        NETWORKS,
        "",
        "for=1.2.3.4;proto=http, for=10.0.0.2;proto=https",
        "http",
    ),
    ("only an inner hop says its own", NETWORKS, "", "for=1.2.3.4, for=10.0.0.2;proto=https", "http"),
    ("invented left of the client", NETWORKS, "", "for=6.6.6.6;proto=https, for=1.2.3.4;proto=http", "http"),
    (
        "plain invented left of the client",
        NETWORKS,
        "",
        "for=6.6.6.6;proto=http, for=1.2.3.4;proto=https",
        "https",
    ),
    (
        "an open quote left of the client",
        NETWORKS,
        "",
        'for=6.6.6.6;proto=http;x=", for=1.2.3.4;proto=https',
        "https",
    ),
    ("the client is hidden", NETWORKS, "", "for=_hidden;proto=https", "https"),
    (
        "the client is unknown, one invented",
        NETWORKS,
        "",
        "for=6.6.6.6;proto=https, for=unknown;proto=http",
        "http",
    ),
    ("no for at all", NETWORKS, "", "proto=https;host=shop.example", "https"),
    ("proto twice", NETWORKS, "", "for=1.2.3.4;proto=https;proto=https", "http"),
    ("a broken element", NETWORKS, "", 'for="1.2.3.4;proto=https', "http"),
    ("invented left of a broken element", NETWORKS, "", 'for=6.6.6.6;proto=https, for="1.2.3.4', "http"),
    ("garbage left of a proxy", NETWORKS, "", "garbage, for=10.0.0.2;proto=https", "http"),
    ("all inside: the leftmost", NETWORKS, "", "for=10.0.0.3;proto=https, for=10.0.0.2;proto=http", "https"),
    ("1 hop", "1", "", "for=6.6.6.6;proto=https, for=1.2.3.4;proto=http", "http"),
    ("2 hops", "2", "", "for=1.2.3.4;proto=https, for=5.6.7.8;proto=http", "https"),
    ("2 hops, short chain", "2", "", "for=1.2.3.4;proto=https", "https"),
    ("both", NETWORKS, "https", "for=1.2.3.4;proto=https", "https"),
    ("only X-Forwarded-Proto says so", NETWORKS, "https", "for=1.2.3.4;proto=http", "https"),
    ("only Forwarded says so", NETWORKS, "http", "for=1.2.3.4;proto=https", "https"),
    (
        "Forwarded without end",
        NETWORKS,
        "",
        "for=6.6.6.6;proto=https," * 10_000 + "for=1.2.3.4;proto=http",
        "http",
    ),
]


@pytest.mark.parametrize(
    ("trusted", "proto", "forwarded", "scheme"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_scheme_is_the_one_that_the_client_used(
    trusted: str, proto: str, forwarded: str, scheme: str
) -> None:
    facts = build_facts(PEER, "", forwarded, proto)

    assert build_resolver(trusted).client_scheme(facts) == scheme


@pytest.mark.parametrize("trusted", ["", NETWORKS, "1"])
def test_no_header_takes_https_away_from_the_connection(trusted: str) -> None:
    facts = build_facts(PEER, "", "for=1.2.3.4;proto=http", "http", scheme="https")

    assert build_resolver(trusted).client_scheme(facts) == "https"


def test_a_peer_outside_cannot_claim_a_scheme() -> None:
    facts = build_facts("203.0.113.9", "", "for=1.2.3.4;proto=https", "https")

    assert build_resolver(NETWORKS).client_scheme(facts) == "http"
