"""Requests behind proxies, each with the address of its client: the ones with `X-Forwarded-For`."""

from __future__ import annotations

from typing import NamedTuple

from otel_usage.instrumentation.address import AddressResolver
from otel_usage.model import RequestFacts
from otel_usage.settings import Settings

PEER = "10.0.0.1"
"""The load balancer in front of the app; the networks of the table trust it."""
NETWORKS = "10.0.0.0/8,172.16.0.0/12,::1,fd00::/8"
NOBODY = ""


class Case(NamedTuple):
    """One request: why it is here, who the client is, what the headers claim, who is trusted, who connected."""

    why: str
    client: str
    xff: str = ""
    forwarded: str = ""
    trusted: str = NETWORKS
    peer: str = PEER


def build_resolver(trusted: str) -> AddressResolver:
    return AddressResolver(Settings.load({"OTEL_USAGE_TRUSTED_PROXIES": trusted}).trusted_proxies)


def build_facts(
    peer: str, xff: str = "", forwarded: str = "", proto: str = "", scheme: str = "http"
) -> RequestFacts:
    return RequestFacts(
        "GET",
        scheme,
        "shop.example",
        "/",
        "",
        peer,
        forwarded_for=xff,
        forwarded_proto=proto,
        forwarded=forwarded,
    )


NOBODY_IS_TRUSTED = [
    Case("no header", PEER, trusted=NOBODY),
    Case("a header that nobody vouches for", PEER, "1.2.3.4", trusted=NOBODY),
    Case("a chain that nobody vouches for", PEER, "1.2.3.4, 10.0.0.2", trusted=NOBODY),
    Case("pretends to be inside", "203.0.113.9", "10.0.0.1", trusted=NOBODY, peer="203.0.113.9"),
    Case("pretends to be this host", "203.0.113.9", "127.0.0.1", trusted=NOBODY, peer="203.0.113.9"),
    Case("no peer", "", "1.2.3.4", trusted=NOBODY, peer=""),
    Case("no hops", PEER, "1.2.3.4", trusted="0"),
    Case("no hops, written long", PEER, "1.2.3.4", trusted="000"),
    Case("an empty list of networks", PEER, "1.2.3.4", trusted=","),
    Case("Forwarded, too", PEER, "", "for=1.2.3.4", trusted=NOBODY),
    Case("both headers agree and do not count", PEER, "1.2.3.4", "for=1.2.3.4", trusted=NOBODY),
]

