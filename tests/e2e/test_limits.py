# SPDX-License-Identifier: Apache-2.0
"""Limits of a policy: what the application saw, what was counted and why, and what left by the cable. Rates, quotas, connections and
queries; of rules and of containers; over changes of policy and without a daemon.
"""
import pytest

from internet import DNSMASQ
from limits import HEAD, ONE, PACKET, PORT, TWO, left, octets_of, spend
from observe import until

ONE6 = "2001:db8:80::41"
ANY = "cidrs: [198.51.100.0/24, '2001:db8:80::/64'], ports: [tcp/80, udp/9000-9001]"
TWO_RULES = f"""  allow:
    - {{name: one, cidrs: [{ONE}], ports: [udp/{PORT}], limits: {{limits}}}}
    - {{name: two, cidrs: [{TWO}], ports: [udp/{PORT}]}}
"""

SPECS = {
    "rate": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{egress: 1MB/s}}\n",
    "packets": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{packets: 500/s burst 100}}\n",
    "ingress": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{ingress: 1B/s}}\n",  # a burst of 144KiB
    "quota": f"  allow: [{{name: out, {ANY}, limits: {{quota: 100000B/24h egress}}}}]\n",
    "both-ways": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{quota: 100000B/24h}}\n",
    "rule-both-ways": f"  allow: [{{name: out, {ANY}, limits: {{quota: 100000B/24h}}}}]\n",
    "v6": f"  allow: [{{name: out, {ANY}, limits: {{quota: 10280B/24h egress}}}}]\n",
    "connections": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{connections: 4/h burst 3}}\n",
    "queries": f"  dns: {{resolvers: [{DNSMASQ}], search: [], queries: 4/h burst 3}}\n  allow: [{{domains: [good.test]}}]\n",
    "rule-queries": f"  dns: {{resolvers: [{DNSMASQ}], search: []}}\n"
                    "  allow: [{domains: [good.test], limits: {queries: 4/h burst 3}}, {domains: [new.good.test]}]\n",
    "rules": TWO_RULES.replace("{limits}", "{quota: 10280B/24h}"),
    "changed": f"  allow: [{{name: out, {ANY}, limits: {{quota: 10280B/24h egress}}}}]\n",
    "killed": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{quota: 20560B/24h egress}}\n",
    "loopback": f"  allow: [{{name: out, {ANY}}}]\n  limits: {{quota: 10280B/24h, packets: 1/h burst 64, connections: 1/h}}\n",
    "audited": f"  mode: audit\n  allow: [{{name: out, {ANY}, limits: {{quota: 10280B/24h egress}}}}]\n",
}
SHARED = f"  allow: [{{name: out, {ANY}, limits: {{quota: 10280B/24h egress}}}}]\n  limits: {{connections: 1/h}}\n"


def policies(lab, **changed: str) -> dict[str, str]:
    texts = {f"{name}.yaml": HEAD.format(name=name, path=lab.containers[name].path) + changed.get(name, spec) for name, spec in SPECS.items()}
    return texts | {"shared.yaml": HEAD.format(name="shared", path=lab.path("shared-*")) + SHARED}


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in (*SPECS, "shared-a", "shared-b")}
    for container in made.values():
        container.watch_cable()
    lab.daemon.start(policies(lab))
    return made


def load(lab, **changed: str) -> None:
    lab.daemon.write(policies(lab, **changed))
    lab.daemon.reload()


# ---- rates ----

@pytest.mark.covers(hook="egress", rule="rate", family="v4", protocol="udp")
def test_egress_octets_are_the_rate_and_the_burst_and_never_more(lab, world, watch):
    """Over its rate UDP is dropped, and told nothing it did not ask for."""
    container, rate, burst = world["rate"], 1_000_000, 144 * 1024  # the least burst: 100 ms are less
    with watch(container) as seen:
        flood = container.probe("datagrams", address=ONE, port=PORT, octets=PACKET, seconds=2, pause_s=0.0001)
    sent = flood["outcomes"].pop("sent")
    assert not flood["outcomes"], flood
    until(lambda: seen.grown(direction="egress") >= sent, 5, "all counted")
    packets, octets = left(container, seen.grown(direction="egress", verdict="allow"), destination=ONE, port=PORT)
    allowed = rate * flood["seconds"] + burst
    print(f"egress: {octets} of {sent * PACKET} octets in {flood['seconds']:.3f} s; {octets / allowed:.4f} of what is allowed")
    assert sent * PACKET > 1.5 * allowed, "the flood was no flood"
    assert 0.97 * allowed <= octets <= allowed, (octets, allowed)
    seen.counted(packets, direction="egress", verdict="allow", reason="cidr")
    seen.counted(sent - packets, direction="egress", verdict="deny", reason="egress-rate")
    assert octets_of(lab, container, direction="egress", verdict="allow", reason="cidr") == octets
    seen.reported(kind="denied", reason="egress-rate", hook="egress", remote=ONE)


