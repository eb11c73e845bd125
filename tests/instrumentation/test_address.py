from __future__ import annotations

import re
import time

import pytest

from otel_usage.instrumentation.address import AddressPolicy, AddressResolver, parse_address
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings

PEER = "10.0.0.1"
"""The load balancer in front of the app; the networks of the table trust it."""
NETWORKS = "10.0.0.0/8,172.16.0.0/12,::1,fd00::/8"

# trusted proxies, peer, X-Forwarded-For, the client
CASES = [
    # Nobody is trusted: only the peer counts.
    pytest.param("", PEER, "", PEER, id="no header"),
    pytest.param("", PEER, "1.2.3.4", PEER, id="a header that nobody vouches for"),
    pytest.param("", "203.0.113.9", "10.0.0.1", "203.0.113.9", id="pretends to be inside"),
    pytest.param("", "", "1.2.3.4", "", id="no peer and nobody trusted"),
    pytest.param("0", PEER, "1.2.3.4", PEER, id="no hops"),
    pytest.param(",", PEER, "1.2.3.4", PEER, id="an empty list of networks"),
    # Networks, one proxy.
    pytest.param(NETWORKS, PEER, "", PEER, id="trusted peer without header"),
    pytest.param(NETWORKS, PEER, "1.2.3.4", "1.2.3.4", id="one proxy"),
    pytest.param(NETWORKS, PEER, " 1.2.3.4 ", "1.2.3.4", id="spaces"),
    pytest.param(NETWORKS, PEER, "\t1.2.3.4\t", "1.2.3.4", id="tabs"),
    pytest.param(NETWORKS, PEER, "2001:db8::1", "2001:db8::1", id="IPv6"),
    pytest.param(NETWORKS, PEER, "2001:DB8:0:0:0:0:0:1", "2001:db8::1", id="IPv6 in its usual form"),
    pytest.param(NETWORKS, "::1", "1.2.3.4", "1.2.3.4", id="IPv6 proxy"),
    pytest.param(NETWORKS, "::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4", id="mapped proxy"),
    pytest.param(NETWORKS, "203.0.113.9", "1.2.3.4", "203.0.113.9", id="peer outside of the networks"),
    pytest.param(NETWORKS, "::2", "1.2.3.4", "::2", id="IPv6 peer outside of the networks"),
    pytest.param(NETWORKS, "", "1.2.3.4", "", id="unknown peer is not inside"),
    pytest.param(NETWORKS, "unix:", "1.2.3.4", "", id="socket peer is not inside"),
    # Networks, several proxies.
    pytest.param(NETWORKS, PEER, "1.2.3.4, 10.0.0.2", "1.2.3.4", id="two proxies"),
    pytest.param(NETWORKS, PEER, "1.2.3.4,10.0.0.2,172.16.5.5", "1.2.3.4", id="three proxies"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, fd00::7, ::1", "1.2.3.4", id="IPv6 proxies"),
    pytest.param(NETWORKS, PEER, "10.0.0.3, 10.0.0.2", "10.0.0.3", id="all inside: the first of them"),
    pytest.param(NETWORKS, PEER, "10.0.0.3", "10.0.0.3", id="a client inside"),
    # Spoofing: what stands left of the first untrusted address is the client's own invention.
    pytest.param(NETWORKS, PEER, "8.8.8.8, 1.2.3.4", "1.2.3.4", id="invented left of the client"),
    pytest.param(NETWORKS, PEER, "10.9.9.9, 1.2.3.4", "1.2.3.4", id="invented inside address"),
    pytest.param(NETWORKS, PEER, "8.8.8.8, 10.0.0.2, 1.2.3.4", "1.2.3.4", id="invented chain"),
    pytest.param(NETWORKS, PEER, "8.8.8.8, 1.2.3.4, 10.0.0.2", "1.2.3.4", id="invented before a proxy"),
    pytest.param(NETWORKS, PEER, "127.0.0.1, 1.2.3.4", "1.2.3.4", id="invented loopback"),
    pytest.param(NETWORKS, PEER, "127.0.0.1", "127.0.0.1", id="loopback, not trusted here"),
    pytest.param(NETWORKS, PEER, "garbage, 1.2.3.4", "1.2.3.4", id="garbage left of the client"),
    pytest.param(NETWORKS, PEER, ",,,1.2.3.4", "1.2.3.4", id="commas left of the client"),
    # An element that is no address ends the walk: the last believed hop is the client.
    pytest.param(NETWORKS, PEER, "unknown", PEER, id="unknown"),
    pytest.param(NETWORKS, PEER, "UNKNOWN", PEER, id="unknown in capitals"),
    pytest.param(NETWORKS, PEER, "_hidden", PEER, id="an obfuscated name"),
    pytest.param(NETWORKS, PEER, "_hidden:8080", PEER, id="an obfuscated name with port"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, unknown", PEER, id="unknown nearest"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, unknown, 10.0.0.2", "10.0.0.2", id="unknown behind a proxy"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, _x, 10.0.0.2", "10.0.0.2", id="hidden behind a proxy"),
    pytest.param(NETWORKS, PEER, "1.2.3.4,,10.0.0.2", "10.0.0.2", id="empty behind a proxy"),
    pytest.param(NETWORKS, PEER, "1.2.3.4,", PEER, id="empty nearest"),
    pytest.param(NETWORKS, PEER, ",", PEER, id="only a comma"),
    pytest.param(NETWORKS, PEER, "   ", PEER, id="only spaces"),
    pytest.param(NETWORKS, PEER, "localhost", PEER, id="a host name"),
    pytest.param(NETWORKS, PEER, "1.2.3", PEER, id="three numbers"),
    pytest.param(NETWORKS, PEER, "1.2.3.4.5", PEER, id="five numbers"),
    pytest.param(NETWORKS, PEER, "1.2.3.256", PEER, id="a number too large"),
    pytest.param(NETWORKS, PEER, "01.2.3.4", PEER, id="a leading zero"),
    pytest.param(NETWORKS, PEER, "0x01020304", PEER, id="hexadecimal"),
    pytest.param(NETWORKS, PEER, "16909060", PEER, id="one number"),
    pytest.param(NETWORKS, PEER, "1.2.3.4/32", PEER, id="a network"),
    pytest.param(NETWORKS, PEER, "１.2.3.4", PEER, id="full-width digit"),
    pytest.param(NETWORKS, PEER, "1.2.3.4 8.8.8.8", PEER, id="two without a comma"),
    pytest.param(NETWORKS, PEER, "1.2.3.4;8.8.8.8", PEER, id="two with a semicolon"),
    pytest.param(NETWORKS, PEER, "for=1.2.3.4", PEER, id="the syntax of Forwarded"),
    pytest.param(NETWORKS, PEER, "<script>", PEER, id="markup"),
    pytest.param(NETWORKS, PEER, "1.2.3.4\0", PEER, id="NUL"),
    pytest.param(NETWORKS, PEER, "\udcff", PEER, id="lone surrogate"),
    pytest.param(NETWORKS, PEER, "1.2.3.4\r\nX: y", PEER, id="line break"),
    # Ports, brackets, quotes, zones.
    pytest.param(NETWORKS, PEER, "1.2.3.4:56789", "1.2.3.4", id="port"),
    pytest.param(NETWORKS, PEER, "1.2.3.4:", "1.2.3.4", id="empty port"),
    pytest.param(NETWORKS, PEER, "1.2.3.4:http", PEER, id="port that is no number"),
    pytest.param(NETWORKS, PEER, "[2001:db8::1]", "2001:db8::1", id="brackets"),
    pytest.param(NETWORKS, PEER, "[2001:db8::1]:443", "2001:db8::1", id="brackets and port"),
    pytest.param(NETWORKS, PEER, "[2001:db8::1", PEER, id="half a bracket"),
    pytest.param(NETWORKS, PEER, "[2001:db8::1]x", PEER, id="more after the bracket"),
    pytest.param(NETWORKS, PEER, "[2001:db8::1]:x", PEER, id="bracket and no port number"),
    pytest.param(NETWORKS, PEER, "[1.2.3.4]", PEER, id="IPv4 in brackets"),
    pytest.param(NETWORKS, PEER, "[]", PEER, id="empty brackets"),
    pytest.param(NETWORKS, PEER, '"1.2.3.4"', "1.2.3.4", id="quotes"),
    pytest.param(NETWORKS, PEER, '"[2001:db8::1]:443"', "2001:db8::1", id="quotes, brackets and port"),
    pytest.param(NETWORKS, PEER, "fe80::1%eth0", "fe80::1", id="zone"),
    pytest.param(NETWORKS, PEER, "[fe80::1%25eth0]:80", "fe80::1", id="escaped zone in brackets"),
    pytest.param(NETWORKS, PEER, "1.2.3.4%eth0", PEER, id="IPv4 with a zone"),
    pytest.param(NETWORKS, PEER, "::ffff:1.2.3.4", "1.2.3.4", id="mapped client"),
    pytest.param(NETWORKS, PEER, "[::ffff:1.2.3.4]:80", "1.2.3.4", id="mapped client in brackets"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, ::ffff:10.0.0.2", "1.2.3.4", id="mapped proxy in the chain"),
    pytest.param(NETWORKS, PEER, "1.2.3.4, 10.0.0.2:8080", "1.2.3.4", id="proxy with port in the chain"),
    # Hop counts.
    pytest.param("1", PEER, "1.2.3.4", "1.2.3.4", id="1 hop"),
    pytest.param("1", "203.0.113.9", "1.2.3.4", "1.2.3.4", id="1 hop, whoever the peer is"),
    pytest.param("1", "", "1.2.3.4", "1.2.3.4", id="1 hop behind a socket"),
    pytest.param("1", PEER, "8.8.8.8, 1.2.3.4", "1.2.3.4", id="1 hop, one invented"),
    pytest.param("2", PEER, "1.2.3.4, 172.16.0.1", "1.2.3.4", id="2 hops"),
    pytest.param("2", PEER, "8.8.8.8, 1.2.3.4, 172.16.0.1", "1.2.3.4", id="2 hops, one invented"),
    pytest.param("3", PEER, "1.2.3.4, 5.6.7.8, 9.9.9.9", "1.2.3.4", id="3 hops"),
    pytest.param("2", PEER, "1.2.3.4", "1.2.3.4", id="2 hops, short chain"),
    pytest.param("9", PEER, "1.2.3.4, 5.6.7.8", "1.2.3.4", id="9 hops, short chain"),
    pytest.param("2", PEER, "", PEER, id="2 hops without header"),
    pytest.param("2", PEER, "1.2.3.4, unknown", PEER, id="2 hops, unknown nearest"),
    pytest.param("2", PEER, "unknown, 5.6.7.8", "5.6.7.8", id="2 hops, unknown at the place"),
    pytest.param("2", PEER, ",5.6.7.8", "5.6.7.8", id="2 hops, empty at the place"),
    pytest.param("2", PEER, "[2001:db8::1]:1, 5.6.7.8:2", "2001:db8::1", id="2 hops with ports"),
    # Hostile sizes.
    pytest.param(NETWORKS, PEER, "1" * 10_000, PEER, id="one endless element"),
    pytest.param(NETWORKS, PEER, "," * 10_000, PEER, id="ten thousand commas"),
    pytest.param(NETWORKS, PEER, "8.8.8.8," * 10_000 + "1.2.3.4", "1.2.3.4", id="a long invented chain"),
    pytest.param(NETWORKS, PEER, "10.0.0.2," * 10_000 + "10.0.0.2", "10.0.0.2", id="a long chain inside"),
    pytest.param("999", PEER, "8.8.8.8," * 10_000 + "1.2.3.4", "8.8.8.8", id="more hops than are walked"),
    # Peers.
    pytest.param("", "::ffff:1.2.3.4", "", "1.2.3.4", id="mapped peer"),
    pytest.param("", "fe80::1%eth0", "", "fe80::1", id="peer with zone"),
    pytest.param("", "not an address", "", "", id="peer that is no address"),
]


def build_facts(peer: str, forwarded_for: str = "") -> RequestFacts:
    return RequestFacts("GET", "http", "shop.example", "/", "", peer, forwarded_for=forwarded_for)


@pytest.mark.parametrize(("trusted", "peer", "header", "client"), CASES)
def test_the_client_is_the_first_address_that_no_trusted_proxy_has(
    trusted: str, peer: str, header: str, client: str
) -> None:
    settings = Settings.load({"OTEL_USAGE_TRUSTED_PROXIES": trusted})

    assert AddressResolver(settings.trusted_proxies).client_address(build_facts(peer, header)) == client


def test_a_hostile_header_costs_no_more_than_a_usual_one() -> None:
    resolver = AddressResolver(Settings.load({}, trusted_proxies="1").trusted_proxies)
    facts = build_facts(PEER, "8.8.8.8," * 1_000_000)
    started = time.process_time()

    for _ in range(20):
        resolver.client_address(facts)

    # Splitting eight megabytes whole takes a tenth of a second each time, cutting from the right microseconds.
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("text", ["1.2.3.4", "2001:db8::1"])
def test_a_usual_address_is_its_own_form(text: str) -> None:
    assert parse_address(text) == text


@pytest.mark.parametrize(
    ("policy", "address", "kept"),
    [
        ("full", "203.0.113.77", "203.0.113.77"),
        ("masked", "203.0.113.77", "203.0.113.0"),
        ("masked", "2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("masked", "", ""),
        ("hashed", "203.0.113.77", ""),
        ("off", "203.0.113.77", ""),
    ],
)
def test_a_policy_keeps_this_of_an_address(policy: str, address: str, kept: str) -> None:
    assert AddressPolicy(policy, "secret").apply(address).address == kept


def test_a_hash_is_the_same_for_one_address_and_one_secret_only() -> None:
    policy = AddressPolicy("hashed", "secret")

    hashed = policy.apply("203.0.113.77").hashed

    assert re.fullmatch("[0-9a-f]{32}", hashed)
    assert policy.apply("203.0.113.77").hashed == hashed
    assert policy.apply("203.0.113.78").hashed != hashed
    assert AddressPolicy("hashed", "other").apply("203.0.113.77").hashed != hashed


@pytest.mark.parametrize("policy", ["full", "masked", "off"])
def test_only_the_policy_hashed_makes_a_hash(policy: str) -> None:
    assert AddressPolicy(policy, "secret").apply("203.0.113.77").hashed == ""


def test_an_unknown_address_has_no_hash() -> None:
    assert AddressPolicy("hashed", "secret").apply("").hashed == ""
