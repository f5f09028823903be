# SPDX-License-Identifier: Apache-2.0
"""Each kind of limit on rules of each kind (addresses, a name, a wildcard) in both address families: a rule's budget is spent to the octet
and is nobody else's. Every rule of the one policy has its own small budget, and two containers have the policy. And questions, by family
and protocol.

Red when a limit does not hold what was learned by name or IPv6, when what comes is not charged to the rule that let the question out, or
when a rule spends what is another's or another container's.
"""
import itertools
from dataclasses import dataclass

import pytest

import dns
from internet import DNSMASQ, DNSMASQ6, ODD
from limits import HEAD, PACKET, left, syns
from observe import until
from outside import AT_ONCE_US

SILENT, ECHO = 9001, 9000  # nothing listens at the first: no answers to be counted


@dataclass
class Case:
    """`op` of the probe and its arguments, its outcomes, the packets (TCP: SYNs) that come out of the cable, the reason of the denials, how
    many of them (egress, ingress), the hook that tells of them, and what one more attempt sees at once."""
    limits: str
    op: str
    arguments: dict
    outcomes: dict | list
    out: int
    reason: str
    denied: tuple[int, int]
    hook: str = "egress"
    error: str | None = None
    protocol: str = "udp"


SENT, ASKED = dict(port=SILENT, octets=PACKET), dict(port=ECHO, octets=PACKET, timeout=0.2)
CASES = {
    # 144KiB, the least burst, are 143 packets
    "egress": Case("egress: 100B/h", "datagrams", SENT | {"count": 146}, {"sent": 146}, 143, "egress-rate", (3, 0)),
    "ingress": Case("ingress: 100B/h", "echoes", ASKED | {"count": 145}, [None] * 143 + ["unanswered"] * 2, 145, "ingress-rate", (0, 2),
                    "ingress"),
    # out and in: 32 echoes, a question whose answer is the 66th packet, and one more question
    "packets": Case("packets: 1/h burst 65", "echoes", ASKED | {"count": 34}, [None] * 32 + ["unanswered"] * 2, 33, "packet-rate", (1, 1)),
    "quota": Case("quota: 10280B/24h egress", "datagrams", SENT | {"count": 12}, {"sent": 10, "EPERM": 2}, 10, "quota", (2, 0),
                  error="EPERM"),
    "answers": Case("quota: 10280B/24h ingress", "echoes", ASKED | {"count": 12}, [None] * 10 + ["unanswered"] * 2, 12, "quota", (0, 2),
                    "ingress"),
    "both-ways": Case("quota: 11308B/24h", "echoes", ASKED | {"count": 8}, [None] * 5 + ["unanswered"] + ["EPERM"] * 2, 6, "quota", (2, 1),
                      error="EPERM"),
    "connections": Case("connections: 1/h burst 3", "connections", dict(port=80, count=5), [None] * 3 + ["EPERM"] * 2, 3, "connection-rate",
                        (2, 0), "connect", "EPERM", "tcp"),
    "conversations": Case("connections: 1/h burst 3", "scattered", dict(first=4000, count=5, octets=PACKET), {"sent": 3, "EPERM": 2}, 3,
                          "connection-rate", (2, 0), error="EPERM"),
}
WAYS, FAMILIES = {"cidr": "cidr", "name": "learned", "wildcard": "learned"}, ("v4", "v6")  # kind of rule: reason of what it allows
RULES = {f"{kind}-{way}-{family}": (kind, way, 100 + n) for n, (kind, way, family) in enumerate(itertools.product(CASES, WAYS, FAMILIES))}
MAPPED = "connections-mapped", "198.51.100.90"
PORTS = f"ports: [tcp/80, udp/{ECHO}-{SILENT}, udp/9500-9999]"


def name_of(rule: str) -> str:
    """ODD answers to it with the addresses of the rule."""
    return f"plain.198-51-100-{RULES[rule][2]}.{rule}.odd.test"