PEERS = [
    Case("trusted, without header", PEER),
    Case("IPv6", "1.2.3.4", "1.2.3.4", peer="::1"),
    Case("IPv6 in another form", "1.2.3.4", "1.2.3.4", peer="0:0:0:0:0:0:0:1"),
    Case("mapped", "1.2.3.4", "1.2.3.4", peer="::ffff:10.0.0.1"),
    Case("mapped, in hexadecimal", "1.2.3.4", "1.2.3.4", peer="::ffff:a00:1"),
    Case("with a zone", "1.2.3.4", "1.2.3.4", trusted="fe80::/10", peer="fe80::1%eth0"),
    Case("with a port", "1.2.3.4", "1.2.3.4", peer="10.0.0.1:4711"),
    Case("first address of the network", "1.2.3.4", "1.2.3.4", trusted="10.1.0.0/16", peer="10.1.0.0"),
    Case("last address of the network", "1.2.3.4", "1.2.3.4", trusted="10.1.0.0/16", peer="10.1.255.255"),
    Case("one below the network", "10.0.255.255", "1.2.3.4", trusted="10.1.0.0/16", peer="10.0.255.255"),
    Case("one above the network", "10.2.0.0", "1.2.3.4", trusted="10.1.0.0/16", peer="10.2.0.0"),
    Case("a network given by one of its hosts", "1.2.3.4", "1.2.3.4", trusted="10.1.2.3/16", peer="10.1.9.9"),
    Case("a single address", "1.2.3.4", "1.2.3.4", trusted="10.0.0.1"),
    Case("next to a single address", "10.0.0.2", "1.2.3.4", trusted="10.0.0.1", peer="10.0.0.2"),
    Case("outside of the networks", "203.0.113.9", "1.2.3.4", peer="203.0.113.9"),
    Case("outside, says it is the proxy", "203.0.113.9", PEER, peer="203.0.113.9"),
    Case("outside, with a chain of proxies", "203.0.113.9", "1.2.3.4, 10.0.0.2", peer="203.0.113.9"),
    Case("outside, with Forwarded", "203.0.113.9", "", "for=1.2.3.4", peer="203.0.113.9"),
    Case("IPv6 outside of the networks", "::2", "1.2.3.4", peer="::2"),
    Case("mapped outside of the networks", "203.0.113.9", "1.2.3.4", peer="::ffff:203.0.113.9"),
    Case("trusted by a mapped network", "1.2.3.4", "1.2.3.4", trusted="::ffff:10.0.0.0/104"),
    Case(
        "outside of a mapped network", "11.0.0.1", "1.2.3.4", trusted="::ffff:10.0.0.0/104", peer="11.0.0.1"
    ),
    Case("all of IPv6 is not IPv4", PEER, "1.2.3.4", trusted="::/0"),
    Case("all of IPv4 is not IPv6", "2001:db8::1", "1.2.3.4", trusted="0.0.0.0/0", peer="2001:db8::1"),
    Case("unknown is not inside", "", "1.2.3.4", peer=""),
    Case("unknown is not inside of everything", "", "1.2.3.4", trusted="0.0.0.0/0,::/0", peer=""),
    Case("a Unix socket is not inside", "", "1.2.3.4", peer="unix:"),
    Case("a Unix socket counts as a hop", "1.2.3.4", "1.2.3.4", trusted="1", peer="unix:"),
    Case("mapped, itself the client", "1.2.3.4", trusted=NOBODY, peer="::ffff:1.2.3.4"),
    Case("a zone is not kept", "fe80::1", trusted=NOBODY, peer="fe80::1%eth0"),
    Case("no address", "", trusted=NOBODY, peer="not an address"),
    Case("the unspecified address", "", trusted=NOBODY, peer="0.0.0.0"),
    Case("endless", "", "1.2.3.4", peer="10.0.0.1" * 10_000),
]

CHAINS = [
    Case("one proxy", "1.2.3.4", "1.2.3.4"),
    Case("one proxy, IPv6", "2001:db8::1", "2001:db8::1"),
    Case("two proxies", "1.2.3.4", "1.2.3.4, 10.0.0.2"),
    Case("three proxies", "1.2.3.4", "1.2.3.4,10.0.0.2,172.16.5.5"),
    Case("IPv6 proxies", "1.2.3.4", "1.2.3.4, fd00::7, ::1"),
    Case("the client has IPv6, the proxies have not", "2001:db8::7", "2001:db8::7, 10.0.0.3, 10.0.0.2"),
    Case("mapped proxy", "1.2.3.4", "1.2.3.4, ::ffff:10.0.0.2"),
    Case("proxy with port", "1.2.3.4", "1.2.3.4, 10.0.0.2:8080"),
    Case("IPv6 proxy with port", "1.2.3.4", "1.2.3.4, [fd00::7]:8080"),
    Case("all inside: the first of them", "10.0.0.3", "10.0.0.3, 10.0.0.2"),
    Case("a client inside", "10.0.0.3", "10.0.0.3"),
    Case("the proxy calls itself", PEER, PEER),
    Case("a proxy that nobody trusts is a client", "203.0.113.50", "1.2.3.4, 203.0.113.50"),
    Case(
        "a network in front that is trusted",
        "1.2.3.4",
        "1.2.3.4, 203.0.113.50",
        trusted="203.0.113.0/24,10.0.0.1",
    ),
    Case("everybody is trusted: the leftmost", "9.9.9.9", "9.9.9.9, 1.2.3.4", trusted="0.0.0.0/0"),
]

