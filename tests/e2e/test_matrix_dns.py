# SPDX-License-Identifier: Apache-2.0
"""DNS over UDP and TCP, over IPv4, IPv6 and v4-mapped sockets: which names, which resolvers, which messages, what an answer teaches.
Each case that tests/check/case_coverage.py lists; the many forms of messages and answers are in test_names, test_queries and test_answers.
"""
import itertools

import pytest

import dns
from internet import DNSMASQ, DNSMASQ6, ODD, ODD6
from observe import learned, until
from outside import AT_ONCE_US, fence, send_from_outside

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: dns}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{odd}, "{odd6}"], search: []}}
  allow:
    - {{name: named, domains: ["*.odd.test"], ports: [tcp/80]}}
    - {{name: net, cidrs: [192.0.2.0/24, "2001:db8:aa::/48"]}}
    - {{name: fence, cidrs: [198.51.100.50/32], ports: [udp/9000]}}
  deny:
    - {{name: never, domains: ["*.never.odd.test"]}}
"""
LISTED = {"v4": ODD, "v6": ODD6, "mapped": f"::ffff:{ODD}"}
UNLISTED = {"v4": DNSMASQ, "v6": DNSMASQ6, "mapped": f"::ffff:{DNSMASQ}"}
NUMBER = itertools.count(129)


def each(rule: str):
    """Parameters family, protocol."""
    return pytest.mark.parametrize("family, protocol", [
        pytest.param(family, protocol, id=f"{protocol}-{family}",
                     marks=pytest.mark.covers(hook="ingress" if rule == "dns-answer" else "egress", rule=rule, family=family, protocol=protocol))
        for protocol in ("udp", "tcp") for family in LISTED])


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("dns")
    lab.daemon.start({"dns.yaml": POLICY.format(path=made.path, odd=ODD, odd6=ODD6)})
    made.watch_cable()
    return made


def framed(message: bytes) -> str:
    return (len(message).to_bytes(2, "big") + message).hex()


def ask(container, protocol: str, server: str, message: bytes) -> dict:
    if protocol == "udp":
        return container.probe("exchange", server=server, message=message.hex())
    return container.probe("query_tcp", server=server, segments=[framed(message)])


NO_LINGER = [1, 13, (1).to_bytes(4, "little").hex() + "00000000"]  # the socket ends when it is closed: nothing is sent again


def write_on_stream(container, server: str, message: bytes, seen) -> None:
    """The kernel takes what is written, and cannot tell that it never leaves."""
    assert container.probe("hold", key="stream", family=10 if ":" in server else 2, type=1, options=[NO_LINGER])["error"] is None
    assert container.probe("held_connect", key="stream", address=server, port=53)["error"] is None
    assert container.probe("held_send", key="stream", payload=framed(message))["error"] is None
    until(lambda: seen.grown(direction="egress", verdict="deny") >= 1, 5, "denied")
    assert container.probe("held_close", key="stream")["error"] is None


def assert_denied(container, watch, protocol: str, family: str, message: bytes, reason: str, name: str = "") -> None:
    with watch(container) as seen:
        if protocol == "udp":
            got = ask(container, protocol, LISTED[family], message)
            assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
        else:
            write_on_stream(container, LISTED[family], message, seen)
    assert seen.grown(direction="egress", verdict="deny") == seen.grown(direction="egress", verdict="deny", reason=reason) >= 1
    seen.reported(kind="denied", hook="egress", reason=reason, remote=LISTED[family].removeprefix("::ffff:"), protocol=protocol, name=name)
    assert seen.grown(direction="egress", reason="dns-query") == 0
    fence(container)
    assert not container.arrived(contains=message.hex())


def assert_passes(container, watch, protocol: str, family: str, message: bytes, reason: str) -> None:
    with watch(container) as seen:
        got = ask(container, protocol, LISTED[family], message)
        assert got["error"] is None and (got.get("replies") or got.get("octets")), got
    seen.counted(direction="egress", verdict="allow", reason=reason)
    assert seen.grown(verdict="deny") == 0
    until(lambda: container.arrived(contains=message.hex()), 5, "it left")


@each("dns-query")
def test_a_name_decides(container, watch, family, protocol):
    tag = f"{family}-{protocol}"
    assert_passes(container, watch, protocol, family, dns.query(1, f"{tag}.odd.test"), "dns-query")
    assert_denied(container, watch, protocol, family, dns.query(2, f"{tag}.evil.test"), "name-not-allowed", f"{tag}.evil.test")
    assert_denied(container, watch, protocol, family, dns.query(3, f"{tag}.never.odd.test"), "name-denied", f"{tag}.never.odd.test")


@each("reverse-query")
def test_a_reverse_name_follows_its_address(container, watch, family, protocol):
    octet = next(NUMBER)
    assert_passes(container, watch, protocol, family, dns.query(4, f"{octet}.2.0.192.in-addr.arpa", dns.PTR), "reverse-query")
    assert_denied(container, watch, protocol, family, dns.query(5, f"{octet}.0.0.10.in-addr.arpa", dns.PTR), "reverse-not-allowed",
                  f"{octet}.0.0.10.in-addr.arpa")


@each("dns-form")
def test_a_message_that_hides_something_is_denied(container, watch, family, protocol):
    question = dns.question("form.odd.test")
    for message, reason in ((dns.header(6, dns.RD | dns.QR) + question, "dns-response"), (dns.header(6, dns.RD) + question + b"tail", "dns-trailing"),
                            (dns.header(6, dns.RD, qd=2) + question * 2, "dns-qdcount")):
        assert_denied(container, watch, protocol, family, message, reason, "form.odd.test" if reason == "dns-trailing" else "")


@each("resolver")
@pytest.mark.parametrize("hook", [
    "egress", pytest.param("early", marks=[
        pytest.mark.covers(hook="sendmsg", rule="resolver", family="v4 v6 mapped", protocol="udp"),
        pytest.mark.covers(hook="connect", rule="resolver", family="v4 v6 mapped", protocol="tcp")])])
def test_a_resolver_that_is_not_listed_is_not_asked(lab, container, watch, family, protocol, hook):
    """Whatever the name; the early hooks see the caller, the packet hook whose socket it is."""
    message, server = dns.query(7, f"{family}-{protocol}-{hook}.odd.test"), UNLISTED[family]
    with watch(container) as seen:
        if hook == "early":
            got = ask(container, protocol, server, message)
            assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
        else:
            error, us = send_from_outside(container, lab.directory, family, protocol, server, 53, message.hex())
            assert error == ("EINPROGRESS" if protocol == "tcp" else "EPERM") and us < AT_ONCE_US, (error, us)
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="resolver") >= 1, 5, "counted")
        at = hook if hook == "egress" else "connect" if protocol == "tcp" else "sendmsg"
        seen.reported(kind="denied", hook=at, reason="resolver", remote=server.removeprefix("::ffff:"))
    fence(container)
    assert not container.arrived(destination=server.removeprefix("::ffff:"))
    if protocol == "tcp":
        with watch(container) as seen:
            assert container.probe("connect", address=LISTED[family], port=53)["error"] is None
        assert seen.grown(direction="egress", verdict="allow", reason="dns-session") >= 2


@each("dns-answer")
def test_an_answer_teaches_before_it_is_read(lab, container, watch, family, protocol):
    """The address is closed, is asked for, and is open at once."""
    octet = next(NUMBER)
    address, kind = (f"2001:db8:80::{octet:x}", dns.AAAA) if family == "v6" else (f"198.51.100.{octet}", dns.A)
    target = f"::ffff:{address}" if family == "mapped" else address
    assert container.probe("connect", address=target, port=80)["error"] == "EPERM"
    with watch(container) as seen:
        got = ask(container, protocol, LISTED[family], dns.query(8, f"plain.198-51-100-{octet}.odd.test", kind))
        assert got["error"] is None, got
        assert container.probe("connect", address=target, port=80)["error"] is None
    seen.counted(direction="ingress", verdict="allow", reason="dns-answer")
    assert seen.grown(reason="learned-new") == 1 and seen.grown(verdict="deny") == 0
    assert learned(lab.daemon, container.path)[address] == [f"plain.198-51-100-{octet}.odd.test"]
