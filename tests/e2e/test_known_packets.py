# SPDX-License-Identifier: Apache-2.0
"""Two readers of packets: that of open flows (bpf/lib/known.h), which knows plain headers only, and that of all others (bpf/lib/packet.h).
Whatever a socket sends, the verdict, the reason, the packets and the octets are the same on an open flow as on a new one.

Red when known.h takes a packet whose headers it does not understand, measures one otherwise, or does not charge it.
"""
import secrets
import socket
import sys
from pathlib import Path

import pytest

from load import grown
from observe import until
from outside import AT_ONCE_US

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: known}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [203.0.113.53], search: []}}
  allow: [{{name: open, cidrs: [198.51.100.0/25, "2001:db8:80::a:0/112"], ports: [tcp/80, udp/9000]}}]
"""
V4, V6, UDP, TCP = int(socket.AF_INET), int(socket.AF_INET6), int(socket.SOCK_DGRAM), int(socket.SOCK_STREAM)
WHERE = {V4: "198.51.100.9", V6: "2001:db8:80::a:9"}
ELSEWHERE = socket.inet_pton(socket.AF_INET6, "2001:db8:80::d:9").hex()
ICMP = (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)
PADDING, ROUTING = "0000010400000000", "0002040000000000" + ELSEWHERE
NO_OPS, SOURCE_ROUTE = "01010101", "830704" + socket.inet_aton("198.51.100.200").hex() + "00"
# (family, options of the socket, octets, reason of the denial, packets; None: as many as the MTU makes of it)
CASES = {
    "plain v4": (V4, [], 100, None, 1), "plain v6": (V6, [], 100, None, 1), "empty v4": (V4, [], 0, None, 1), "empty v6": (V6, [], 0, None, 1),
    "tos": (V4, [(0, 1, 0x10)], 100, None, 1), "ttl": (V4, [(0, 2, 3)], 100, None, 1), "no checksum": (V4, [(1, 11, 1)], 100, None, 1),
    "traffic class": (V6, [(41, 67, 0x10)], 100, None, 1), "hop limit": (V6, [(41, 16, 3)], 100, None, 1),
    "gso v4": (V4, [(17, 103, 100)], 950, None, 10), "gso v6": (V6, [(17, 103, 100)], 950, None, 10),
    "large v4": (V4, [], 8000, None, None), "large v6": (V6, [], 8000, None, None),
    "options": (V4, [(0, 4, NO_OPS)], 100, "ip-options", 1), "source route": (V4, [(0, 4, SOURCE_ROUTE)], 100, "ip-options", 1),
    "hop-by-hop": (V6, [(41, 54, PADDING)], 100, None, 1), "destination options": (V6, [(41, 59, PADDING)], 100, None, 1),
    "routing header": (V6, [(41, 57, ROUTING)], 100, "extension-header", 1),
}


SENT, HELD, OCTETS = 15, 10, 1028  # datagrams, as many as a quota holds, IP octets of one
QUOTAS = {f"{whose}-{way}": (whose, way) for whose in ("rule", "container", "both") for way in ("egress", "ingress")}


def limited(name: str, path: str) -> str:
    """Of what has a quota, the other of rule and container has none, or a larger one."""
    whose, way = QUOTAS[name]
    small, large = (f"limits: {{quota: {packets * OCTETS}B/24h {way}}}" for packets in (HELD, 100))
    of_rule = {"rule": f", {small}", "container": "", "both": f", {large}"}[whose]
    text = POLICY.format(path=path).replace("name: known", f"name: {name}").replace("udp/9000]", f"udp/9000]{of_rule}")
    return text if whose == "rule" else text + f"  {small}\n"


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in ("known", "options", *QUOTAS)}
    plain = {name: POLICY.format(path=made[name].path).replace("name: known", f"name: {name}") for name in ("known", "options")}
    lab.daemon.start({f"{name}.yaml": text for name, text in plain.items()} | {f"{name}.yaml": limited(name, made[name].path) for name in QUOTAS})
    for each in made.values():
        each.watch_cable()
    return made


@pytest.fixture(scope="module")
def container(world):
    return world["known"]


def rows(lab, container) -> list[dict]:
    found = lab.daemon.get(f"/v1/counters?container={container.path}")["counters"]
    return [row for row in found if row["direction"] == "egress" and row["verdict"] in ("allow", "deny")]


def outcome(lab, container, family: int, options: list, payload: str, known: bool) -> tuple:
    assert container.probe("hold", key="flow", family=family, type=UDP)["error"] is None
    assert container.probe("held_connect", key="flow", address=WHERE[family], port=9000)["error"] is None
    for _ in range(3 if known else 0):
        assert container.probe("held_send", key="flow", payload="55")["error"] is None
    for level, name, value in options:
        assert container.probe("held_option", key="flow", level=level, name=name, value=value)["error"] is None
    before = rows(lab, container)
    got = container.probe("held_send", key="flow", payload=payload)
    assert got["us"] < AT_ONCE_US, got
    counts = grown(before, rows(lab, container))
    container.probe("held_close", key="flow")
    return got["error"], counts


@pytest.mark.parametrize("case", CASES)
def test_a_datagram_of_an_open_flow_is_judged_and_measured_as_one_of_a_new_flow(lab, container, case):
    family, options, octets, reason, packets = CASES[case]
    payload = (secrets.token_bytes(16) + bytes(octets))[:octets].hex()
    new = outcome(lab, container, family, options, payload, False)
    (key, counts), = new[1].items()
    if reason:
        assert (new[0], key) == ("EPERM", ("", "egress", "deny", reason)), new
    else:
        assert (new[0], key) == (None, ("open", "egress", "allow", "cidr")), new
    assert packets is None or counts[0] == packets, new
    assert outcome(lab, container, family, options, payload, True) == new
    if not octets or not packets:
        return
    wanted = 0 if reason else 2

    def outside() -> int:  # but the ICMP error, with the payload in it, to an echo that finds the socket closed
        return sum(packet["protocol"] not in ICMP for packet in container.arrived(contains=payload[:32]))
    until(lambda: outside() >= wanted, 5, "seen outside as often as allowed")
    assert outside() == wanted


@pytest.mark.parametrize("name", QUOTAS)
def test_datagrams_of_an_open_flow_are_charged_to_whoever_is_limited(world, watch, name):
    container, way = world[name], QUOTAS[name][1]
    assert container.probe("hold", key="flow", family=V4, type=UDP)["error"] is None
    assert container.probe("held_connect", key="flow", address=WHERE[V4], port=9000)["error"] is None
    payload = secrets.token_bytes(OCTETS - 28).hex()
    with watch(container) as seen:
        errors = [container.probe("held_send", key="flow", payload=payload)["error"] for _ in range(SENT)]
        left = HELD if way == "egress" else SENT
        assert errors == [None] * left + ["EPERM"] * (SENT - left)
        seen.counted(left, direction="egress", verdict="allow", reason="cidr")
        seen.counted(HELD, direction="ingress", verdict="allow", reason="inbound")
        seen.counted(SENT - HELD, direction=way, verdict="deny", reason="quota")
    until(lambda: len(container.arrived(contains=payload, protocol=socket.IPPROTO_UDP)) == left, 5, "seen outside as often as allowed")
    container.probe("held_close", key="flow")


@pytest.mark.parametrize("route", [NO_OPS, SOURCE_ROUTE], ids=["no-ops", "source-route"])
def test_a_segment_with_options_does_not_leave_on_an_open_connection(container, watch, route):
    assert container.probe("hold", key="stream", family=V4, type=TCP)["error"] is None
    assert container.probe("held_connect", key="stream", address=WHERE[V4], port=80)["error"] is None
    assert container.probe("held_send", key="stream", payload=b"GET / HTTP/1.1\r\nHost: -\r\n\r\n".hex())["error"] is None
    assert b"200" in bytes.fromhex(container.probe("held_receive", key="stream")["hex"])
    assert container.probe("held_option", key="stream", level=0, name=4, value=route)["error"] is None
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        assert container.probe("held_send", key="stream", payload=mark)["error"] is None, "TCP takes it"
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="ip-options") >= 1, 5, "denied")
    assert seen.grown(direction="egress", verdict="allow") == 0
    assert not container.arrived(contains=mark)


def test_segments_with_extension_headers_are_counted_with_them(lab, world):
    """Each repeats them: two hundred octets of hop-by-hop options."""
    container = world["options"]
    container.netns.run(sys.executable, "-I", str(Path(__file__).parents[1] / "lab/offload.py"), "eth0")

    def grew() -> tuple[tuple[int, int], tuple[int, int]]:
        counted, cable = grown(before[0], rows(lab, container)), container.arrived_sum(destination=WHERE[V6])
        return counted[("open", "egress", "allow", "cidr")], tuple(cable[key] - before[1][key] for key in ("count", "octets"))
    before = rows(lab, container), container.arrived_sum(destination=WHERE[V6])
    assert container.probe("hold", key="stream", family=V6, type=TCP, options=[(41, 54, "0018" + "1ec4" + "00" * 196)])["error"] is None
    assert container.probe("held_connect", key="stream", address=WHERE[V6], port=80)["error"] is None
    request = b"GET / HTTP/1.1\r\nHost: -\r\nX: " + b"x" * 30_000 + b"\r\n\r\n"
    assert container.probe("held_send", key="stream", payload=request.hex())["error"] is None
    assert bytes.fromhex(container.probe("held_receive", key="stream")["hex"]).startswith(b"HTTP/1")
    container.probe("held_close", key="stream")
    until(lambda: grew()[0] == grew()[1] and grew()[0][1] > 30_000 * 1500 / 1228, 5, f"counted and at the cable: {grew()}")
