# SPDX-License-Identifier: Apache-2.0
"""Paths out by the network's own means, with Docker's capabilities: network namespaces of its own (an unprivileged user namespace gives
NET_ADMIN in those), where the container is the resolver and every peer; and loopback addresses sent out by the cable.

Red when what is learned, asked or answered is not keyed by its network namespace (bpf/abi.h: ps_address_key, ps_query_key,
ps_udp_peer_key), when a TCP reply is allowed before its source address is looked at (bpf/lib/verdict.h), or when gate__loopback does not
ask for the device.
"""
import json
import secrets
import socket
import subprocess
import sys

import pytest

import dns
from container import HERE
from internet import DNSMASQ
from observe import learned, until
from outside import AT_ONCE_US, PING, fence

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: own-world}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}, 127.0.0.11], search: []}}
  allow:
    - {{name: web, domains: [api.good.test], ports: [tcp/80]}}
    - {{name: fence, cidrs: [198.51.100.50/32], ports: [udp/9000]}}
"""
PROGRAM = HERE / "hostile_programs" / "own_namespaces.py"
EVIL = "198.51.100.32"
SO_BINDTODEVICE = 25


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("own-world")
    made.netns.sysctl("net.ipv4.ping_group_range", PING)
    made.drop_to_docker()
    lab.daemon.start({"own-world.yaml": POLICY.format(path=made.path, resolver=DNSMASQ)})
    made.watch_cable()
    return made


def in_own_namespaces(container, mode: str) -> dict:
    run = container.run(sys.executable, "-I", str(PROGRAM), mode, DNSMASQ, "api.good.test", EVIL, str(HERE))
    if "unshare" in run.stderr:
        pytest.skip(f"no user namespaces here (kernel.unprivileged_userns_clone, user.max_user_namespaces): {run.stderr[-200:]}")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def refused(container, watch, **request) -> None:
    with watch(container) as seen:
        got = container.probe(**request)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")


def test_a_resolver_in_a_namespace_of_its_own_teaches_nothing_here(lab, container, watch):
    """A server under the resolver's address, reached by a cable of the container's own: its SYN+ACKs are denied, so no answer comes."""
    refused(container, watch, op="connect", address=EVIL, port=80)
    with watch(container) as seen:
        got = in_own_namespaces(container, "answer")
        assert got["error"] is not None, got
    assert seen.grown(direction="egress", verdict="deny", reason="source-address") >= 1
    assert seen.grown(reason="learned-new") == 0 and EVIL not in learned(lab.daemon, container.path)
    refused(container, watch, op="connect", address=EVIL, port=80)
    assert not container.arrived(destination=EVIL)


def test_what_is_learned_in_a_namespace_of_its_own_is_known_in_there_alone(container, watch):
    """Address translation between two more namespaces makes an answer from the resolver that no socket sent: it does teach, in there."""
    with watch(container) as seen:
        got = in_own_namespaces(container, "nat")
        assert (got["error"], got["from"], got["addresses"]) == (None, [DNSMASQ, 53], [EVIL]), got
        assert got["in there"] not in (None, "EPERM"), got
    seen.counted(direction="ingress", verdict="none", reason="learned-new")
    refused(container, watch, op="connect", address=EVIL, port=80)
    assert not container.arrived(destination=EVIL)


def test_what_is_learned_here_is_known_here(lab, container, watch):
    """The twin: the true resolver's answer."""
    with watch(container) as seen:
        assert container.probe("query", server=DNSMASQ, name="api.good.test")["addresses"] == ["198.51.100.10"]
        assert container.probe("connect", address="198.51.100.10", port=80)["error"] is None
    seen.counted(direction="ingress", verdict="allow", reason="dns-answer")
    assert seen.grown(direction="egress", verdict="allow", reason="learned", rule="web") >= 1


def test_a_peer_made_in_a_namespace_of_its_own_may_not_be_answered_here(container, watch):
    """A mangling rule makes a datagram from a stranger out of an allowed query: whoever wrote to us in there did not write to us here."""
    refused(container, watch, op="exchange", server=EVIL, port=9000, local_port=5000, message="55")
    with watch(container) as seen:
        got = in_own_namespaces(container, "peer")
        assert (got["error"], got["from"]) == (None, [EVIL, 9000]), got
    assert seen.grown(direction="ingress", verdict="allow", reason="inbound") >= 1, "in there it did arrive"
    mark = secrets.token_hex(16)
    refused(container, watch, op="exchange", server=EVIL, port=9000, local_port=5000, message=mark)
    fence(container)
    assert not container.arrived(contains=mark)


