"""Random headers against a second, slow reading of them, and prefixes of a client's invention that change nothing.

The reference knows no regular expression and reads from left to right, as RFC 7239 is written; the resolver does the
opposite. Every generator is seeded, so that a failure comes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from random import Random

import pytest

from tests.instrumentation.address_cases import NETWORKS, PEER, build_facts, build_resolver

ROUNDS = 300
SEEDS = range(12)
TRUSTED = [NETWORKS, "1", "2", "3", "10.0.0.1", "0.0.0.0/0,::/0"]
ADDRESSES = [
    *("1.2.3.4", "203.0.113.77", "10.0.0.2", "10.0.0.3", "172.16.5.5", "127.0.0.1", "11.0.0.0"),
    *("2001:db8::1", "fd00::7", "::1", "FE80::1", "::ffff:10.0.0.2", "::ffff:1.2.3.4", "64:ff9b::1.2.3.4"),
]
NO_ADDRESSES = [
    *(
        "unknown",
        "_hidden",
        "",
        " ",
        "garbage",
        "1.2.3",
        "01.2.3.4",
        "0.0.0.0",
        "::",
        "1.2.3.4.",
        "\uff11.2.3.4",
    ),
    *(
        "1.2.3.4:x",
        "[1.2.3.4]",
        "[2001:db8::1",
        "<b>",
        "1.2.3.4\0",
        "0x7f000001",
        "1.2.3.4;6.6.6.6",
        "1.2.3.4%e",
    ),
]
FRAGMENTS = [
    *(
        ",",
        ",",
        ", ",
        ";",
        "=",
        '"',
        '"',
        "\\",
        " ",
        "\t",
        "\0",
        "\n",
        "[",
        "]",
        ":",
        "%",
        "_",
        "\xff",
        "\udcff",
    ),
    *(
        "for=",
        "For=",
        "by=",
        "proto=",
        'x="',
        'for="',
        "6.6.6.6",
        "10.0.0.9",
        "::1",
        PEER,
        "unknown",
        "for=6.6.6.6",
    ),
    *("6.6.6.6, ", "for=6.6.6.6, ", 'for=6.6.6.6;x="', 'for="[::1]"', "," * 70, "10.0.0.9," * 70, " " * 5000),
]


def slow_address(text: str) -> str | None:
    """Take the address out of `1.2.3.4`, `1.2.3.4:80`, `[::1]:80`, `::1` or `::1%zone`, step by step."""
    text = text.strip(" \t")
    host, port, is_bracketed = text, None, text.startswith("[")
    if is_bracketed:
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and rest[0] != ":"):
            return None
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not port.startswith("_") and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    if ":" in host:
        host, percent, zone = host.partition("%")
        if percent and not zone:
            return None
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return None if int(address) == 0 else str(address)


def slow_x_forwarded_for(header: str) -> list[str | None]:
    if not header:
        return []
    values = [element.strip(" \t") for element in header.split(",")]
    return [
        slow_address(value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
        for value in values
    ]


def slow_forwarded(header: str) -> list[str | None]:
    """Read a header that keeps to the syntax, character by character."""
    if not header:
        return []
    elements: list[dict[str, str]] = [{}]
    name, value, in_quotes, is_escaped, is_value = "", "", False, False, False
    for character in header + ";":
        if is_escaped:
            value, is_escaped = value + character, False
        elif in_quotes and character == "\\":
            is_escaped = True
        elif character == '"':
            in_quotes = not in_quotes
        elif not in_quotes and character in ",;":
            if is_value:
                elements[-1][name.strip().lower()] = value.strip()
            name, value, is_value = "", "", False
            if character == ",":
                elements.append({})
        elif is_value:
            value += character
        elif character == "=":
            is_value = True
        else:
            name += character
    return [slow_address(element.get("for", "")) for element in elements]


def slow_client(trusted: str, peer: str, chains: Sequence[list[str | None]]) -> str:
    """Walk the chains of all headers that are there, as far as they agree."""
    hops = int(trusted) if trusted.isdigit() else None
    networks = [] if hops is not None else [ip_network(part) for part in trusted.split(",")]
    believed = [slow_address(peer) or ""]
    for position in range(1, 1 + min(len(chain) for chain in chains)):
        newest = believed[-1]
        if hops is None and not any(newest and ip_address(newest) in network for network in networks):
            break
        claims = {chain[-position] for chain in chains}
        claim = claims.pop()
        if claims or claim is None or (hops is not None and position > hops):
            break
        believed.append(claim)
    return believed[-1]


def random_node(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(NO_ADDRESSES)
    address = random.choice(ADDRESSES)
    port = random.choice(["", "", ":80", ":_p"])
    if ":" not in address:
        return address + port
    zone = random.choice(["", "", "%eth0"])
    return random.choice([f"[{address}{zone}]{port}", address + zone])


def random_x_forwarded_for(random: Random) -> str:
    nodes = [random_node(random) for _ in range(random.randint(1, 6))]
    spaced = [random.choice(["", " ", "\t "]) + node + random.choice(["", " "]) for node in nodes]
    return ",".join(f'"{node}"' if random.random() < 0.1 else node for node in spaced)


def quoted(random: Random, text: str) -> str:
    return '"' + "".join("\\" + c if c in '"\\' or random.random() < 0.1 else c for c in text) + '"'


def random_element(random: Random) -> str:
    """Make an element of `Forwarded` that keeps to the syntax; no quoted text holds `, name=`."""
    parameters = [
        "proto=https",
        "by=_b",
        'host="shop.example:80"',
        'ext="a;for=6.6.6.6"',
        'e="a, b,\\"c"',
        "",
    ]
    chosen = random.sample(parameters, random.randint(0, 3))
    if random.random() < 0.9:
        node = random_node(random).replace("\0", "")
        name = random.choice(["for", "For", "FOR"])
        bare = node.isascii() and node.isprintable() and node and not set(node) & set(' ",;\\')
        chosen.append(f"{name}={node if bare and random.random() < 0.5 else quoted(random, node)}")
    random.shuffle(chosen)
    return random.choice(["", " "]) + random.choice([";", "; ", " ;"]).join(chosen)


def random_forwarded(random: Random) -> str:
    return ",".join(random_element(random) for _ in range(random.randint(1, 6)))


def random_prefix(random: Random) -> str:
    return "".join(random.choice(FRAGMENTS) for _ in range(random.randint(1, 12))) + ","


@pytest.mark.parametrize("seed", SEEDS)
def test_x_forwarded_for_is_read_as_the_reference_reads_it(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        trusted, header = random.choice(TRUSTED), random_x_forwarded_for(random)

        client = build_resolver(trusted).client_address(build_facts(PEER, header))

        assert (header, client) == (header, slow_client(trusted, PEER, [slow_x_forwarded_for(header)]))


@pytest.mark.parametrize("seed", SEEDS)
def test_forwarded_is_read_as_the_reference_reads_it(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        trusted, header = random.choice(TRUSTED), random_forwarded(random)

        client = build_resolver(trusted).client_address(build_facts(PEER, "", header))

        assert (header, client) == (header, slow_client(trusted, PEER, [slow_forwarded(header)]))


@pytest.mark.parametrize("seed", SEEDS)
def test_both_headers_are_believed_as_far_as_they_agree(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        trusted = random.choice(TRUSTED)
        nodes = [random.choice(ADDRESSES) for _ in range(random.randint(1, 4))]
        others = [node if random.random() < 0.8 else random_node(random) for node in nodes]
        xff, forwarded = ", ".join(nodes), ", ".join(f"for={quoted(random, node)}" for node in others)

        client = build_resolver(trusted).client_address(build_facts(PEER, xff, forwarded))

        chains = [slow_x_forwarded_for(xff), slow_forwarded(forwarded)]
        assert (xff, forwarded, client) == (xff, forwarded, slow_client(trusted, PEER, chains))


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_left_of_the_first_untrusted_element_changes_the_answer(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        resolver = build_resolver(NETWORKS)
        proxies = [
            f",{node}" for node in random.choices(["10.0.0.2", "::1", "[fd00::7]:80"], k=random.randint(0, 3))
        ]
        end = random.choice(["203.0.113.77", "[2001:db8::1]:80", *NO_ADDRESSES]) + "".join(proxies)
        header = random_prefix(random) + end

        alone = resolver.client_address(build_facts(PEER, end))

        assert (header, resolver.client_address(build_facts(PEER, header))) == (header, alone)


ENDS_OF_A_WALK = [
    *(
        "for=203.0.113.77",
        'For="[2001:db8::1]:80";proto=https',
        "for=unknown",
        'for=""',
        "proto=https",
        "for=",
    ),
    # What no proxy should write, but one that copies a client's text unseen does.
    *(
        'for=203.0.113.77"',
        'for="203.0.113.77',
        'for=203.0.113.77;host=a"',
        'host="a"b";for=203.0.113.77',
        "for=\\",
    ),
    *(
        'for=203.0.113.77;host=",',
        'host=a";for=203.0.113.77',
        'for=203.0.113.77;ext="a,b"',
        'for=203.0.113.77 "',
    ),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_left_of_the_first_untrusted_element_of_forwarded_changes_the_answer(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        resolver = build_resolver(NETWORKS)
        hops = ["for=10.0.0.2", 'for="[::1]:80"', 'for=10.0.0.3;e="a,b"', "by=_x;for=172.16.5.5"]
        end = random.choice(ENDS_OF_A_WALK) + "".join(
            f", {hop}" for hop in random.choices(hops, k=random.randint(0, 3))
        )
        facts, spoofed = (build_facts(PEER, "", header) for header in (end, random_prefix(random) + end))

        client = (resolver.client_address(facts), resolver.client_scheme(facts))

        assert (spoofed, resolver.client_address(spoofed), resolver.client_scheme(spoofed)) == (
            spoofed,
            *client,
        )


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_left_of_the_last_hop_changes_the_answer(seed: int, hops: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        resolver = build_resolver(str(hops))
        nodes = random.choices([*ADDRESSES, *NO_ADDRESSES], k=hops)
        xff = ",".join(nodes)
        forwarded = ",".join(f"for={quoted(random, node)}" for node in nodes)
        prefix = random_prefix(random)

        alone = [
            resolver.client_address(build_facts(PEER, *headers))
            for headers in ((xff, ""), ("", forwarded), (xff, forwarded))
        ]

        assert alone == [
            resolver.client_address(build_facts(PEER, *headers))
            for headers in ((prefix + xff, ""), ("", prefix + forwarded), (prefix + xff, prefix + forwarded))
        ]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_header_that_no_proxy_writes_never_gives_an_address_of_the_clients_choice(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        written = random_x_forwarded_for(random)
        invented = "".join(random.choice(FRAGMENTS) for _ in range(random.randint(1, 8)))

        client = build_resolver(NETWORKS).client_address(build_facts(PEER, written, invented))

        assert client in {PEER, *slow_x_forwarded_for(written)}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_text_whatever_raises(seed: int) -> None:
    random = Random(seed)
    for _ in range(ROUNDS):
        texts = ["".join(random.choice(FRAGMENTS) for _ in range(random.randint(0, 20))) for _ in range(4)]
        facts = build_facts(random.choice([PEER, texts[0]]), *texts[1:])

        for trusted in ("", NETWORKS, "2"):
            address = build_resolver(trusted).client_address(facts)

            assert not address or slow_address(address) == address
            assert build_resolver(trusted).client_scheme(facts) in ("http", "https")