def address_of(rule: str, family: str) -> str:
    return f"198.51.100.{RULES[rule][2]}" if family == "v4" else f"2001:db8:80::{RULES[rule][2]:x}"


def text_of(rule: str) -> str:
    kind, way, _ = RULES[rule]
    what = {"cidr": f"cidrs: [{address_of(rule, 'v4')}, '{address_of(rule, 'v6')}']", "name": f"domains: [{name_of(rule)}]",
            "wildcard": f"domains: ['*.{rule}.odd.test']"}[way]
    return f"    - {{name: {rule}, {what}, {PORTS}, limits: {{{CASES[kind].limits}}}}}\n"


def policies(lab) -> dict[str, str]:
    head = HEAD.format(name="of-rules", path=lab.path("of-rules-*")) + f"  dns: {{resolvers: [{ODD}], search: []}}\n  allow:\n"
    mapped = "    - {{name: {}, cidrs: [{}], ports: [tcp/80], limits: {{connections: 1/h burst 3}}}}\n".format(*MAPPED)
    return {"of-rules.yaml": head + "".join(map(text_of, RULES)) + mapped}


@pytest.fixture(scope="module")
def world(lab):
    made = [lab.container(name) for name in ("of-rules-a", "of-rules-b")]
    for container in made:
        container.watch_cable()
    lab.daemon.start(policies(lab))
    return made


def cases() -> list:
    """A parameter for each rule, with markers of what its denials cover."""
    found = []
    for rule, (kind, _, _) in RULES.items():
        case, family = CASES[kind], rule.rpartition("-")[2]
        kinds = {"egress-rate": "rate", "ingress-rate": "rate", "packet-rate": "rate", "connection-rate": "connections"}
        hooks = [hook for hook, count in zip((case.hook if case.hook == "connect" else "egress", "ingress"), case.denied) if count]
        found.append(pytest.param(rule, id=rule, marks=[pytest.mark.covers(
            hook=" ".join(hooks), rule=kinds.get(case.reason, case.reason), family=family, protocol=case.protocol)]))
    return found


def try_once(container, case: Case, address: str) -> dict:
    if case.protocol == "tcp":
        return container.probe("connect", address=address, port=80)
    return container.probe("udp", address=address, port=case.arguments.get("port", SILENT), octets=PACKET, timeout=0.2)


@pytest.mark.parametrize("rule", cases())
def test_a_rule_spends_its_own(world, watch, rule):
    """All of the budget is there whatever the other rules and the other container have spent; then nothing is, for the rule's address of
    the other family neither."""
    case, family = CASES[RULES[rule][0]], rule.rpartition("-")[2]
    other = "v6" if family == "v4" else "v4"
    for container in world:
        if RULES[rule][1] != "cidr":
            for kind in (dns.A, dns.AAAA):
                assert container.probe("query", server=ODD, name=name_of(rule), type=kind)["addresses"], "learned"
        spend(container, watch, case, rule, address_of(rule, family))
        with watch(container) as seen:
            got = try_once(container, case, address_of(rule, other))
            assert got["error"] == case.error and got["us"] < AT_ONCE_US and not got.get("answered"), got
            seen.counted(direction="ingress" if case.hook == "ingress" else "egress", verdict="deny", reason=case.reason, rule=rule)
        if case.hook == "ingress":
            assert left(container, 1, destination=address_of(rule, other))[0] == 1
        else:
            assert container.arrived_sum(destination=address_of(rule, other))["count"] == 0
        if case.op == "scattered":
            again = container.probe(case.op, address=address_of(rule, family), **case.arguments)
            assert again["outcomes"] == case.outcomes, "what is open goes on"