SPOOFED = [
    Case("an address left of the client", "1.2.3.4", "6.6.6.6, 1.2.3.4"),
    Case("many left of the client", "1.2.3.4", "6.6.6.6, 7.7.7.7, 8.8.8.8, 1.2.3.4"),
    Case("an inside address", "1.2.3.4", "10.9.9.9, 1.2.3.4"),
    Case("the balancer's own address", "1.2.3.4", f"{PEER}, 1.2.3.4"),
    Case("a whole chain", "1.2.3.4", "6.6.6.6, 10.0.0.2, 1.2.3.4"),
    Case("a chain, seen through two proxies", "1.2.3.4", "6.6.6.6, 10.0.0.2, 1.2.3.4, 10.0.0.2"),
    Case("before a proxy", "1.2.3.4", "6.6.6.6, 1.2.3.4, 10.0.0.2"),
    Case("loopback", "1.2.3.4", "127.0.0.1, 1.2.3.4"),
    Case("loopback, not trusted here", "127.0.0.1", "127.0.0.1"),
    Case("itself twice", "1.2.3.4", "1.2.3.4, 1.2.3.4"),
    Case("garbage", "1.2.3.4", "garbage, 1.2.3.4"),
    Case("commas", "1.2.3.4", ",,,1.2.3.4"),
    Case("an open quote", "1.2.3.4", '", 1.2.3.4'),
    Case("an open quote after an address", "1.2.3.4", '"6.6.6.6, 1.2.3.4'),
    Case("an open bracket", "1.2.3.4", "[, 1.2.3.4"),
    Case("a backslash", "1.2.3.4", "6.6.6.6\\, 1.2.3.4"),
    Case("a NUL", "1.2.3.4", "6.6.6.6\0, 1.2.3.4"),
    Case("a line break", "1.2.3.4", "6.6.6.6\r\nX-Forwarded-For: 7.7.7.7, 1.2.3.4"),
    Case("the syntax of Forwarded", "1.2.3.4", "for=6.6.6.6, 1.2.3.4"),
    Case("a comment", "1.2.3.4", "6.6.6.6 (real), 1.2.3.4"),
    Case("a semicolon for a comma", PEER, "6.6.6.6; 1.2.3.4"),
    Case("a full-width comma", PEER, "6.6.6.6\uff0c1.2.3.4"),
    Case("a space for a comma", PEER, "6.6.6.6 1.2.3.4"),
    Case("a comma in percent code", PEER, "6.6.6.6%2C1.2.3.4"),
    Case("two header lines, the client's first", "1.2.3.4", "6.6.6.6,1.2.3.4"),
    Case("two header lines, the first ends in a comma", "1.2.3.4", "6.6.6.6,,1.2.3.4"),
    Case("a proxy that does not append is not helped", "6.6.6.6", "6.6.6.6"),
]

