# SPDX-License-Identifier: Apache-2.0
"""Rules about addresses, one kind after the other: at each hook, for each address family and protocol, what a rule opens and what it
does not. Errno and time, counter, reason and hook of each case; tests/check/case_coverage.py knows which cases there must be.

The early hooks judge the caller; so that a packet hook's own verdict is seen, the container's socket is used by a process outside.
"""
import secrets
import socket

import pytest

import dns
from internet import ODD
from observe import learned, until
from outside import AT_ONCE_US, FAMILY, PING, fence, send_from_outside

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: matrix}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{odd}], search: []}}
  allow:
    - {{name: open, cidrs: [198.51.100.0/26, "2001:db8:80::a:0/112"], ports: [tcp/80, udp/9000, icmp]}}
    - {{name: range, cidrs: [198.51.100.64/28, "2001:db8:80::b:0/112"], ports: [tcp/400-450, udp/400-450]}}
    - {{name: every, cidrs: [198.51.100.80/28, "2001:db8:80::c:0/112"]}}
    - {{name: named, domains: ["*.odd.test"], ports: [tcp/80, udp/9000, icmp]}}
  deny:
    - {{name: hole, cidrs: [198.51.100.32/28, "2001:db8:80::a:8000/113"]}}
    - {{name: never, domains: ["*.bad.odd.test"], ports: [tcp/80, udp/9000, icmp]}}
"""
PORTS = {"tcp": 80, "udp": 9000, "icmp": 0}
# rule kind: first v4 octet, first v6 address, reason, rule, verdict
KINDS = {
    "default-deny": (96, "d:0", "no-rule", "", "deny"),
    "allow-cidr": (1, "a:0", "cidr", "open", "allow"),
    "deny-cidr": (32, "a:8000", "deny-rule", "hole", "deny"),
    "allow-domain": (128, "", "learned", "named", "allow"),
    "deny-domain": (192, "", "deny-rule", "never", "deny"),
}
FAMILIES = ("v4", "v6", "mapped")
EARLY = {"tcp": ("connect", "tcp"), "udp": ("sendmsg", "udp_sendto")}  # protocol: hook, way of ways_out.py


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("matrix")
    made.netns.sysctl("net.ipv4.ping_group_range", PING)
    lab.daemon.start({"matrix.yaml": POLICY.format(path=made.path, odd=ODD)})
    made.watch_cable()
    return made


USED: dict[tuple, int] = {}


def fresh(first: int, prefix: str, family: str) -> str:
    """An address of the kind's own that no other case has."""
    number = USED[first] = USED.get(first, 0) + 1
    if family == "v6":
        group, _, host = prefix.rpartition(":")
        return f"2001:db8:80::{group + ':' if group else ''}{int(host or str(first), 16) + number if host else first + number:x}"
    return ("::ffff:" if family == "mapped" else "") + f"198.51.100.{first + number}"


def an_address(lab, container, kind: str, family: str) -> str:
    """Where a rule of the kind decides; learned, if it is about names."""
    first, prefix, *_ = KINDS[kind]
    address = fresh(first, prefix, family)
    if kind.endswith("domain"):
        bare = address.removeprefix("::ffff:")
        octet = int(bare.rpartition(":")[2], 16) if family == "v6" else int(bare.rpartition(".")[2])
        name = f"plain.198-51-100-{octet}.{'bad.' if kind == 'deny-domain' else ''}odd.test"
        assert container.probe("query", server=ODD, name=name, type=dns.AAAA if family == "v6" else dns.A)["addresses"] == [bare]
        assert bare in learned(lab.daemon, container.path)
    return address


def cases(protocols: dict[str, tuple], kinds, hook: str = "") -> list:
    """A parameter (kind, family, protocol) for each of the product, each with its marker."""
    return [pytest.param(kind, family, protocol, id=f"{kind}-{protocol}-{family}",
                         marks=pytest.mark.covers(hook=hook or EARLY[protocol][0], rule=kind, family=family, protocol=protocol))
            for kind in kinds for protocol, families in protocols.items() for family in families]


def denied_at(seen, hook: str, reason: str, rule: str, address: str, at_least: bool = False) -> None:
    """Counted once (a SYN may go again), by this reason and rule, and told as seen by this hook."""
    until(lambda: seen.grown(direction="egress", verdict="deny", reason=reason) >= 1, 5, f"denied as {reason}")
    count = seen.grown(direction="egress", verdict="deny")
    assert count == seen.grown(direction="egress", verdict="deny", reason=reason), "no other reason"
    assert count == 1 or at_least, count
    event = seen.reported(kind="denied", hook=hook, reason=reason, remote=address.removeprefix("::ffff:"))
    assert event["rule"].endswith(rule), event


