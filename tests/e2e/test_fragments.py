# SPDX-License-Identifier: Apache-2.0
"""Datagrams that IP cuts after the gate are counted as the packets and octets that they are on the cable, whatever decides how small the
pieces are: the device, the route, what was learned of the path, the socket. Of new flows and of open ones.

Red when bpf/lib/kernel.h takes the device's MTU for all of them.
"""
import socket
import sys
from pathlib import Path

import pytest

from load import grown
from observe import until

OFFLOAD = Path(__file__).parents[1] / "lab/offload.py"
V4, V6, UDP = int(socket.AF_INET), int(socket.AF_INET6), int(socket.SOCK_DGRAM)
FAR, BEHIND_SLIM, SLIM, ROUTED = {V4: "198.18.0.", V6: "2001:db8:99::"}, {V4: "198.18.1.", V6: "2001:db8:99:1::"}, 1300, 1400
POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: cut}}
spec:
  select: [{{cgroup: {path}}}]
  allow: [{{name: far, cidrs: [198.18.0.0/23, "2001:db8:99::/63"], ports: [udp/9000]}}]
"""
DONT, WANTS_1280, DO = (0, 10, 0), (41, 24, 1280), {V4: (0, 10, 2), V6: (41, 23, 2)}  # IP_MTU_DISCOVER, IPV6_MTU, IPV6_MTU_DISCOVER
# (family, what makes pieces small, options of the socket, octets of the datagram)
CASES = {
    "v4 device": (V4, "", [], 8000), "v4 route": (V4, "route", [], 8000), "v4 path": (V4, "path", [], 8000),
    "v4 not cut": (V4, "", [DONT], 1400), "v4 device, a little": (V4, "", [DONT], 1473), "v4 route, a little": (V4, "route", [DONT], 1390),
    "v4 path, a little": (V4, "path", [DONT], 1290),
    "v6 device": (V6, "", [], 8000), "v6 route": (V6, "route", [], 8000), "v6 path": (V6, "path", [], 8000),
    "v6 socket": (V6, "", [WANTS_1280], 8000), "v6 socket, longest": (V6, "", [WANTS_1280], 65000),
    "v6 socket, a little": (V6, "", [WANTS_1280], 1400), "v6 device, a little": (V6, "", [], 1453),
    "v6 path, a little": (V6, "path", [], 1290), "v6 socket and path": (V6, "path", [WANTS_1280], 8000),
}
SENDS = 4  # the first on a new flow


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("cut")
    lab.daemon.start({"cut.yaml": POLICY.format(path=made.path)})
    made.watch_cable()
    made.netns.run(sys.executable, "-I", str(OFFLOAD), "eth0")
    router = lab.internet.netns
    router.ip("link", "add", "slim", "mtu", str(SLIM), "arp", "off", "type", "veth", "peer", "name", "nowhere")
    for device in ("slim", "nowhere"):
        router.ip("link", "set", device, "up")
    for family, rest in ((V4, "0/24"), (V6, "/64")):
        router.ip("route", "add", "blackhole", FAR[family] + rest)
        router.ip("route", "add", BEHIND_SLIM[family] + rest, "dev", "slim")
    return made


def allowed(lab, container) -> tuple[int, int]:
    rows = lab.daemon.get(f"/v1/counters?container={container.path}")["counters"]
    return grown([], rows).get(("far", "egress", "allow", "cidr"), (0, 0))


def make_small(container, family: int, how: str, address: str) -> None:
    if how == "route":
        via = container.v4.rsplit(".", 1)[0] + ".1" if family == V4 else container.v6.rsplit("::", 1)[0] + "::1"
        container.netns.ip("route", "add", address, "via", via, "mtu", str(ROUTED))
    if how == "path":  # the router on the way says so, once
        container.probe("hold", key="scout", family=family, type=UDP, options=[DO[family]])
        container.probe("held_connect", key="scout", address=address, port=9000)
        until(lambda: container.probe("held_send", key="scout", payload=bytes(SLIM + 50).hex())["error"] == "EMSGSIZE", 5, "it is known")
        container.probe("held_close", key="scout")


class Cable:
    """What came out towards one address since."""

    def __init__(self, container, address: str):
        self.container, self.address = container, address
        self.before = container.arrived_sum(destination=address)

    def seen(self) -> tuple[int, int]:
        now = self.container.arrived_sum(destination=self.address)
        assert not now["missed"]
        return now["count"] - self.before["count"], now["octets"] - self.before["octets"]


@pytest.mark.parametrize("case", CASES)
def test_a_datagram_is_counted_as_its_pieces_on_the_cable(lab, container, case):
    family, how, options, octets = CASES[case]
    address = (BEHIND_SLIM if how == "path" else FAR)[family] + str(100 + list(CASES).index(case))
    make_small(container, family, how, address)
    cable, before = Cable(container, address), allowed(lab, container)
    hold(container, family, address, options)
    for _ in range(SENDS):
        assert container.probe("held_send", key="flow", payload=bytes(octets).hex())["error"] is None
    container.probe("held_close", key="flow")
    counted = tuple(now - then for now, then in zip(allowed(lab, container), before))
    until(lambda: cable.seen()[0] >= counted[0], 5, f"{counted} at the cable, which saw {cable.seen()}")
    assert counted == cable.seen()


def hold(container, family: int, address: str, options: list) -> None:
    assert container.probe("hold", key="flow", family=family, type=UDP, options=options)["error"] is None
    assert container.probe("held_connect", key="flow", address=address, port=9000)["error"] is None


def want_less(container, family: int, less: bool) -> None:
    """Of the next that is corked: by the socket over IPv6, which IPv4 has not, and there by the device."""
    if family == V6:
        container.probe("held_option", key="flow", level=41, name=24, value=1280 if less else 0)
    else:
        container.netns.ip("link", "set", "eth0", "mtu", "1300" if less else "1500")


@pytest.mark.parametrize("octets", [700, 15_000])
@pytest.mark.parametrize("sends", [1, 3])
@pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
def test_pieces_that_were_laid_out_before_longer_ones_would_do_are_counted_as_they_are(lab, container, family, sends, octets):
    """Corked under an MTU that is larger when it leaves."""
    address = FAR[family] + f"20{sends}"
    cable, before = Cable(container, address), allowed(lab, container)
    hold(container, family, address, [(17, 1, 1)])  # UDP_CORK
    want_less(container, family, True)
    try:
        for _ in range(sends):
            assert container.probe("held_send", key="flow", payload=bytes(octets).hex())["error"] is None
    finally:
        want_less(container, family, False)
    container.probe("held_option", key="flow", level=17, name=1, value=0)
    until(lambda: cable.seen()[1] > sends * octets, 5, "it leaves")
    counted = tuple(now - then for now, then in zip(allowed(lab, container), before))
    assert counted == cable.seen()
    container.probe("held_close", key="flow")


OPTIONS = "00" + "b2" + ("1efd" + "00" * 253) * 5 + "1e99" + "00" * 153  # hop-by-hop, 1,432 octets, which each piece would repeat


def test_a_datagram_with_long_options_is_not_cut_but_denied(container, watch):
    address = FAR[V6] + "210"
    cable = Cable(container, address)
    hold(container, V6, address, [(41, 54, OPTIONS)])
    with watch(container) as seen:
        assert container.probe("held_send", key="flow", payload=bytes(2400).hex())["error"] == "EPERM"
        seen.counted(1, direction="egress", verdict="deny", reason="extension-header")
    assert cable.seen() == (0, 0)
    container.probe("held_close", key="flow")


HOP_BY_HOP = (41, 54, "0018" + "1ec4" + "00" * 196)  # 200 octets
PROBE, MORE = 3, 0x8000  # IP_PMTUDISC_PROBE: by the device's MTU; MSG_MORE
# (family, options of the socket, octets of a segment: with its headers as long as the device takes)
SEGMENTS = {"v4": (V4, [], 1472), "v6": (V6, [], 1452), "v6 with options": (V6, [HOP_BY_HOP], 1252)}


def gather(container, case: str, address: str, sends: int) -> None:
    """On a flow that has sent so often: all but the last of ten segments of one buffer, made for the device; the next send sends them."""
    family, options, segment = SEGMENTS[case]
    hold(container, family, address, [])
    for _ in range(sends):
        assert container.probe("held_send", key="flow", payload="55")["error"] is None
    for level, name, value in (*options, (*DO[family][:2], PROBE), (17, 103, segment)):
        assert container.probe("held_option", key="flow", level=level, name=name, value=value)["error"] is None
    assert container.probe("held_send", key="flow", payload=bytes(9 * segment).hex(), flags=MORE)["error"] is None


@pytest.mark.parametrize("open_flow", [False, True], ids=["new flow", "open flow"])
@pytest.mark.parametrize("case", SEGMENTS)
def test_segments_that_the_path_would_cut_are_denied(container, watch, case, open_flow):
    """Made for the device, and sent when the route counts again."""
    family, _, segment = SEGMENTS[case]
    address = FAR[family] + str(220 + 2 * list(SEGMENTS).index(case) + open_flow)
    make_small(container, family, "route", address)
    cable = Cable(container, address)
    gather(container, case, address, SENDS if open_flow else 0)
    container.probe("held_option", key="flow", level=DO[family][0], name=DO[family][1], value=0)
    with watch(container) as seen:
        assert container.probe("held_send", key="flow", payload=bytes(segment).hex())["error"] == "EPERM"
        seen.counted(10, direction="egress", verdict="deny", reason="fragment")
    assert cable.seen()[0] == (SENDS if open_flow else 0)
    container.probe("held_close", key="flow")


@pytest.mark.parametrize("open_flow", [False, True], ids=["new flow", "open flow"])
@pytest.mark.parametrize("case", SEGMENTS)
def test_segments_that_the_path_takes_leave_whole_whatever_the_socket_wants_of_pieces(lab, container, case, open_flow):
    """An IPV6_MTU is for what is cut."""
    family, _, segment = SEGMENTS[case]
    address = FAR[family] + str(230 + 2 * list(SEGMENTS).index(case) + open_flow)
    gather(container, case, address, SENDS if open_flow else 0)
    if family == V6:
        container.probe("held_option", key="flow", level=41, name=24, value=1280)
    cable, before = Cable(container, address), allowed(lab, container)
    assert container.probe("held_send", key="flow", payload=bytes(segment).hex())["error"] is None
    assert tuple(now - then for now, then in zip(allowed(lab, container), before)) == (10, 15_000)
    until(lambda: cable.seen() == (10, 15_000), 5, f"at the cable, which saw {cable.seen()}")
    container.probe("held_close", key="flow")


def test_a_datagram_made_for_a_device_that_takes_it_and_sent_elsewhere_by_nat_is_counted_as_its_pieces(lab, container):
    """It has "don't fragment" from the first route, lo's, and is cut all the same."""
    mine, address = FAR[V4] + "240", FAR[V4] + "241"
    container.netns.ip("address", "add", f"{mine}/32", "dev", "lo")
    rule = f"table ip elsewhere {{ chain out {{ type nat hook output priority -100; ip daddr {mine} udp dport 9000 dnat to {address}\n}}\n}}"
    container.netns.run("nft", rule)
    cable, before = Cable(container, address), allowed(lab, container)
    hold(container, V4, mine, [])
    for _ in range(SENDS):
        assert container.probe("held_send", key="flow", payload=bytes(8000).hex())["error"] is None
    container.probe("held_close", key="flow")
    container.netns.run("nft", "delete table ip elsewhere")
    container.netns.ip("address", "del", f"{mine}/32", "dev", "lo")
    until(lambda: cable.seen()[0] >= 6 * SENDS, 5, "at the cable")
    assert tuple(now - then for now, then in zip(allowed(lab, container), before)) == cable.seen()