NO_ADDRESS = [
    Case("unknown", PEER, "unknown"),
    Case("unknown in capitals", PEER, "UNKNOWN"),
    Case("an obfuscated name", PEER, "_hidden"),
    Case("an obfuscated name with port", PEER, "_hidden:8080"),
    Case("unknown nearest", PEER, "1.2.3.4, unknown"),
    Case("unknown behind a proxy", "10.0.0.2", "1.2.3.4, unknown, 10.0.0.2"),
    Case("hidden behind a proxy", "10.0.0.2", "1.2.3.4, _x, 10.0.0.2"),
    Case("empty behind a proxy", "10.0.0.2", "1.2.3.4,,10.0.0.2"),
    Case("spaces behind a proxy", "10.0.0.2", "1.2.3.4, , 10.0.0.2"),
    Case("empty nearest", PEER, "1.2.3.4,"),
    Case("empty nearest, after a proxy", PEER, "1.2.3.4, 10.0.0.2, "),
    Case("only a comma", PEER, ","),
    Case("only spaces", PEER, "   "),
    Case("a dash, as nginx logs it", PEER, "-"),
    Case("a host name", PEER, "localhost"),
    Case("a host name with a dot", PEER, "client.example"),
    Case("a host name that looks like one", PEER, "1.2.3.4.example"),
    Case("words of a language", PEER, "None"),
    Case("three numbers", PEER, "1.2.3"),
    Case("five numbers", PEER, "1.2.3.4.5"),
    Case("a number too large", PEER, "1.2.3.256"),
    Case("a number far too large", PEER, "1.2.3.4294967297"),
    Case("a negative number", PEER, "1.2.3.-4"),
    Case("a missing number", PEER, "1..3.4"),
    Case("a leading dot", PEER, ".1.2.3.4"),
    Case("a trailing dot", PEER, "1.2.3.4."),
    Case("a leading zero", PEER, "01.2.3.4"),
    Case("loopback with zeros", PEER, "127.000.0.1"),
    Case("octal", PEER, "0177.0.0.1"),
    Case("hexadecimal", PEER, "0x01020304"),
    Case("hexadecimal numbers", PEER, "0x1.0x2.0x3.0x4"),
    Case("one number", PEER, "16909060"),
    Case("zero", PEER, "0"),
    Case("an exponent", PEER, "1e9"),
    Case("an underscore in a number", PEER, "1.2.3.1_0"),
    Case("a plus", PEER, "+1.2.3.4"),
    Case("a network", PEER, "1.2.3.4/32"),
    Case("an IPv6 network", PEER, "2001:db8::/32"),
    Case("a full-width digit", PEER, "\uff11.2.3.4"),
    Case("an Arabic digit", PEER, "\u0661.2.3.4"),
    Case("a superscript digit", PEER, "\xb9.2.3.4"),
    Case("a full-width dot", PEER, "1\uff0e2.3.4"),
    Case("an IPv6 of full-width letters", PEER, "2001:\uff44b8::1"),
    Case("a no-break space around", PEER, "\xa01.2.3.4"),
    Case("a vertical tab around", PEER, "\x0b1.2.3.4"),
    Case("a next line around", PEER, "1.2.3.4\x85"),
    Case("a space inside", PEER, "1.2. 3.4"),
    Case("markup", PEER, "<script>alert(1)</script>"),
    Case("SQL", PEER, "1.2.3.4' OR '1'='1"),
    Case("a format", PEER, "%s%n{0}"),
    Case("a lookup", PEER, "${jndi:ldap://1.2.3.4/a}"),
    Case("a URL", PEER, "http://1.2.3.4"),
    Case("a user", PEER, "user@1.2.3.4"),
    Case("NUL at the end", PEER, "1.2.3.4\0"),
    Case("NUL at the start", PEER, "\x001.2.3.4"),
    Case("a line break", PEER, "1.2.3.4\r\nX: y"),
    Case("a line break at the end", PEER, "1.2.3.4\n"),
    Case("a lone surrogate", PEER, "\udcff"),
    Case("the unspecified address", PEER, "0.0.0.0"),
    Case("the unspecified address of IPv6", PEER, "::"),
    Case("the unspecified address, mapped", PEER, "::ffff:0.0.0.0"),
    Case("the syntax of Forwarded", PEER, "for=1.2.3.4"),
    Case("two IPv6 abbreviations", PEER, "2001::db8::1"),
    Case("an IPv6 group too long", PEER, "2001:0db8:00001::1"),
    Case("an IPv6 group too many", PEER, "1:2:3:4:5:6:7:8:9"),
    Case("an IPv6 group too few", PEER, "1:2:3:4:5:6:7"),
    Case("three colons", PEER, ":::1"),
    Case("mapped with a leading zero", PEER, "::ffff:01.2.3.4"),
    Case("a MAC address", PEER, "00:1b:44:11:3a:b7"),
]