STRANGER = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(0, 15, 1)  # IP_FREEBIND: the internet's addresses are routes
s.bind(("{evil}", 9001))
s.settimeout(5)
s.sendto(b"hello", ("{container}", 5001))
print(s.recv(99).decode())
"""


def test_a_peer_that_wrote_here_may_be_answered_here(lab, container, watch):
    """The twin."""
    assert container.probe("hold", key="asked", family=2, type=int(socket.SOCK_DGRAM), port=5001)["error"] is None
    with watch(container) as seen:
        stranger = subprocess.Popen(["ip", "netns", "exec", lab.internet.netns.name, sys.executable, "-I", "-c",
                                     STRANGER.format(evil=EVIL, container=container.v4)], stdout=subprocess.PIPE, text=True)
        assert container.probe("held_receive", key="asked")["from"] == EVIL
        assert container.probe("held_send", key="asked", payload=b"hello to you".hex(), address=EVIL, port=9001)["error"] is None
        assert stranger.communicate(timeout=10)[0] == "hello to you\n"
    seen.counted(direction="egress", verdict="allow", reason="reply")


# ---- loopback addresses by the cable ----

LOOPBACK = [(2, "127.0.0.1"), (2, "127.99.1.2"), (10, "::1"), (10, "::ffff:127.0.0.1")]
TO_THE_CABLE = [1, SO_BINDTODEVICE, b"eth0\0".hex()]


def bound(container, family: int, type: int, protocol: int = 0) -> None:
    made = container.probe("hold", key="bound", family=family, type=type, protocol=protocol, options=[TO_THE_CABLE])
    assert made["error"] is None, made


@pytest.mark.parametrize("family, address", LOOPBACK, ids=[address for _, address in LOOPBACK])
@pytest.mark.parametrize("port", [9999, 53])
def test_a_datagram_to_loopback_does_not_leave_by_the_cable(container, watch, family, address, port):
    mark = secrets.token_hex(16)
    bound(container, family, int(socket.SOCK_DGRAM))
    with watch(container) as seen:
        got = container.probe("held_send", key="bound", payload=mark, address=address, port=port)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    if port != 53:  # the early hook does not know the device, and denies what is no resolver
        seen.counted(direction="egress", verdict="deny", reason="loopback-denied")
        seen.reported(kind="denied", hook="egress", reason="loopback-denied", remote=address.removeprefix("::ffff:"))
    fence(container)
    assert not container.arrived(contains=mark)
    assert not container.arrived(destination=address.removeprefix("::ffff:"))


def test_a_query_to_a_loopback_resolver_does_not_leave_by_the_cable(container, watch):
    bound(container, 2, int(socket.SOCK_DGRAM))
    with watch(container) as seen:
        got = container.probe("held_send", key="bound", payload=dns.query(3, "api.good.test").hex(), address="127.0.0.11", port=53)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="loopback-denied")
    fence(container)
    assert not container.arrived(destination="127.0.0.11")


@pytest.mark.parametrize("family, address", LOOPBACK, ids=[address for _, address in LOOPBACK])
def test_a_connection_to_loopback_does_not_leave_by_the_cable(container, watch, family, address):
    """A SYN that the packet hook drops is sent again: the application waits."""
    bound(container, family, int(socket.SOCK_STREAM))
    with watch(container) as seen:
        assert container.probe("held_connect", key="bound", address=address, port=9999)["error"] == "timeout"
    assert seen.grown(direction="egress", verdict="deny", reason="loopback-denied") >= 1
    assert seen.grown(direction="egress", verdict="allow") == 0
    fence(container)
    assert not container.arrived(destination=address.removeprefix("::ffff:"))


@pytest.mark.parametrize("family, protocol, address", [(2, 1, "127.0.0.1"), (10, 58, "::1")], ids=["v4", "v6"])
def test_a_ping_to_loopback_does_not_leave_by_the_cable(container, watch, family, protocol, address):
    bound(container, family, int(socket.SOCK_DGRAM), protocol)
    echo = ("08" if family == 2 else "80") + "00" * 6 + "01"
    with watch(container) as seen:
        got = container.probe("held_send", key="bound", payload=echo, address=address, port=0)
        assert got["error"] in ("EPERM", None if family == 10 else "EPERM"), got
    seen.counted(direction="egress", verdict="deny", reason="loopback-denied")
    fence(container)
    assert not container.arrived(destination=address)


@pytest.mark.parametrize("family, address", LOOPBACK[:1] + LOOPBACK[2:3], ids=["v4", "v6"])
def test_loopback_over_lo_is_open(container, watch, family, address):
    """The twin: a server of the container's own."""
    assert container.probe("serve", address="::" if family == 10 else address, port=7000 + family)["error"] is None
    with watch(container) as seen:
        assert container.probe("udp", address=address, port=7000 + family) | {"us": 0} == {"error": None, "us": 0, "answered": True}
        assert container.probe("http", address=address, port=7000 + family)["status"] == 200
    assert seen.grown(direction="egress", verdict="allow", reason="loopback") >= 5
    assert seen.grown(verdict="deny") == 0


def test_loopback_addresses_are_seen_nowhere_outside(container):
    until(lambda: not [p for p in container.arrived() if p["destination"].startswith("127.") or p["destination"] == "::1"], 1, "none")
