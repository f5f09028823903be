# SPDX-License-Identifier: Apache-2.0
"""Containers and modes: audit, inbound, loopback, ICMP, ports; new and gone containers; strict roots, daemon alive or not."""
import pytest

from internet import DNSMASQ, ODD
from observe import Counters, events, learned, until

HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
"""
AUDIT = HEAD + "  mode: audit\n  allow: [{{name: good, domains: [\"*.odd.test\"], ports: [tcp/80]}}]\n"
CLOSED = HEAD + "  inbound: deny\n  loopback: deny\n  allow: [{{name: ports, cidrs: [198.51.100.0/24], ports: [tcp/80, tcp/443, udp/9000, icmp]}}]\n"
CLIENT = HEAD + "  allow: [{{name: inside, cidrs: [10.88.0.0/16, \"fd88::/16\"], ports: [tcp/8000]}}]\n"
LATE = HEAD + "  allow: [{{name: good, domains: [good.test], ports: [tcp/80]}}]\n"


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in ("audited", "closed", "client")}
    lab.cgroups.make("gate", "strict")
    files = {f"{name}.yaml": text.format(name=name, path=made[name].path, resolver=ODD)
             for name, text in (("audited", AUDIT), ("closed", CLOSED), ("client", CLIENT))}
    files["late.yaml"] = LATE.format(name="late", path=lab.path("late-*"), resolver=DNSMASQ)
    lab.daemon.start(files, "--strict-root", lab.path("strict"))
    return made


def test_audit_lets_pass_and_counts_what_it_would_deny(world, watch):
    audited = world["audited"]
    with watch(audited) as seen:
        assert audited.probe("connect", address="198.51.100.32", port=80)["error"] is None
        assert audited.probe("query", server=ODD, name="evil.test")["addresses"]
    assert seen.grown(direction="egress", verdict="would-deny", reason="no-rule") >= 1
    seen.counted(direction="egress", verdict="would-deny", reason="name-not-allowed")
    assert seen.grown(verdict="deny") == 0
    seen.reported(verdict="would-deny", reason="name-not-allowed", name="evil.test")
    assert audited.probe("make_socket", family=2, type=3, protocol=1)["error"] is None, "a raw socket, watched"


def test_audit_allows_and_learns_as_enforce_does(lab, world, watch):
    audited = world["audited"]
    with watch(audited) as seen:
        audited.probe("query", server=ODD, name="plain.198-51-100-70.odd.test")
        assert audited.probe("connect", address="198.51.100.70", port=80)["error"] is None
    assert seen.grown(verdict="would-deny") == 0
    assert "198.51.100.70" in learned(lab.daemon, audited.path)


def test_ports_of_a_cidr(world, watch):
    closed = world["closed"]
    for op, port, ok in (("connect", 80, True), ("connect", 443, True), ("connect", 8080, False), ("udp", 9000, True), ("udp", 443, False)):
        with watch(closed) as seen:
            got = closed.probe(op, address="198.51.100.9", port=port)
        assert got["error"] == (None if ok else "EPERM"), (op, port, got)
        if not ok:
            seen.counted(direction="egress", verdict="deny", reason="no-rule")


def test_icmp_where_a_rule_names_it(world, watch):
    closed = world["closed"]
    closed.run("sh", "-c", "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")
    with watch(closed) as seen:
        got = closed.probe("send_on", type=2, protocol=1, address="198.51.100.9", port=0, payload="0800000000010001")
    assert got["error"] is None, got
    seen.counted(direction="egress", verdict="allow", reason="cidr", rule="ports")


def test_inbound_deny_refuses_what_others_open(world, watch):
    closed, client = world["closed"], world["client"]
    closed.probe("listen", port=8000)
    with watch(closed) as seen:
        got = client.probe("connect", address=closed.v4, port=8000, timeout=0.5)
    assert got["error"] == "timeout", got
    assert seen.grown(direction="ingress", verdict="deny", reason="inbound-denied") >= 1
    seen.reported(hook="ingress", reason="inbound-denied")


def test_inbound_allow_answers_what_others_open(world, watch):
    """The answer needs no rule of its own, v4 and v6."""
    audited, client = world["audited"], world["client"]
    client.probe("listen", port=8000)
    with watch(client) as seen:
        for address in (client.v4, client.v6):
            got = audited.probe("http", address=address, port=8000)
            assert got["error"] is None and got["octets"] == 7, got
    assert seen.grown(direction="egress", verdict="allow", reason="reply") >= 4
    assert client.probe("connect", address=audited.v4, port=80)["error"] == "EPERM", "a reply right is no right to open"


def test_loopback_deny(world, watch):
    closed, client = world["closed"], world["client"]
    with watch(closed) as seen:
        for address in ("127.0.0.1", "::1"):
            assert closed.probe("connect", address=address, port=9)["error"] == "EPERM"
    seen.counted(2, direction="egress", verdict="deny", reason="loopback-denied")
    assert client.probe("connect", address="127.0.0.1", port=9)["error"] == "ECONNREFUSED", "allowed by default"


def test_a_new_container_is_bound_while_the_daemon_runs(lab, world):
    late = lab.container("late-1", resolvers=(DNSMASQ,))
    until(lambda: any(c["cgroup"] == late.path and c["policies"] == ["late"] for c in lab.daemon.get("/v1/containers")["containers"]),
          5, "the new container is bound to its policy")
    assert late.probe("resolve", name="good.test")["addresses"] == ["198.51.100.13"]
    assert late.probe("connect", address="198.51.100.13", port=80)["error"] is None
    assert late.probe("connect", address="198.51.100.32", port=80)["error"] == "EPERM"


def test_a_nested_cgroup_belongs_to_its_container(lab, world):
    nested = lab.container("nested", "late-2")
    outer = lab.path("late-2")
    until(lambda: any(c["cgroup"] == outer and c["policies"] == ["late"] for c in lab.daemon.get("/v1/containers")["containers"]), 5, "bound")
    before = Counters(lab.daemon, outer)
    assert nested.probe("connect", address="198.51.100.32", port=80)["error"] == "EPERM"
    assert Counters(lab.daemon, outer).of(verdict="deny", reason="no-rule") - before.of(verdict="deny", reason="no-rule") == 1


@pytest.mark.parametrize("alive", [True, False])
def test_under_a_strict_root_nothing_passes_from_birth(lab, world, alive):
    """The row is in the kernel when mkdir returns: with the daemon dead too."""
    if not alive:
        lab.daemon.kill9()
    born = lab.container(f"born-{alive}", "strict", resolvers=(DNSMASQ,))
    got = born.probe("connect", address="198.51.100.13", port=80)
    asked = born.probe("query", server=DNSMASQ, name="good.test")
    if not alive:
        lab.daemon.start(None, "--strict-root", lab.path("strict"))
    assert (got["error"], asked["error"]) == ("EPERM", "EPERM"), (got, asked)
    until(lambda: Counters(lab.daemon, born.path).of(verdict="deny", reason="birth") >= 1 or events(lab.daemon, born.path, reason="birth"),
          5, f"counted as birth: {Counters(lab.daemon, born.path).rows}")


@pytest.mark.covers(hook="death", rule="row", family="none", protocol="other")
def test_a_container_that_is_gone_leaves_its_counts(lab, world):
    gone = lab.container("late-3", resolvers=(DNSMASQ,))
    until(lambda: any(c["cgroup"] == gone.path for c in lab.daemon.get("/v1/containers")["containers"]), 5, "known")
    gone.probe("connect", address="198.51.100.32", port=80)
    gone.close()
    lab.cgroups.remove(gone.cgroup)
    until(lambda: all(c["cgroup"] != gone.path for c in lab.daemon.get("/v1/containers")["containers"] if c["state"] == "running"),
          5, "gone from the list of the living")
    until(lambda: [row for row in lab.daemon.get("/v1/counters")["counters"]
                   if row["verdict"] == "deny" and row["container"] in ("", gone.path)], 10, "its denial is kept")


def test_what_is_not_a_container_passes(lab, world):
    outside = lab.cgroups.make("gate", "plain")
    made = lab.container("plain-host", resolvers=(DNSMASQ,))
    assert outside.exists() and made.probe("connect", address="198.51.100.32", port=80)["error"] is None
