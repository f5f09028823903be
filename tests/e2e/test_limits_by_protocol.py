# SPDX-License-Identifier: Apache-2.0
"""Limits as each protocol meets them, in both address families: streams at their first segment and in their midst, what comes by them,
pings, buffers of many datagrams. Budgets so slow that no time matters; each test has rules of its own.

Red when a limit is not asked for a protocol or family, when a buffer is charged as one packet or without the headers of its pieces, or when
an application waits that could be told at once.
"""
import itertools
import socket
import sys
from pathlib import Path

import pytest

from limits import HEAD, PACKET, left, octets_of, syns
from observe import until
from outside import AT_ONCE_US, FAMILY, PING, send_from_outside

TCP, UDP = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
FAMILIES = ("v4", "v6")
BURST = 144 * 1024  # the least of octets
HEADERS = {"v4": 28, "v6": 48}
SEGMENT, PIECES, PAYLOAD = 100, 10, 950  # UDP_SEGMENT: what is sent at once becomes ten datagrams
WARM, REST = 3, 80  # datagrams of one octet that open a flow; IP octets of one more at the end
LIMITS = {
    "syn_octets": "egress: 100B/h", "syn_packets": "packets: 1/h burst 64", "stream_packets": "packets: 1/h burst 64",
    "stream_quota": "quota: 10280B/24h egress", "download_rate": "ingress: 100B/h", "download_packets": "packets: 1/h burst 64",
    "download_quota": "quota: 102800B/24h ingress", "outside": "connections: 1/h burst 3",
    "ping_packets": "packets: 1/h burst 64", "ping_octets": "egress: 100B/h", "ping_quota": "quota: 840B/24h egress",
    "new_packets": "packets: 1/h burst 64", "open_packets": "packets: 1/h burst 64",
    "new_quota": "quota: {new}B/24h egress", "open_quota": "quota: {open}B/24h egress",
}
RULES = {f"{name}-{family}": (name, family, 100 + n) for n, (name, family) in enumerate(itertools.product(LIMITS, FAMILIES))}
PINGERS = [f"ping-{family}" for family in FAMILIES]
# no answer comes from there, and no error that a connected socket is told: no route leads to it
NOWHERE = {"v4": "192.0.2.{}", "v6": "2001:db8:aa::{:x}"}
SOMEWHERE = {"v4": "198.51.100.{}", "v6": "2001:db8:80::{:x}"}


def address_of(rule: str) -> str:
    name, family, number = RULES[rule]
    return (NOWHERE if name.startswith(("ping", "new", "open")) else SOMEWHERE)[family].format(number)


def buffer_of(family: str) -> int:
    """IP octets of all the pieces."""
    return PAYLOAD + PIECES * HEADERS[family]


def limit_of(rule: str) -> str:
    name, family, _ = RULES[rule]
    quota = 2 * buffer_of(family) + REST
    return LIMITS[name].format(new=quota, open=quota + WARM * (HEADERS[family] + 1))


def policies(lab) -> dict[str, str]:
    texts = {"protocols": "  allow:\n" + "".join(
        f"    - {{name: {rule}, cidrs: ['{address_of(rule)}'], ports: [tcp/80, udp/9001, icmp], limits: {{{limit_of(rule)}}}}}\n"
        for rule in RULES)}
    texts |= {name: "  allow: [{cidrs: [198.51.100.0/24, '2001:db8:80::/64'], ports: [icmp]}]\n  limits: {packets: 1/h burst 65}\n"
              for name in PINGERS}
    return {f"{name}.yaml": HEAD.format(name=name, path=lab.path(name)) + text for name, text in texts.items()}


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in ("protocols", *PINGERS)}
    for container in made.values():
        container.netns.sysctl("net.ipv4.ping_group_range", PING)
        container.watch_cable()
    cut = Path(__file__).parents[1] / "lab/offload.py"
    made["protocols"].netns.run(sys.executable, "-I", str(cut), "eth0")  # the witness sees the pieces of a buffer one by one
    lab.daemon.start(policies(lab))
    return made


@pytest.fixture
def container(world):
    return world["protocols"]


def each(hook: str, protocol: str, **kinds: str):
    """Parameters (rule, address), each with its marker; `kinds`: name in LIMITS to what it covers."""
    mark = pytest.mark.covers
    return pytest.mark.parametrize("rule, address", [
        pytest.param(rule, address_of(rule), id=rule, marks=mark(hook=hook, rule=kinds[name], family=family, protocol=protocol))
        for rule, (name, family, _) in RULES.items() if name in kinds])


def hold(container, address: str, type: int, protocol: int = 0, port: int = 0) -> None:
    """A socket `flow`, connected where a port is given."""
    family = int(FAMILY["v6" if ":" in address else "v4"])
    assert container.probe("hold", key="flow", family=family, type=type, protocol=protocol)["error"] is None
    assert not port or container.probe("held_connect", key="flow", address=address, port=port)["error"] is None