FORMS = [
    Case("spaces", "1.2.3.4", " 1.2.3.4 "),
    Case("tabs", "1.2.3.4", "\t1.2.3.4\t"),
    Case("no space after the comma", "1.2.3.4", "1.2.3.4,10.0.0.2"),
    Case("space before the comma", "1.2.3.4", "1.2.3.4 , 10.0.0.2"),
    Case("IPv6 in its usual form", "2001:db8::1", "2001:DB8:0:0:0:0:0:1"),
    Case("IPv6 with leading zeros", "2001:db8::1", "2001:0db8:0000::0001"),
    Case("port", "1.2.3.4", "1.2.3.4:56789"),
    Case("empty port", "1.2.3.4", "1.2.3.4:"),
    Case("obfuscated port", "1.2.3.4", "1.2.3.4:_p-1.x"),
    Case("port that is no number", PEER, "1.2.3.4:http"),
    Case("port of six digits", PEER, "1.2.3.4:123456"),
    Case("negative port", PEER, "1.2.3.4:-1"),
    Case("port of other digits", PEER, "1.2.3.4:\uff18\uff10"),
    Case("two ports", PEER, "1.2.3.4:80:80"),
    Case("only a port", PEER, ":80"),
    Case("brackets", "2001:db8::1", "[2001:db8::1]"),
    Case("brackets and port", "2001:db8::1", "[2001:db8::1]:443"),
    Case("brackets and obfuscated port", "2001:db8::1", "[2001:db8::1]:_x"),
    Case("brackets and empty port", "2001:db8::1", "[2001:db8::1]:"),
    Case("half a bracket", PEER, "[2001:db8::1"),
    Case("the other half of a bracket", PEER, "2001:db8::1]"),
    Case("two brackets", PEER, "[[2001:db8::1]]"),
    Case("more after the bracket", PEER, "[2001:db8::1]x"),
    Case("bracket and a bare number", PEER, "[2001:db8::1]443"),
    Case("bracket and no port number", PEER, "[2001:db8::1]:x"),
    Case("space in brackets", PEER, "[ 2001:db8::1 ]"),
    Case("IPv4 in brackets", PEER, "[1.2.3.4]"),
    Case("empty brackets", PEER, "[]"),
    Case("the last group of an IPv6 is no port", "2001:db8::1:443", "2001:db8::1:443"),
    Case("quotes", "1.2.3.4", '"1.2.3.4"'),
    Case("quotes, brackets and port", "2001:db8::1", '"[2001:db8::1]:443"'),
    Case("one quote", PEER, '"1.2.3.4'),
    Case("two pairs of quotes", PEER, '""1.2.3.4""'),
    Case("single quotes", PEER, "'1.2.3.4'"),
    Case("nothing in quotes", PEER, '""'),
    Case("zone", "fe80::1", "fe80::1%eth0"),
    Case("zone by number", "fe80::1", "fe80::1%2"),
    Case("escaped zone in brackets", "fe80::1", "[fe80::1%25eth0]:80"),
    Case("empty zone", PEER, "fe80::1%"),
    Case("zone of markup", PEER, "fe80::1%<b>"),
    Case("IPv4 with a zone", PEER, "1.2.3.4%eth0"),
    Case("mapped", "1.2.3.4", "::ffff:1.2.3.4"),
    Case("mapped in capitals", "1.2.3.4", "::FFFF:1.2.3.4"),
    Case("mapped in hexadecimal", "1.2.3.4", "::ffff:102:304"),
    Case("mapped in full", "1.2.3.4", "0:0:0:0:0:ffff:1.2.3.4"),
    Case("mapped in brackets", "1.2.3.4", "[::ffff:1.2.3.4]:80"),
    Case("mapped inside address is a proxy", "1.2.3.4", "1.2.3.4, ::ffff:10.9.9.9"),
    Case("compatible is not mapped", "::a00:2", "1.2.3.4, ::10.0.0.2"),
    Case("NAT64 stays what it is", "64:ff9b::102:304", "64:ff9b::1.2.3.4"),
    Case("NAT64 of an inside address is not inside", "64:ff9b::a00:2", "1.2.3.4, 64:ff9b::10.0.0.2"),
    Case("6to4 of an inside address is not inside", "2002:a00:2::", "1.2.3.4, 2002:a00:2::"),
]

