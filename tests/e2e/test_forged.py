# SPDX-License-Identifier: Apache-2.0
"""Issue letter d, the hostile part: a container that answers its own queries, by loopback, raw and packet socket, and other ways out."""
import socket

import pytest

import dns
from internet import ODD
from observe import learned

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: hostile}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow:
    - {{name: web, domains: ["*.odd.test"], ports: [tcp/80, udp/9000]}}
    - {{name: echo, cidrs: [198.51.100.50/32], ports: [udp/9000]}}
"""
IPPROTO_UDPLITE = 136


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("hostile")
    lab.daemon.start({"hostile.yaml": POLICY.format(path=made.path, resolver=ODD)})
    return made


def features(lab) -> dict:
    return {feature["name"]: feature for feature in lab.daemon.get("/v1/features")["features"]}


def test_an_own_server_on_loopback_is_no_resolver(container, watch):
    with watch(container) as seen:
        got = container.probe("exchange", server="127.0.0.53", message=dns.query(1, "a.odd.test").hex())
    assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="resolver")


def test_nothing_leaves_from_port_53(container, watch):
    """So no process inside can look like a server, on loopback neither."""
    with watch(container) as seen:
        got = container.probe("exchange", server="127.0.0.1", port=4000, message=dns.query(1, "a.odd.test").hex(), local_port=53)
    assert got["error"] == "EPERM", got
    assert seen.grown(direction="egress", verdict="deny", reason="source-port") >= 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("protocol", [socket.IPPROTO_RAW, socket.IPPROTO_UDP, socket.IPPROTO_ICMP])
def test_raw_sockets_are_not_made(container, watch, family, protocol):
    with watch(container) as seen:
        got = container.probe("make_socket", family=int(family), type=int(socket.SOCK_RAW), protocol=int(protocol))
    assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="raw-socket")
    seen.reported(kind="denied", hook="sock-create", reason="raw-socket")


@pytest.mark.parametrize("family, name", [(socket.AF_PACKET, "packet"), (40, "vsock")])
def test_other_families_are_refused_or_the_gap_is_said(lab, container, watch, family, name):
    with watch(container) as seen:
        got = container.probe("make_socket", family=int(family), type=int(socket.SOCK_DGRAM))
    guard = features(lab)["socket-families"]
    if guard["active"]:
        assert got["error"] == "EPERM", got
        seen.counted(direction="egress", verdict="deny", reason="socket-family")
    else:
        assert "packet sockets" in guard["loses"], guard


def test_unnamed_protocols_are_denied(container, watch):
    with watch(container) as seen:
        got = container.probe("send_on", type=int(socket.SOCK_DGRAM), protocol=IPPROTO_UDPLITE, address="198.51.100.1", port=9000)
    if got["error"] in ("EPROTONOSUPPORT", "EAFNOSUPPORT", "ESOCKTNOSUPPORT"):
        pytest.skip("this kernel has no UDP-Lite")
    assert got["error"] == "EPERM", got
    assert seen.grown(direction="egress", verdict="deny", reason="protocol") >= 1


def test_ping_needs_a_rule(container, watch):
    with watch(container) as seen:
        got = container.run("sh", "-c", "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range")
        got = container.probe("send_on", type=int(socket.SOCK_DGRAM), protocol=int(socket.IPPROTO_ICMP), address="198.51.100.1",
                              port=0, payload="0800000000010001")
    assert got["error"] == "EPERM", got
    assert seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1


def test_mapped_addresses_are_v4(lab, container, watch):
    with watch(container) as seen:
        assert container.probe("connect", address="::ffff:198.51.100.40", port=80)["error"] == "EPERM"
        assert container.probe("udp", address="::ffff:198.51.100.40", port=9000)["error"] == "EPERM"
    seen.counted(2, direction="egress", verdict="deny", reason="no-rule")
    container.probe("query", server=ODD, name="plain.198-51-100-41.odd.test")
    assert container.probe("connect", address="::ffff:198.51.100.41", port=80)["error"] is None
    assert container.probe("udp", address="::ffff:198.51.100.41", port=9000)["answered"]
    assert "198.51.100.41" in learned(lab.daemon, container.path)


def test_tcp_fast_open_is_judged(container, watch):
    with watch(container) as seen:
        got = container.probe("send_on", type=int(socket.SOCK_STREAM), protocol=0, address="198.51.100.40", port=80,
                              flags=int(socket.MSG_FASTOPEN))
    assert got["error"] == "EPERM", got
    assert seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1


def test_a_fragment_that_hides_its_ports_never_leaves(container, watch):
    """A datagram over the MTU is one packet at the hook: it is judged whole, before it is cut."""
    container.probe("query", server=ODD, name="plain.198-51-100-42.odd.test")
    with watch(container) as seen:
        assert container.probe("udp", address="198.51.100.42", port=9000, octets=4000)["answered"]
        assert container.probe("udp", address="198.51.100.43", port=9000, octets=4000)["error"] == "EPERM"
    seen.counted(3, direction="egress", verdict="allow", reason="learned")  # the datagram leaves in three pieces
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