def test_packets_are_the_rate_and_the_burst(world, watch):
    container = world["packets"]
    with watch(container) as seen:
        flood = container.probe("datagrams", address=ONE, port=PORT, octets=100, seconds=2, pause_s=0.0001)
    sent = flood["outcomes"]["sent"]
    until(lambda: seen.grown(direction="egress") >= sent, 5, "all counted")
    packets, _ = left(container, seen.grown(direction="egress", verdict="allow"), destination=ONE, port=PORT)
    allowed = 500 * flood["seconds"] + 100
    assert sent > 1.5 * allowed and 0.97 * allowed - 1 <= packets <= allowed, (packets, allowed)
    seen.counted(sent - packets, direction="egress", verdict="deny", reason="packet-rate")


@pytest.mark.covers(hook="ingress", rule="rate", family="v4", protocol="udp")
def test_ingress_octets_are_the_burst_and_no_more(world, watch):
    container = world["ingress"]
    with watch(container) as seen:
        outcomes = container.probe("echoes", address=ONE, port=9000, octets=PACKET, count=150)["outcomes"]
        assert outcomes == [None] * 143 + ["unanswered"] * 7, outcomes
        seen.counted(7, direction="ingress", verdict="deny", reason="ingress-rate")
        seen.counted(143, direction="ingress", verdict="allow", reason="inbound")
    assert left(container, 150, destination=ONE, port=9000)[0] == 150


# ---- quotas ----

@pytest.mark.covers(hook="egress", rule="quota", family="v4", protocol="udp")
@pytest.mark.covers(hook="connect", rule="quota", family="v4", protocol="tcp")
def test_a_quota_passes_its_octets_and_not_a_packet_more(world, watch):
    container = world["quota"]
    with watch(container) as seen:
        outcomes = spend(container, 150)
        assert outcomes == {"sent": 97, "EPERM": 53}, outcomes
        seen.counted(53, direction="egress", verdict="deny", reason="quota")
        seen.reported(kind="denied", reason="quota", remote=ONE)
    rest = 100_000 - 97 * PACKET
    assert spend(container, 1, rest + 1) == {"EPERM": 1}
    assert spend(container, 1, rest) == {"sent": 1}, "the last octets are there to be spent"
    assert spend(container, 3, 28) == {"EPERM": 3}
    assert left(container, 98, destination=ONE, port=PORT) == (98, 100_000)
    got = container.probe("connect", address=ONE, port=80)
    assert got["error"] == "EPERM" and got["us"] < 100_000, f"at once, not by a timeout: {got}"


@pytest.mark.covers(hook="egress", rule="quota", family="v6", protocol="udp")
def test_a_quota_over_ipv6(world, watch):
    container = world["v6"]
    with watch(container) as seen:
        assert spend(container, 12, address=ONE6) == {"sent": 10, "EPERM": 2}
        seen.counted(2, direction="egress", verdict="deny", reason="quota")
    assert left(container, 10, destination=ONE6, port=PORT) == (10, 10 * PACKET)


@pytest.mark.parametrize("name", ["both-ways", "rule-both-ways"])
@pytest.mark.covers(hook="ingress", rule="quota", family="v4", protocol="udp")
def test_a_quota_of_both_directions_counts_answers(lab, world, watch, name):
    """The web server's echo: half of it is what we sent. The last question passes, its answer does not."""
    container = world[name]
    with watch(container) as seen:
        outcomes = container.probe("echoes", address=ONE, port=9000, octets=PACKET, count=60)["outcomes"]
        assert outcomes == [None] * 48 + ["unanswered"] + ["EPERM"] * 11, outcomes
        seen.counted(1, direction="ingress", verdict="deny", reason="quota")
        seen.counted(11, direction="egress", verdict="deny", reason="quota")
    out = octets_of(lab, container, direction="egress", verdict="allow", reason="cidr")
    came = octets_of(lab, container, direction="ingress", verdict="allow", reason="inbound")
    assert out == left(container, 49, destination=ONE, port=9000)[1]
    assert 100_000 - 1028 < out + came <= 100_000, (out, came)