def spend(container, address: str, octets: int, count: int) -> dict[str, int]:
    return container.probe("datagrams", address=address, port=9001, octets=octets, count=count)["outcomes"]


# ---- streams ----

@each("egress", "tcp", syn_octets="rate", syn_packets="rate")
def test_a_stream_does_not_begin_over_a_rate(container, watch, rule, address):
    """Datagrams took all of it, to the octet: the SYN waits to be sent again."""
    count, rest = (BURST // PACKET, BURST % PACKET) if rule.startswith("syn_octets") else (63, PACKET)
    assert spend(container, address, PACKET, count) == {"sent": count} and spend(container, address, rest, 1) == {"sent": 1}
    with watch(container) as seen:
        assert container.probe("connect", address=address, port=80, timeout=0.3)["error"] == "timeout"
        reason = "egress-rate" if rule.startswith("syn_octets") else "packet-rate"
        until(lambda: seen.grown(direction="egress", verdict="deny", reason=reason, rule=rule) >= 1, 5, "denied")
        seen.reported(kind="denied", hook="egress", reason=reason, remote=address, protocol="tcp")
    assert seen.grown(verdict="allow") == 0
    assert left(container, count + 1, destination=address) == (count + 1, count * PACKET + rest), "and no SYN"


@each("egress", "tcp", stream_packets="rate")
def test_packets_of_a_stream_are_counted_out_and_in(container, watch, rule, address):
    """A connection is three: two out, one in. The 61 that are left go to datagrams, and the request does not leave."""
    hold(container, address, TCP, port=80)
    with watch(container) as seen:
        assert spend(container, address, PACKET, 63) == {"sent": 63}
        seen.counted(2, direction="egress", verdict="deny", reason="packet-rate", rule=rule)
        assert container.probe("held_send", key="flow", payload="55" * 100)["error"] is None, "TCP takes it"
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="packet-rate", rule=rule) >= 3, 5, "denied")
    container.probe("held_close", key="flow")
    assert left(container, 61 + 2, destination=address)[0] == 61 + 2


@each("connect egress", "tcp", stream_quota="quota")
def test_an_open_stream_stops_when_the_quota_is_spent(container, watch, rule, address):
    """And the next is refused at connect. The stream itself can't be told: what was written waits."""
    hold(container, address, TCP, port=80)
    rest = 10_280 - left(container, 2, destination=address)[1]
    assert spend(container, address, PACKET, 9) == {"sent": 9} and spend(container, address, rest - 9 * PACKET, 1) == {"sent": 1}
    with watch(container) as seen:
        assert container.probe("held_send", key="flow", payload="55" * 100)["error"] is None
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="quota", rule=rule) >= 1, 5, "denied")
        seen.reported(kind="denied", hook="egress", reason="quota", remote=address, protocol="tcp")
        got = container.probe("connect", address=address, port=80)
        assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got
        seen.reported(kind="denied", hook="connect", reason="quota", remote=address)
    container.probe("held_close", key="flow")
    assert left(container, 2 + 10, destination=address) == (2 + 10, 10_280) and seen.grown(verdict="allow") == 0


@each("ingress", "tcp", download_rate="rate", download_packets="rate", download_quota="quota")
def test_what_a_stream_brings_is_charged_to_its_rule(lab, container, watch, rule, address):
    """Not all of a megabyte comes; a buffer of up to 45 packets goes in whole or not at all."""
    most, reason = {"download_rate": (BURST, "ingress-rate"), "download_packets": (64, "packet-rate"),
                    "download_quota": (102_800, "quota")}[RULES[rule][0]]
    with watch(container) as seen:
        assert container.probe("http", address=address, port=80, path="/bytes/1000000", timeout=0.5)["error"] == "timeout"
        until(lambda: seen.grown(direction="ingress", verdict="deny", reason=reason, rule=rule) >= 1, 5, "denied")
        seen.reported(kind="denied", hook="ingress", reason=reason, remote=address, protocol="tcp")
    spent, buffer = octets_of(lab, container, rule=rule, direction="ingress", verdict="allow", reason="inbound"), 45 * 1500
    if reason == "packet-rate":
        spent, buffer = seen.grown(verdict="allow", rule=rule), 45
    assert most - buffer < spent <= most, spent


@each("egress", "tcp", outside="connections")
def test_a_connection_that_the_early_hook_did_not_see_is_counted_by_its_syn(lab, container, watch, rule, address):
    family = RULES[rule][1]
    for _ in range(3):
        assert send_from_outside(container, lab.directory, family, "tcp", address, 80, "55")[0] is None
    with watch(container) as seen:
        error, us = send_from_outside(container, lab.directory, family, "tcp", address, 80, "55")
        assert error == "EINPROGRESS" and us < AT_ONCE_US
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="connection-rate", rule=rule) >= 1, 5, "denied")
        seen.reported(kind="denied", hook="egress", reason="connection-rate", remote=address, protocol="tcp")
    assert syns(container, address, 3) == 3


# ---- pings ----