def spend(container, watch, case: Case, rule: str, address: str) -> None:
    with watch(container) as seen:
        got = container.probe(case.op, address=address, **case.arguments)
        assert got["outcomes"] == case.outcomes, got
        assert got.get("slowest_refusal_us", 0) < AT_ONCE_US, got
        for direction, count in zip(("egress", "ingress"), case.denied):
            seen.counted(count, direction=direction, verdict="deny", reason=case.reason, rule=rule)
        event = seen.reported(kind="denied", hook=case.hook, reason=case.reason, remote=address)
        assert event["rule"].endswith(rule), event
    allowed = WAYS[RULES[rule][1]]
    assert seen.grown(verdict="deny") == sum(case.denied), "for no other reason"
    if case.protocol == "tcp":
        assert seen.grown(direction="egress", verdict="allow", reason=allowed, rule=rule) >= case.out * 2, "a SYN and an ACK each"
        assert syns(container, address, case.out) == case.out
    else:
        assert left(container, case.out, destination=address) == (case.out, case.out * PACKET)
        seen.counted(case.out, direction="egress", verdict="allow", reason=allowed, rule=rule)


@pytest.mark.covers(hook="connect", rule="connections", family="mapped", protocol="tcp")
def test_connections_of_a_v6_socket_to_a_v4_address(world, watch):
    container, (rule, address) = world[0], MAPPED
    with watch(container) as seen:
        got = container.probe("connections", address=f"::ffff:{address}", port=80, count=5)
        assert got["outcomes"] == [None] * 3 + ["EPERM"] * 2 and got["slowest_refusal_us"] < AT_ONCE_US, got
        seen.counted(2, direction="egress", verdict="deny", reason="connection-rate", rule=rule)
        seen.reported(kind="denied", hook="connect", reason="connection-rate", remote=address)
    assert syns(container, address, 3) == 3


# ---- questions ----

ASKERS = {f"ask-{family}-{protocol}": (family, protocol) for family in FAMILIES for protocol in ("udp", "tcp")}


@pytest.fixture(scope="module")
def askers(lab, world):
    made = {name: lab.container(name) for name in ASKERS}
    for container in made.values():
        container.watch_cable()
    text = (f"  dns: {{resolvers: [{DNSMASQ}, '{DNSMASQ6}'], search: []}}\n"
            "  allow: [{domains: [good.test], limits: {queries: 1/h burst 3}}]\n")
    lab.daemon.write(policies(lab) | {"ask.yaml": HEAD.format(name="ask", path=lab.path("ask-*")) + text})
    lab.daemon.reload()
    return made


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.covers(hook="egress", rule="queries", family=family, protocol=protocol))
    for name, (family, protocol) in ASKERS.items()])
def test_questions_over_their_rate(askers, watch, name):
    """Over UDP the send fails; over TCP the connection gives itself up, which is sooner than glibc would."""
    container, (family, protocol) = askers[name], ASKERS[name]
    server = DNSMASQ if family == "v4" else DNSMASQ6
    question = dns.query(1, "good.test")
    framed = (len(question).to_bytes(2, "big") + question).hex()
    with watch(container) as seen:
        if protocol == "udp":
            assert container.probe("questions", server=server, name="good.test", count=4)["outcomes"] == [None] * 3 + ["EPERM"]
            seen.counted(1, direction="egress", verdict="deny", reason="query-rate")
        else:
            for _ in range(3):
                assert container.probe("query_tcp", server=server, segments=[framed])["addresses"], "answered"
            assert container.probe("query_tcp", server=server, segments=[framed], timeout=6)["error"] == "ETIMEDOUT"
            until(lambda: seen.grown(direction="egress", verdict="deny", reason="query-rate") >= 1, 5, "denied")
        seen.reported(kind="denied", hook="egress", reason="query-rate", remote=server, name="good.test", protocol=protocol)
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == 3
    until(lambda: len(container.arrived(contains=question[2:].hex(), destination=server)) >= 3, 5, "at the cable")
    assert len(container.arrived(contains=question[2:].hex(), destination=server)) == 3