def test_audit_counts_what_a_limit_would_deny_and_lets_it_pass(world, watch):
    container = world["audited"]
    with watch(container) as seen:
        assert spend(container, 15) == {"sent": 15}
        seen.counted(5, direction="egress", verdict="would-deny", reason="quota")
    assert left(container, 15, destination=ONE, port=PORT) == (15, 15 * PACKET)


# ---- connections and queries ----

@pytest.mark.covers(hook="connect", rule="connections", family="v4", protocol="tcp")
def test_a_connection_over_its_rate_is_refused_at_connect(world, watch):
    container = world["connections"]
    with watch(container) as seen:
        got = container.probe("connections", address=ONE, port=80, count=6)
        assert got["outcomes"] == [None] * 3 + ["EPERM"] * 3, got
        assert got["slowest_refusal_us"] < 100_000, "at once"
        seen.counted(3, direction="egress", verdict="deny", reason="connection-rate")
        seen.reported(kind="denied", hook="connect", reason="connection-rate", remote=ONE)
    assert left(container, 3 * 2, destination=ONE, port=80)[0] <= 3 * 4, "a SYN and an ACK each, and its end"


@pytest.mark.covers(hook="egress", rule="queries", family="v4", protocol="udp")
@pytest.mark.parametrize("name", ["queries", "rule-queries"])
def test_a_query_over_its_rate_is_refused_at_send(world, watch, name):
    container = world[name]
    with watch(container) as seen:
        got = container.probe("questions", server=DNSMASQ, name="good.test", count=6)
        assert got["outcomes"] == [None] * 3 + ["EPERM"] * 3, got
        seen.counted(3, direction="egress", verdict="deny", reason="query-rate")
        seen.reported(kind="denied", reason="query-rate")
    assert left(container, 3, destination=DNSMASQ, port=53)[0] == 3
    if name == "rule-queries":
        assert container.probe("questions", server=DNSMASQ, name="new.good.test", count=5)["outcomes"] == [None] * 5, "another rule's"


# ---- whose ----

def test_a_rule_does_not_spend_anothers(world):
    container = world["rules"]
    assert spend(container, 15) == {"sent": 10, "EPERM": 5}
    assert spend(container, 30, address=TWO) == {"sent": 30}
    assert spend(container, 5) == {"EPERM": 5}
    assert left(container, 10, destination=ONE, port=PORT) == (10, 10 * PACKET)


def test_containers_of_one_policy_do_not_share(world):
    for name in ("shared-a", "shared-b"):
        container = world[name]
        assert spend(container, 15) == {"sent": 10, "EPERM": 5}, name
        assert left(container, 10, destination=ONE, port=PORT) == (10, 10 * PACKET)


def test_loopback_is_not_charged(world, watch):
    container = world["loopback"]
    with watch(container) as seen:
        for address in ("127.0.0.1", "::1"):
            assert container.probe("datagrams", address=address, port=PORT, octets=PACKET, count=200)["outcomes"] == {"sent": 200}
    assert seen.grown(verdict="deny") == 0
    assert spend(container, 1) == {"sent": 1}, "nothing was spent"


# ---- for how long ----

def test_a_change_of_policy_keeps_what_was_spent(lab, world):
    container, spec = world["changed"], SPECS["changed"]
    assert spend(container, 12) == {"sent": 10, "EPERM": 2}
    try:
        load(lab, changed=spec.replace("10280B", "15420B"))
        assert spend(container, 12) == {"sent": 5, "EPERM": 7}, "five more were granted, ten were spent"
        load(lab, changed=spec.replace("10280B", "5140B"))
        assert spend(container, 2) == {"EPERM": 2}
        load(lab, changed=spec.replace(", limits: {quota: 10280B/24h egress}", ""))
        assert spend(container, 20) == {"sent": 20}, "without a quota"
        load(lab, changed=spec)
        assert spend(container, 2) == {"EPERM": 2}
    finally:
        load(lab)
    assert left(container, 35, destination=ONE, port=PORT) == (35, 35 * PACKET)


def test_what_was_spent_outlives_the_daemon(lab, world):
    container = world["killed"]
    assert spend(container, 10) == {"sent": 10}
    lab.daemon.kill9()
    assert spend(container, 5) == {"sent": 5}
    lab.daemon.start()
    assert spend(container, 10) == {"sent": 5, "EPERM": 5}
    lab.daemon.kill9()
    assert spend(container, 5) == {"EPERM": 5}
    lab.daemon.start()
    assert spend(container, 5) == {"EPERM": 5}
    assert left(container, 20, destination=ONE, port=PORT) == (20, 20 * PACKET)
