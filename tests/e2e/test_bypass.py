# SPDX-License-Identifier: Apache-2.0
"""Paths out: each way to send, tried by a root process with Docker's default capabilities, to an address that is denied and to its
allowed twin. An observer at the other end of the cable sees what left.

Elsewhere: raw sockets from before enforcement (test_before_enforcement), forged answers (test_forged, test_answers), options that lend
an address and sockets that change owner (test_sockets), DNS messages that hide their name (test_queries).
"""
import itertools
import secrets
import socket
from pathlib import Path

import pytest

import dns
from container import DOCKER_CAPABILITIES
from internet import ODD
from observe import events, until
from outside import AT_ONCE_US, fence

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: bypass}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow:
    - {{name: open, cidrs: [198.51.100.0/25, "2001:db8:80::a:0/112"], ports: [tcp/80, udp/9000, icmp]}}
    - {{name: odd, domains: ["*.odd.test"], ports: [tcp/80]}}
"""
NUMBERS = {"chown": 0, "dac_override": 1, "fowner": 3, "fsetid": 4, "kill": 5, "setgid": 6, "setuid": 7, "setpcap": 8, "net_bind_service": 10,
           "net_raw": 13, "sys_chroot": 18, "mknod": 27, "audit_write": 29, "setfcap": 31}
NO_SUCH_SOCKET = ("EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT")
V4, V6, MAPPED = "v4", "v6", "mapped"
ADDRESSES = {V4: ("198.51.100.{}", 128), V6: ("2001:db8:80::{:x}:{:x}", 0), MAPPED: ("::ffff:198.51.100.{}", 128)}
UDP_WAYS = {"udp_sendto": "sendmsg", "udp_connected": "egress", "udp_connected_elsewhere": "sendmsg", "udp_sendmmsg": "sendmsg",
            "udp_sendfile": "egress", "udp_splice": "egress", "udp_zerocopy": "egress", "udp_cork": "egress", "udp_more": "egress",
            "udp_segment": "egress", "udp_large": "egress"}
TCP_WAYS = {"tcp": "connect", "tcp_fast_open": "connect", "tcp_fast_open_connect": "connect", "mptcp": "connect"}
SEGMENTS, FRAGMENTS = 10, 6  # of udp_segment; of udp_large, where the cable carries 1,500 octets
RINGS = ("inline", "async", "sqpoll")
URING_WAYS = {f"{way} {ring}": hook for ring in RINGS for way, hook in (
    ("uring_send", "egress"), ("uring_send_zc", "egress"), ("uring_sendmsg", "sendmsg"), ("uring_connect", "connect"))}
# What the packet hook refused, the kernel does not tell: of a datagram that setsockopt() lets go, of an ICMPv6 echo request.
SILENT = {("udp_cork", V4), ("udp_cork", V6), ("ping", V6)}


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("docker")
    made.netns.sysctl("net.ipv4.tcp_fastopen", "5")  # a client sends its data in the SYN without a cookie
    made.netns.sysctl("net.ipv4.ping_group_range", "0 2147483647")
    made.drop_to_docker()
    lab.daemon.start({"bypass.yaml": POLICY.format(path=made.path, resolver=ODD)})
    made.watch_cable()
    return made


NUMBER = itertools.count(2)


def pair(family: str) -> tuple[str, str]:
    """An allowed and a denied address that no other case has."""
    number = next(NUMBER)
    number += number >= 50  # the fence's
    if family == V6:
        return f"2001:db8:80::a:{number:x}", f"2001:db8:80::d:{number:x}"
    text, denied = ADDRESSES[family]
    assert number < 128, "no addresses left"
    return text.format(number), text.format(denied + number)


def seen_as(address: str) -> str:
    return address.removeprefix("::ffff:")


def without_ring(got: dict) -> None:
    if got.get("disabled"):
        setting = Path("/proc/sys/kernel/io_uring_disabled")
        value = setting.read_text().strip() if setting.exists() else "not there"
        pytest.skip(f"no io_uring here ({got['error']}): kernel.io_uring_disabled is {value}")


def test_the_process_has_dockers_capabilities_and_no_more(container):
    fields = container.probe("status")["fields"]
    wanted = sum(1 << NUMBERS[name] for name in DOCKER_CAPABILITIES)
    assert (int(fields["CapEff"], 16), int(fields["CapBnd"], 16)) == (wanted, wanted), fields
    assert fields["Uid"].split() == ["0"] * 4


WAYS = [(way, family, hook) for family in (V4, V6) for way, hook in (UDP_WAYS | TCP_WAYS).items()]
WAYS += [(way, MAPPED, hook) for way, hook in TCP_WAYS.items()]
WAYS += [(way, MAPPED, "sendmsg") for way in UDP_WAYS]  # for these the kernel asks its IPv4 side to send to an address, connected or not
WAYS += [(way, family, hook) for family in (V4, V6) for way, hook in URING_WAYS.items()]
WAYS += [("udp_extension_headers", V6, "egress"), ("ping", V4, "egress"), ("ping", V6, "egress")]


@pytest.mark.parametrize("way, family, hook", WAYS, ids=[f"{way.replace(' ', '-')}-{family}" for way, family, _ in WAYS])
def test_no_way_leads_where_no_rule_does(container, watch, way, family, hook):
    allowed, denied = pair(family)
    port = 80 if hook == "connect" else 0 if way == "ping" else 9000
    mark, twin = secrets.token_hex(16), secrets.token_hex(16)
    with watch(container) as seen:
        got = container.probe("way", name=way, address=denied, port=port, mark=mark)
        without_ring(got)
        assert got["error"] == (None if (way, family) in SILENT else "EPERM") and got["us"] < AT_ONCE_US, got
    packets = {"udp_segment": SEGMENTS, "udp_large": FRAGMENTS}.get(way, 1) if family != MAPPED else 1  # the early hook counts an attempt
    seen.counted(packets, direction="egress", verdict="deny", reason="no-rule")
    seen.reported(kind="denied", hook=hook, reason="no-rule", remote=seen_as(denied))
    with watch(container) as seen:
        got = container.probe("way", name=way, address=allowed, port=port, mark=twin)
        assert got["error"] is None, got
    until(lambda: container.arrived(contains=twin), 5, "the allowed twin left")
    assert seen.grown(verdict="deny") == 0
    assert seen.grown(direction="egress", verdict="allow", reason="cidr", rule="open") >= 1
    fence(container)
    assert not container.arrived(destination=seen_as(denied))
    assert not container.arrived(contains=mark[:10]), "nor a part of it"


@pytest.mark.parametrize("family, header", [(V4, 20), (V6, 48)], ids=[V4, V6])
def test_a_large_datagram_is_judged_whole_and_counted_as_the_pieces_it_leaves_in(container, watch, family, header):
    allowed, _ = pair(family)
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        assert container.probe("way", name="udp_large", address=allowed, port=9000, mark=mark)["error"] is None
    seen.counted(FRAGMENTS, direction="egress", verdict="allow", reason="cidr")
    assert octets(seen, container) == 8 + 8000 + FRAGMENTS * header
    protocol = 17 if family == V4 else 44
    until(lambda: len(container.arrived(destination=allowed, protocol=protocol)) == FRAGMENTS, 5, f"{FRAGMENTS} fragments leave")


@pytest.mark.parametrize("family, header", [(V4, 28), (V6, 48)], ids=[V4, V6])
def test_every_datagram_of_a_gso_buffer_is_accounted(container, watch, family, header):
    allowed, _ = pair(family)
    with watch(container) as seen:
        assert container.probe("way", name="udp_segment", address=allowed, port=9000, mark="55" * 16)["error"] is None
    seen.counted(SEGMENTS, direction="egress", verdict="allow", reason="cidr")
    assert octets(seen, container) == SEGMENTS * (1000 + header)


def octets(seen, container) -> int:
    """By which the allowed egress of the rule grew while the block ran."""
    def read(rows: list) -> int:
        return sum(row["bytes"] for row in rows if (row["rule"], row["direction"], row["verdict"]) == ("open", "egress", "allow"))
    return read(seen.daemon.get(f"/v1/counters?container={container.path}")["counters"]) - read(seen.before.rows)


def test_a_gso_buffer_to_port_53_is_denied_whatever_is_in_it(container, watch):
    first, second = dns.query(7, "aaaa.odd.test"), dns.query(8, "evil.example")
    second += bytes(len(first) - len(second))
    with watch(container) as seen:
        got = container.probe("exchange", server=ODD, message=(first + second).hex(), options=[(17, 103, len(first))])
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(2, direction="egress", verdict="deny", reason="dns-gso")
    assert container.probe("query", server=ODD, name="bbbb.odd.test")["error"] is None
    until(lambda: container.arrived(contains=dns.wire_name("bbbb.odd.test").hex()), 5, "a query alone left")
    fence(container)
    assert not container.arrived(contains=dns.wire_name("evil.example").hex())
    assert not container.arrived(contains=dns.wire_name("aaaa.odd.test").hex())


def test_a_query_over_tcp_in_three_writes_never_leaves(container, watch):
    """TCP may send all three again as one: then the name is read, and denied."""
    query = dns.query(9, "three.writes.example")
    message = len(query).to_bytes(2, "big") + query
    with watch(container) as seen:
        got = container.probe("query_tcp", server=ODD, segments=[message[:2].hex(), message[2:15].hex(), message[15:].hex()], timeout=1)
        assert got["error"] in ("timeout", "EPERM"), got
    assert seen.grown(direction="egress", verdict="deny", reason="dns-framing") >= 1
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == 0
    whole = dns.query(10, "one.odd.test")
    assert container.probe("query_tcp", server=ODD, segments=[(len(whole).to_bytes(2, "big") + whole).hex()])["addresses"]
    until(lambda: container.arrived(contains=whole.hex()), 5, "the whole one left")
    fence(container)
    assert not container.arrived(contains=message[15:].hex())
    assert not [p for p in container.arrived(destination=ODD, protocol=6) if b"writes" in bytes.fromhex(p["hex"])]


LSRR = "830704{}00"  # loose source route over one address, and an end of the list


@pytest.mark.parametrize("over, to", [("denied", "allowed"), ("allowed", "denied")])
def test_a_source_route_hides_no_destination(container, watch, over, to):
    allowed, denied = pair(V4)
    where = {"allowed": allowed, "denied": denied}
    mark, route = secrets.token_hex(16), LSRR.format(socket.inet_aton(where[over]).hex())
    assert container.probe("hold", key="routed", family=2, type=2, options=[[0, 4, route]])["error"] is None
    assert container.probe("held_connect", key="routed", address=where[to], port=9000)["error"] is None
    with watch(container) as seen:
        got = container.probe("held_send", key="routed", payload=mark)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="ip-options")
    seen.reported(kind="denied", hook="egress", reason="ip-options")
    fence(container)
    assert not container.arrived(contains=mark)


def test_a_routing_header_hides_no_destination(container, watch):
    """The address of the send is allowed; the segment list leads elsewhere."""
    allowed, denied = pair(V6)
    mark = secrets.token_hex(16)
    header = bytes([0, 2, 4, 0, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, denied)
    assert container.probe("hold", key="routed", family=10, type=2, options=[[41, 57, header.hex()]])["error"] is None
    with watch(container) as seen:
        got = container.probe("held_send", key="routed", payload=mark, address=allowed, port=9000)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="extension-header")
    seen.reported(kind="denied", hook="egress", reason="extension-header")
    fence(container)
    assert not container.arrived(contains=mark)


@pytest.mark.covers(hook="egress", rule="protocol", family="v4 v6", protocol="other")
@pytest.mark.parametrize("family", [V4, V6])
@pytest.mark.parametrize("way, reasons", [("udplite", ("protocol",)), ("sctp", ("protocol", "no-rule")), ("smc", ("socket-family", "no-rule"))])
def test_other_transports_do_not_leave_even_where_a_rule_leads(container, watch, way, reasons, family):
    """Or the kernel does not have them, which comes to the same."""
    allowed, _ = pair(family)
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        got = container.probe("way", name=way, address=allowed, port=9000, mark=mark)
    assert got["error"] in ("EPERM", *NO_SUCH_SOCKET) and got["us"] < AT_ONCE_US, got
    if got["error"] == "EPERM":
        assert sum(seen.grown(direction="egress", verdict="deny", reason=reason) for reason in reasons) >= 1
    fence(container)
    assert not container.arrived(contains=mark)


@pytest.mark.covers(hook="sock-create", rule="raw-socket", family="v4 v6", protocol="other")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=[V4, V6])
@pytest.mark.parametrize("protocol", [1, 17, 41, 47, 58, 132, 255])
def test_no_raw_socket_is_made(container, watch, family, protocol):
    with watch(container) as seen:
        got = container.probe("make_socket", family=int(family), type=int(socket.SOCK_RAW), protocol=protocol)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
    seen.counted(direction="egress", verdict="deny", reason="raw-socket")


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize("family, address", [(V4, "198.51.100.1"), (V6, "2001:db8:80::1")], ids=[V4, V6])
def test_io_uring_makes_no_raw_socket_and_lends_no_address(container, watch, family, address, ring):
    for way, hook, reason in (("uring_raw_socket", "sock-create", "raw-socket"), ("uring_option", "setsockopt", "source-address")):
        with watch(container) as seen:
            before = len(events(seen.daemon, container.path, hook=hook))
            got = container.probe("way", name=f"{way} {ring}", address=address, port=0, mark="")
            without_ring(got)
            if got["error"] in ("EOPNOTSUPP", "EINVAL"):
                continue  # this kernel's io_uring does not have the operation
            assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, (way, got)
        seen.counted(direction="egress", verdict="deny", reason=reason)
        until(lambda: len(events(seen.daemon, container.path, hook=hook)) > before, 5, f"an event of {hook}")

