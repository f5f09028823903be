# SPDX-License-Identifier: Apache-2.0
"""Issue letter d: answers. The hand-made server answers as the name's first label says; each case has an address of its own.

For each: was it learned (by the API), is it usable (by connect), what was noticed (counter with verdict none).
"""
import itertools

import pytest

import dns
from internet import DNSMASQ, DNSMASQ6, ODD, ODD6, UNBOUND, UNBOUND6
from observe import learned

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: answers}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolvers}], search: [], minTTL: 30s}}
  allow:
    - {{name: web, domains: ["*.odd.test", "*.good.test"], ports: [tcp/80]}}
    - {{name: alternative, domains: ["*.alt.test"], ports: [tcp/8080]}}
    - {{name: inside, domains: ["*.intern.test"], ports: [tcp/80], private: allow}}
"""
OCTETS = itertools.count(60)  # of 198.51.100.0/24: an address for each case


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("asker")
    resolvers = ", ".join(f'"{a}"' for a in (ODD, ODD6, DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6))
    lab.daemon.start({"answers.yaml": POLICY.format(path=made.path, resolvers=resolvers)})
    return made


def fresh() -> str:
    return f"198.51.100.{next(OCTETS)}"


def ask(container, how: str, address: str, zone: str = "odd.test", server: str = ODD, **rest) -> dict:
    return container.probe("query", server=server, name=f"{how}.{address.replace('.', '-')}.{zone}", timeout=0.3, **rest)


def usable(container, address: str, port: int = 80) -> bool:
    got = container.probe("connect", address=address, port=port)
    assert got["error"] in (None, "EPERM"), got
    return got["error"] is None


TEACHES = {  # how: what is noticed besides learned-new
    "plain": None, "chain3": None, "chain10": None, "ttl0": None,
    "loop": None,               # an owner name that points to itself: the owner is stepped over, never followed
    "twice": "answer-unmatched",  # the first teaches, the second finds no query
    "cut": "answer-malformed",  # what stands before the cut is whole
    "counts": "answer-malformed",
    "truncated": "answer-truncated",  # what is there counts
}
TEACHES_NOT = {
    "wrongid": "answer-unmatched", "wrongserver": "answer-unmatched", "wrongname": "answer-unmatched",
    "wrongtype": "answer-unmatched", "nxdomain": "answer-failed",
    "servfail": "answer-failed", "asquery": "answer-malformed",
    "wrongport": None,          # from no port 53: not looked at
    "silent": None,
}


@pytest.mark.parametrize("how", TEACHES)
def test_an_answer_teaches_and_is_usable_at_once(lab, container, watch, how):
    address = fresh()
    assert not usable(container, address)
    with watch(container) as seen:
        got = ask(container, how, address, answers=2 if how == "twice" else 1)
        assert usable(container, address), got
    seen.counted(direction="ingress", verdict="none", reason="learned-new")
    if TEACHES[how]:
        seen.counted(verdict="none", reason=TEACHES[how])
    assert learned(lab.daemon, container.path)[address] == [f"{how}.{address.replace('.', '-')}.odd.test"]
    assert not usable(container, address, 8080), "the rule names port 80 only"
    if how == "twice":
        assert not usable(container, "198.51.100.36"), "the second answer's address"


@pytest.mark.parametrize("how", TEACHES_NOT)
def test_an_answer_that_does_not_fit_teaches_nothing(lab, container, watch, how):
    address = fresh()
    with watch(container) as seen:
        ask(container, how, address)
        assert not usable(container, address)
    if TEACHES_NOT[how]:
        seen.counted(verdict="none", reason=TEACHES_NOT[how])
    assert seen.grown(reason="learned-new") == 0
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    assert address not in learned(lab.daemon, container.path)


@pytest.mark.parametrize("how", ["plain", "chain3", "wrongid"])
def test_over_v6_alike(lab, container, how):
    octet = next(OCTETS)
    address = f"2001:db8:80::{octet:x}"
    assert not usable(container, address)
    ask(container, how, f"198.51.100.{octet}", server=ODD6, type=dns.AAAA)
    assert usable(container, address) == (how != "wrongid")
    assert (address in learned(lab.daemon, container.path)) == (how != "wrongid")


@pytest.mark.parametrize("server", [DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6])
def test_real_servers_teach(lab, container, server):
    """The alias is followed to the addresses; all of several are learned."""
    got = container.probe("query", server=server, name="www.good.test")
    assert got["addresses"] == ["198.51.100.11"], got
    assert usable(container, "198.51.100.11")
    got = container.probe("query", server=server, name="many.good.test")
    assert len(got["addresses"]) == 6 and all(usable(container, address) for address in got["addresses"]), got
    got = container.probe("query", server=server, name="api.good.test", type=dns.AAAA, edns=True)
    assert got["addresses"] == ["2001:db8:80::a"] and usable(container, "2001:db8:80::a"), got


def test_over_tcp_teaches(container):
    address = fresh()
    message = dns.query(9, f"plain.{address.replace('.', '-')}.odd.test")
    assert not usable(container, address)
    got = container.probe("query_tcp", server=ODD, segments=[(len(message).to_bytes(2, "big") + message).hex()])
    assert got["addresses"] == [address] and usable(container, address), got


def test_an_answer_to_no_query_teaches_nothing(container, watch):
    address = fresh()
    with watch(container) as seen:
        got = container.probe("unasked", server=ODD, address=address, local_port=40_404)
        assert not usable(container, address), got
    seen.counted(verdict="none", reason="answer-unmatched")


def test_a_hundred_addresses_are_learned(lab, container, watch):
    with watch(container) as seen:
        got = ask(container, "hundred", fresh())
    assert len(got["addresses"]) == 100, got
    seen.counted(100, verdict="none", reason="learned-new")
    assert {f"100.20.30.{n}" for n in range(1, 101)} <= set(learned(lab.daemon, container.path))


def test_a_second_answer_refreshes(container, watch):
    address = fresh()
    ask(container, "plain", address)
    with watch(container) as seen:
        ask(container, "plain", address)
    seen.counted(verdict="none", reason="learned-refresh")
    assert seen.grown(reason="learned-new") == 0


def test_an_address_of_two_rules_has_the_ports_of_both(lab, container):
    address = fresh()
    ask(container, "plain", address)
    assert usable(container, address, 80) and not usable(container, address, 8080)
    ask(container, "plain", address, zone="alt.test")
    assert usable(container, address, 80) and usable(container, address, 8080)
    assert len(learned(lab.daemon, container.path)[address]) == 2
    assert not usable(container, address, 443)


@pytest.mark.parametrize("how, address", [("loopback", "127.0.0.1"), ("metadata", "169.254.169.254"), ("private", "10.88.0.1")])
def test_private_addresses_are_not_learned(lab, container, watch, how, address):
    with watch(container) as seen:
        got = ask(container, how, fresh())
        assert got["addresses"] == [address], got
    seen.counted(verdict="none", reason="learned-private")
    assert address not in learned(lab.daemon, container.path)
    if how != "loopback":
        assert not usable(container, address)


def test_private_addresses_are_learned_where_the_rule_says_so(lab, container):
    got = ask(container, "private", fresh(), zone="intern.test")
    assert got["addresses"] == ["10.88.0.1"] and usable(container, "10.88.0.1"), got


def test_an_address_is_usable_by_the_packet_right_after_its_answer(container, watch):
    with watch(container) as seen:
        got = container.probe("race", server=ODD, count=1000, first=2_000_000, deadline_s=120)
    assert got["outcomes"] == {"None": 1000}, got
    assert seen.grown(direction="egress", verdict="deny") == 0