HOPS = [
    Case("1 hop", "1.2.3.4", "1.2.3.4", trusted="1"),
    Case("1 hop, whoever the peer is", "1.2.3.4", "1.2.3.4", trusted="1", peer="203.0.113.9"),
    Case("1 hop behind a socket", "1.2.3.4", "1.2.3.4", trusted="1", peer=""),
    Case("1 hop without header behind a socket", "", trusted="1", peer=""),
    Case("1 hop, one invented", "1.2.3.4", "6.6.6.6, 1.2.3.4", trusted="1"),
    Case("1 hop, many invented", "1.2.3.4", "6.6.6.6, 7.7.7.7, 8.8.8.8, 1.2.3.4", trusted="1"),
    Case("1 hop, an inside address is a client", "10.0.0.7", "6.6.6.6, 10.0.0.7", trusted="1"),
    Case("1 hop, garbage invented", "1.2.3.4", ',",\0, 1.2.3.4', trusted="1"),
    Case("2 hops", "1.2.3.4", "1.2.3.4, 172.16.0.1", trusted="2"),
    Case("2 hops, one invented", "1.2.3.4", "6.6.6.6, 1.2.3.4, 172.16.0.1", trusted="2"),
    Case("2 hops, the nearer is not inside", "1.2.3.4", "1.2.3.4, 198.51.100.1", trusted="2"),
    Case("3 hops", "1.2.3.4", "1.2.3.4, 5.6.7.8, 9.9.9.9", trusted="3"),
    Case("3 hops, one invented", "1.2.3.4", "6.6.6.6, 1.2.3.4, 5.6.7.8, 9.9.9.9", trusted="3"),
    Case("2 hops, short chain", "1.2.3.4", "1.2.3.4", trusted="2"),
    Case("9 hops, short chain", "1.2.3.4", "1.2.3.4, 5.6.7.8", trusted="9"),
    Case("2 hops without header", PEER, trusted="2"),
    Case("2 hops, unknown nearest", PEER, "1.2.3.4, unknown", trusted="2"),
    Case("2 hops, unknown at the place", "5.6.7.8", "unknown, 5.6.7.8", trusted="2"),
    Case("2 hops, invented before the unknown place", "5.6.7.8", "6.6.6.6, unknown, 5.6.7.8", trusted="2"),
    Case("2 hops, empty at the place", "5.6.7.8", ",5.6.7.8", trusted="2"),
    Case("2 hops, empty nearest", PEER, "1.2.3.4, ", trusted="2"),
    Case("2 hops, empty between", "5.6.7.8", "1.2.3.4,,5.6.7.8", trusted="2"),
    Case("2 hops with ports", "2001:db8::1", "[2001:db8::1]:1, 5.6.7.8:2", trusted="2"),
    Case("2 hops, the same address twice", "1.2.3.4", "1.2.3.4, 1.2.3.4", trusted="2"),
    Case("01 is one hop", "1.2.3.4", "6.6.6.6, 1.2.3.4", trusted="01"),
]

HUGE = [
    Case("one endless element", PEER, "1" * 10_000),
    Case("one endless element left of the client", "1.2.3.4", "1" * 10_000 + ", 1.2.3.4"),
    Case("an address after endless spaces", PEER, " " * 10_000 + "1.2.3.4"),
    Case("ten thousand commas", PEER, "," * 10_000),
    Case("ten thousand commas left of the client", "1.2.3.4", "," * 10_000 + "1.2.3.4"),
    Case("a long invented chain", "1.2.3.4", "6.6.6.6," * 10_000 + "1.2.3.4"),
    Case("a long chain inside", "10.0.0.2", "10.0.0.2," * 10_000 + "10.0.0.2"),
    Case("more hops than are walked", "6.6.6.6", "6.6.6.6," * 10_000 + "1.2.3.4", trusted="999"),
    Case(
        "a cut through an address is no address",
        "10.0.0.2",
        "1" * 5000 + "0.0.0.3," + "10.0.0.2" + " " * 4080,
    ),
    Case("zeros without end", PEER, "1.2.3." + "0" * 10_000 + "4"),
    Case("a port without end", PEER, "1.2.3.4:" + "0" * 10_000),
    Case("a zone without end", PEER, "fe80::1%" + "a" * 10_000),
    Case("65 trusted elements and a client", "10.0.0.2", "1.2.3.4" + ",10.0.0.2" * 65),
    Case("63 trusted elements and a client", "1.2.3.4", "1.2.3.4" + ",10.0.0.2" * 63),
]

GROUPS = {
    "nobody is trusted": NOBODY_IS_TRUSTED,
    "peers": PEERS,
    "chains": CHAINS,
    "spoofed": SPOOFED,
    "no address": NO_ADDRESS,
    "forms": FORMS,
    "hops": HOPS,
    "huge": HUGE,
}
