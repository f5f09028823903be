# SPDX-License-Identifier: Apache-2.0
"""Issue letter c: queries, well-formed and not. Verdict by errno, counter and reason for each, over v4 and v6."""
import struct

import pytest

import dns
from internet import DNSMASQ, ODD, ODD6, UNBOUND, UNBOUND6
from scenes import refused_at_once

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: queries}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{ODD}, "{ODD6}", {UNBOUND}, "{UNBOUND6}"], search: []}}
  allow:
    - {{name: good, domains: [api.good.test, "*.odd.test", txt.good.test]}}
    - {{name: net, cidrs: [192.0.2.0/24, "2001:db8:aa::/48"]}}
  deny:
    - {{name: hole, cidrs: [192.0.2.66/32]}}
"""
NAME = dns.wire_name("api.good.test")
A_IN = b"\0\1\0\1"
SOL_UDP, UDP_SEGMENT = 17, 103


def message(flags: int = dns.RD, qd: int = 1, an: int = 0, ns: int = 0, ar: int = 0, body: bytes = NAME + A_IN) -> bytes:
    return dns.header(99, flags, qd, an, ns, ar) + body


def with_edns(options: bytes = b"", length: int | None = None) -> bytes:
    opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0, len(options) if length is None else length) + options
    return message(ar=1, body=NAME + A_IN + opt)


ALLOWED = {
    "plain": message(),
    "without recursion": message(flags=0),
    "checking disabled, authentic data": message(flags=dns.RD | 0x30),
    "EDNS": with_edns(),
    "EDNS with a cookie": with_edns(struct.pack(">HH", 10, 8) + b"12345678"),
    "mixed case (0x20)": message(body=dns.wire_name("aPi.GoOd.tEsT") + A_IN),
    "A": message(),
    "AAAA": message(body=NAME + b"\0\x1c\0\1"),
    "HTTPS": message(body=NAME + b"\0\x41\0\1"),
    "TXT": message(body=NAME + b"\0\x10\0\1"),
    "ANY": message(body=NAME + b"\0\xff\0\1"),
}
DENIED = {
    "no question": (message(qd=0, body=b""), "dns-qdcount"),
    "no question but one is there": (message(qd=0), "dns-qdcount"),
    "two questions": (message(qd=2, body=(NAME + A_IN) * 2), "dns-qdcount"),
    "two questions, the second hidden": (message(qd=1, body=NAME + A_IN + dns.wire_name("evil.test") + A_IN), "dns-trailing"),
    "compression to itself": (message(body=b"\xc0\x0c" + A_IN), "dns-label"),
    "compression to the header": (message(body=b"\x03api\xc0\x04" + A_IN), "dns-label"),
    "reserved label type": (message(body=b"\x80abc\0" + A_IN), "dns-label"),
    "overlong name": (message(body=dns.wire_name(".".join(["a" * 50] * 6)) + A_IN), "dns-name-long"),
    "nothing": (b"", "dns-short"),
    "half a header": (message()[:6], "dns-short"),
    "a header alone": (message(body=b""), "dns-short"),
    "name cut": (message()[:16], "dns-short"),
    "type cut": (message(body=NAME + b"\0"), "dns-short"),
    "class cut": (message(body=NAME + b"\0\1\0"), "dns-short"),
    "opcode inverse query": (message(flags=1 << 11), "dns-opcode"),
    "opcode status": (message(flags=2 << 11), "dns-opcode"),
    "opcode notify": (message(flags=4 << 11), "dns-opcode"),
    "opcode update": (message(flags=5 << 11), "dns-opcode"),
    "response bit": (message(flags=dns.QR | dns.RD), "dns-response"),
    "an answer in a query": (message(an=1, body=NAME + A_IN + dns.address_record(b"\xc0\x0c", "192.0.2.1")), "dns-counts"),
    "an authority in a query": (message(ns=1), "dns-counts"),
    "two additional records": (message(ar=2, body=NAME + A_IN + dns.EDNS * 2), "dns-counts"),
    "additional record that is no EDNS": (message(ar=1, body=NAME + A_IN + dns.address_record(b"\0", "192.0.2.1")), "dns-trailing"),
    "EDNS announced and missing": (message(ar=1), "dns-trailing"),
    "EDNS longer than the message": (with_edns(length=40), "dns-trailing"),
    "octets after EDNS": (with_edns() + b"tunnel", "dns-trailing"),
    "octets after the question": (message() + b"tunnel", "dns-trailing"),
    "class CHAOS": (message(body=NAME + b"\0\1\0\3"), "dns-class"),
    "class ANY": (message(body=NAME + b"\0\1\0\xff"), "dns-class"),
}


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("asker")
    lab.daemon.start({"queries.yaml": POLICY.format(path=made.path, ODD=ODD, ODD6=ODD6, UNBOUND=UNBOUND, UNBOUND6=UNBOUND6)})
    return made


def denied(container, watch, reason: str, packets: int = 1, **exchange) -> None:
    with watch(container) as seen:
        got = container.probe("exchange", **exchange)
    assert got["error"] == "EPERM", got
    seen.counted(packets, direction="egress", verdict="deny", reason=reason)
    assert seen.grown(direction="egress", verdict="allow") == 0
    seen.reported(kind="denied", verdict="deny", reason=reason)
    refused_at_once(container, "EPERM", "exchange", **exchange)


def allowed(container, watch, reason: str = "dns-query", **exchange) -> dict:
    with watch(container) as seen:
        got = container.probe("exchange", **exchange)
    assert got["error"] is None and got["replies"], got
    seen.counted(direction="egress", verdict="allow", reason=reason)
    assert seen.grown(verdict="deny") == 0
    return got


@pytest.mark.parametrize("server", [UNBOUND, UNBOUND6, ODD])
@pytest.mark.parametrize("case", ALLOWED)
def test_a_well_formed_query_passes(container, watch, case, server):
    allowed(container, watch, server=server, message=ALLOWED[case].hex())


@pytest.mark.parametrize("server", [ODD, ODD6])
@pytest.mark.parametrize("case", DENIED)
def test_a_malformed_query_is_denied_at_once(container, watch, case, server):
    denied(container, watch, DENIED[case][1], server=server, message=DENIED[case][0].hex())


@pytest.mark.parametrize("server", [ODD, ODD6])
def test_a_connected_socket_is_judged_alike(container, watch, server):
    denied(container, watch, "name-not-allowed", server=server, message=dns.query(1, "evil.test").hex(), connect=True)
    allowed(container, watch, server=server, message=dns.query(1, "api.good.test").hex(), connect=True)


@pytest.mark.parametrize("name, reason", [
    ("7.2.0.192.in-addr.arpa", "reverse-query"),
    ("66.2.0.192.in-addr.arpa", "reverse-not-allowed"),
    ("1.0.0.10.in-addr.arpa", "reverse-not-allowed"),
    ("2.0.192.in-addr.arpa", "name-not-allowed"),
    ("x.7.2.0.192.in-addr.arpa", "name-not-allowed"),
    ("256.2.0.192.in-addr.arpa", "name-not-allowed"),
    ("1" + ".0" * 19 + ".a.a.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "reverse-query"),
    ("1" + ".0" * 19 + ".b.b.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "reverse-not-allowed"),
    ("7.2.0.192.in-addr.arpa.evil.test", "name-not-allowed"),
])
def test_reverse_names_follow_the_address(container, watch, name, reason):
    query = dict(server=ODD, message=dns.query(5, name, dns.PTR).hex())
    if reason == "reverse-query":
        allowed(container, watch, reason, **query)
    else:
        denied(container, watch, reason, **query)


def test_a_query_to_no_resolver_is_denied(container, watch):
    denied(container, watch, "resolver", server=DNSMASQ, message=message().hex())
    denied(container, watch, "resolver", server="198.51.100.1", message=message().hex())


def test_a_resolver_is_open_for_port_53_only(container, watch):
    denied(container, watch, "no-rule", server=ODD, port=5353, message=message().hex())
    denied(container, watch, "no-rule", server=ODD6, port=443, message=message().hex())


def test_several_queries_in_one_gso_buffer_are_denied(container, watch):
    first = message()
    second = dns.query(100, "evil.test")
    second += b"\0" * (len(first) - len(second))
    denied(container, watch, "dns-gso", packets=2, server=ODD, message=(first + second[:len(first)]).hex(),
           options=[(SOL_UDP, UDP_SEGMENT, len(first))])


def test_source_port_53_is_denied(container, watch):
    denied(container, watch, "source-port", server=ODD, message=message().hex(), local_port=53)


def framed(*messages: bytes) -> str:
    return b"".join(len(m).to_bytes(2, "big") + m for m in messages).hex()


@pytest.mark.parametrize("server", [ODD, UNBOUND, UNBOUND6])
def test_over_tcp_a_segment_of_one_message_passes(container, watch, server):
    with watch(container) as seen:
        got = container.probe("query_tcp", server=server, segments=[framed(message())])
    assert got["error"] is None and got["addresses"], got
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    assert seen.grown(reason="dns-session", verdict="allow") >= 2


def test_over_tcp_a_segment_of_several_messages_is_judged_whole(container, watch):
    other = dns.query(100, "other.odd.test")
    assert container.probe("query_tcp", server=ODD, segments=[framed(message(), other)])["error"] is None
    with watch(container) as seen:
        got = container.probe("query_tcp", server=ODD, segments=[framed(message(), dns.query(100, "evil.test"))], timeout=0.5)
    assert got["error"] == "timeout" and got["stage"] == "receive", got
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= 1


@pytest.mark.parametrize("segments, reason", [
    (["0005"], "dns-framing"),
    ([framed(message()) + "00"], "dns-framing"),
    ([b"GET / HTTP/1.1\r\n\r\n".hex()], "dns-framing"),
    ([framed(dns.query(7, "evil.test"))], "name-not-allowed"),
    ([framed(message(flags=dns.QR))], "dns-response"),
])
def test_over_tcp_anything_else_never_leaves(container, watch, segments, reason):
    with watch(container) as seen:
        got = container.probe("query_tcp", server=ODD, segments=segments, timeout=0.5)
    assert got["error"] in ("timeout", "EPERM") and got["stage"] in ("send", "receive"), got
    assert seen.grown(direction="egress", verdict="deny", reason=reason) >= 1


def test_over_tcp_a_cut_message_leaves_only_when_tcp_sends_it_whole(container, watch):
    """The first half is denied; TCP's retransmission may hold both halves, which is a whole message."""
    with watch(container) as seen:
        got = container.probe("query_tcp", server=ODD, segments=[framed(message())[:20], framed(message())[20:]])
    assert got["error"] in (None, "timeout"), got
    assert seen.grown(direction="egress", verdict="deny", reason="dns-framing") >= 1
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == (1 if got["addresses"] else 0)


def test_over_tcp_to_no_resolver_is_refused_at_connect(container, watch):
    with watch(container) as seen:
        got = container.probe("query_tcp", server=DNSMASQ, segments=[framed(message())])
    assert got["error"] == "EPERM" and got["stage"] == "connect", got
    seen.counted(direction="egress", verdict="deny", reason="resolver")
    refused_at_once(container, "EPERM", "query_tcp", server=DNSMASQ, segments=[framed(message())])