TOLD = {("v4", False): "ENOBUFS", ("v4", True): "EPERM", ("v6", False): None, ("v6", True): None}  # (family, is it a quota)


def echo_request(family: str, octets: int) -> str:
    """For a ping socket; `octets` with the IP header."""
    head = bytes([8 if family == "v4" else 128]) + bytes(6) + b"\1"
    return (head + bytes(octets - HEADERS[family])).hex()


def ping(container, family: str, address: str, octets: int, count: int) -> list[str | None]:
    hold(container, address, UDP, socket.IPPROTO_ICMP if family == "v4" else socket.IPPROTO_ICMPV6)
    send = {"op": "held_send", "key": "flow", "payload": echo_request(family, octets), "address": address, "port": 0}
    return [one["error"] for one in container.probe("batch", ops=[send] * count)["results"]]


@each("egress", "icmp", ping_packets="rate", ping_octets="rate", ping_quota="quota")
def test_pings_spend_their_rule(container, watch, rule, address):
    """Nobody answers them. The kernel tells IPv4's ping sockets of what is dropped (ENOBUFS: slow down), IPv6's of nothing."""
    name, family, _ = RULES[rule]
    octets, held, reason = {"ping_packets": (84, 64, "packet-rate"), "ping_octets": (PACKET, BURST // PACKET, "egress-rate"),
                            "ping_quota": (84, 10, "quota")}[name]
    with watch(container) as seen:
        assert ping(container, family, address, octets, held + 2) == [None] * held + [TOLD[family, reason == "quota"]] * 2
        seen.counted(2, direction="egress", verdict="deny", reason=reason, rule=rule)
        seen.counted(held, direction="egress", verdict="allow", reason="cidr", rule=rule)
        seen.reported(kind="denied", hook="egress", reason=reason, remote=address)
    assert left(container, held, destination=address) == (held, held * octets)


@pytest.mark.parametrize("name", PINGERS)
def test_pings_and_their_answers_are_packets_of_the_container(world, watch, name):
    """32 and their answers are 64 packets; one more leaves and is not answered, and one does not leave."""
    container, family = world[name], name.rpartition("-")[2]
    address = SOMEWHERE[family].format(9)
    hold(container, address, UDP, socket.IPPROTO_ICMP if family == "v4" else socket.IPPROTO_ICMPV6)
    send = {"op": "held_send", "key": "flow", "payload": echo_request(family, 84), "address": address, "port": 0}
    with watch(container) as seen:
        got = container.probe("batch", ops=[send, {"op": "held_receive", "key": "flow"}] * 32 + [send])["results"]
        assert [one["error"] for one in got] == [None] * 65
        seen.counted(1, direction="ingress", verdict="deny", reason="packet-rate")
        got = container.probe("batch", ops=[send, {"op": "held_receive", "key": "flow"}])["results"]
        assert [one["error"] for one in got] == [TOLD[family, False], "timeout"]
        seen.counted(1, direction="egress", verdict="deny", reason="packet-rate")
    assert left(container, 33, destination=address) == (33, 33 * 84)


# ---- buffers of many datagrams ----

@each("egress", "udp", new_packets="rate", open_packets="rate", new_quota="quota", open_quota="quota")
def test_a_buffer_is_charged_with_every_piece_and_its_headers(container, watch, rule, address):
    """By both readers of packets: connected, its flow is open before; unconnected, every buffer is judged anew."""
    name, family, _ = RULES[rule]
    is_open, is_quota = name.startswith("open"), name.endswith("quota")
    where = {} if is_open else {"address": address, "port": 9001}
    hold(container, address, UDP, port=9001 if is_open else 0)

    def send(octets: int, count: int) -> list:
        op = {"op": "held_send", "key": "flow", "payload": "55" * octets, **where}
        return [one["error"] for one in container.probe("batch", ops=[op] * count)["results"]]
    warm, buffers = WARM if is_open else 0, 2 if is_quota else 6
    more, small = (1, REST - HEADERS[family]) if is_quota else (64 - warm - buffers * PIECES, 1)
    with watch(container) as seen:
        assert send(1, warm) == [None] * warm
        assert container.probe("held_option", key="flow", level=17, name=103, value=SEGMENT)["error"] is None
        assert send(PAYLOAD, buffers + 1) == [None] * buffers + ["EPERM" if is_quota else None]
        assert container.probe("held_option", key="flow", level=17, name=103, value=0)["error"] is None
        assert send(small, more + 1) == [None] * more + ["EPERM" if is_quota else None]
        seen.counted(PIECES + 1, direction="egress", verdict="deny", reason="quota" if is_quota else "packet-rate", rule=rule)
        packets = warm + buffers * PIECES + more
        seen.counted(packets, direction="egress", verdict="allow", reason="cidr", rule=rule)
    container.probe("held_close", key="flow")
    octets = buffers * buffer_of(family) + warm * (HEADERS[family] + 1) + more * (HEADERS[family] + small)
    assert left(container, packets, destination=address) == (packets, octets)