@pytest.mark.parametrize("kind, family, protocol", cases({"tcp": FAMILIES, "udp": FAMILIES, "icmp": ("v4", "v6")}, KINDS, "egress"))
def test_the_packet_hook_judges_by_address(lab, container, watch, kind, family, protocol):
    *_, reason, rule, verdict = KINDS[kind]
    address, mark = an_address(lab, container, kind, family), secrets.token_hex(16)
    with watch(container) as seen:
        error, us = send_from_outside(container, lab.directory, family, protocol, address, PORTS[protocol], mark)
        if verdict == "deny":
            silent = (protocol, family) == ("icmp", "v6")  # the kernel tells nobody
            assert error == ("EINPROGRESS" if protocol == "tcp" else None if silent else "EPERM") and us < AT_ONCE_US, (error, us)
            denied_at(seen, "egress", reason, rule, address, at_least=protocol == "tcp")
    if verdict == "allow":
        assert error is None
        until(lambda: container.arrived(contains=mark), 5, "it left")
        assert seen.grown(direction="egress", verdict="allow", reason=reason, rule=rule) >= 1 and seen.grown(verdict="deny") == 0
    else:
        fence(container)
        assert not container.arrived(destination=address.removeprefix("::ffff:"))


@pytest.mark.parametrize("kind, family, protocol", cases({"tcp": FAMILIES, "udp": FAMILIES}, KINDS))
def test_the_early_hooks_judge_by_address(lab, container, watch, kind, family, protocol):
    *_, reason, rule, verdict = KINDS[kind]
    (hook, way), address, mark = EARLY[protocol], an_address(lab, container, kind, family), secrets.token_hex(16)
    with watch(container) as seen:
        got = container.probe("way", name=way, address=address, port=PORTS[protocol], mark=mark)
    if verdict == "allow":
        assert got["error"] is None, got
        until(lambda: container.arrived(contains=mark), 5, "it left")
        assert seen.grown(direction="egress", verdict="allow", reason=reason, rule=rule) >= 1 and seen.grown(verdict="deny") == 0
    else:
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
        denied_at(seen, hook, reason, rule, address)


# rule: first v4 octet, first v6 address, ports that it opens, ports that it does not
BY_PORT = {
    "port-range": (64, "b:0", "range", {"tcp": [443], "udp": [443]}, {"tcp": [80, 399, 451, 8080], "udp": [399, 451, 9000]}),
    "any-port": (80, "c:0", "every", {"tcp": [80, 443, 8080], "udp": [443, 9000]}, {"tcp": [], "udp": []}),
}


@pytest.mark.parametrize("kind, family, protocol", cases({"tcp": FAMILIES, "udp": FAMILIES}, BY_PORT, "egress"))
def test_the_packet_hook_judges_by_port(lab, container, watch, kind, family, protocol):
    first, prefix, rule, opened, closed = BY_PORT[kind]
    address = fresh(first, prefix, family)
    for port in opened[protocol]:
        mark = secrets.token_hex(16)
        with watch(container) as seen:
            assert send_from_outside(container, lab.directory, family, protocol, address, port, mark)[0] is None
        until(lambda: container.arrived(contains=mark), 5, "it left")
        assert seen.grown(direction="egress", verdict="allow", reason="cidr", rule=rule) >= 1 and seen.grown(verdict="deny") == 0
    for port in closed[protocol]:
        with watch(container) as seen:
            error, us = send_from_outside(container, lab.directory, family, protocol, address, port, "55")
            assert error == ("EINPROGRESS" if protocol == "tcp" else "EPERM") and us < AT_ONCE_US, (error, us)
            denied_at(seen, "egress", "no-rule", "", address, at_least=protocol == "tcp")
        assert not container.arrived(destination=address.removeprefix("::ffff:"), port=port)


@pytest.mark.parametrize("kind, family, protocol", cases({"tcp": FAMILIES, "udp": FAMILIES}, BY_PORT))
def test_the_early_hooks_judge_by_port(lab, container, watch, kind, family, protocol):
    (hook, way), (first, prefix, rule, opened, closed) = EARLY[protocol], BY_PORT[kind]
    address = fresh(first, prefix, family)
    for port in opened[protocol]:
        with watch(container) as seen:
            assert container.probe("way", name=way, address=address, port=port, mark="55")["error"] is None
        assert seen.grown(direction="egress", verdict="allow", reason="cidr", rule=rule) >= 1 and seen.grown(verdict="deny") == 0
    for port in closed[protocol]:
        with watch(container) as seen:
            got = container.probe("way", name=way, address=address, port=port, mark="55")
            assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
            denied_at(seen, hook, "no-rule", "", address)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_any_port_is_no_icmp(lab, container, watch, family):
    address = fresh(*BY_PORT["any-port"][:2], family)
    with watch(container) as seen:
        send_from_outside(container, lab.directory, family, "icmp", address, 0, "55")
        denied_at(seen, "egress", "no-rule", "", address)


def test_families_are_named_as_the_kernel_has_them():
    assert FAMILY == {"v4": socket.AF_INET, "v6": socket.AF_INET6, "mapped": socket.AF_INET6}
