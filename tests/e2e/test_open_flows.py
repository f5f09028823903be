# SPDX-License-Identifier: Apache-2.0
"""Flows that outlive the name they were opened under: its expiry and unrelated changes do not touch them, losing the name cuts them."""
import socket

import pytest

from internet import ODD
from observe import Counters, until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: flows}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: [], minTTL: 1s}}
  allow:
    - {{name: quic, domains: [{domains}], ports: [tcp/80, udp/9000]}}
    - {{name: crowd, cidrs: ["2001:db8:80::c:0/112"], ports: [udp/9000]}}
"""
V4, UDP = int(socket.AF_INET), int(socket.SOCK_DGRAM)


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("flows")
    lab.daemon.start({"flows.yaml": text(made, '"*.odd.test"')})
    return made


def text(container, domains: str) -> str:
    return POLICY.format(path=container.path, resolver=ODD, domains=domains)


def change(lab, container, domains: str) -> None:
    """In force when this returns."""
    lab.daemon.write({"flows.yaml": text(container, domains)})
    lab.daemon.reload()


def learn(container, octet: int) -> str:
    """An address that is good for some two seconds."""
    got = container.probe("query", server=ODD, name=f"ttl1.198-51-100-{octet}.odd.test")
    assert got["addresses"] == [f"198.51.100.{octet}"], got
    return got["addresses"][0]


def expired(container, op: str, address: str, port: int) -> None:
    until(lambda: container.probe(op, address=address, port=port)["error"] == "EPERM", 15, f"{address} expires for new flows", 0.1)


def echoed(container, address: str) -> dict:
    sent = container.probe("held_send", key="quic", payload="51", address=address, port=9000)
    if sent["error"] is None:
        assert container.probe("held_receive", key="quic")["from"] == address
    return sent


def test_an_open_udp_flow_outlives_its_name(lab, container, watch):
    change(lab, container, '"*.odd.test"')
    address = learn(container, 110)
    container.probe("hold", key="quic", family=V4, type=UDP)
    assert echoed(container, address)["error"] is None
    with watch(container) as seen:
        expired(container, "udp", address, 9000)
    assert seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1
    with watch(container) as seen:
        for _ in range(20):
            assert echoed(container, address)["error"] is None
    seen.counted(20, direction="egress", verdict="allow", reason="learned", rule="quic")
    change(lab, container, '"*.odd.test", more.test')
    assert echoed(container, address)["error"] is None, "an unrelated change"
    change(lab, container, "more.test")
    with watch(container) as seen:
        assert echoed(container, address)["error"] == "EPERM", "at once"
    seen.counted(direction="egress", verdict="deny", reason="no-rule")


PEERS = 512  # UDP conversations that a container can have at once


def test_a_udp_flow_that_is_forgotten_ends_with_its_name(lab, container, watch):
    """It is forgotten after 120 s of silence; here because newer ones have taken its place, which is sooner. Red when the socket alone
    remembers the name (bpf/lib/known.h: of TCP only)."""
    change(lab, container, '"*.odd.test"')
    address = learn(container, 112)
    assert container.probe("hold", key="silent", family=V4, type=UDP)["error"] is None
    assert container.probe("held_connect", key="silent", address=address, port=9000)["error"] is None
    for _ in range(3):
        assert container.probe("held_send", key="silent", payload="51")["error"] is None
    expired(container, "udp", address, 9000)
    assert container.probe("held_send", key="silent", payload="51")["error"] is None, "still open"
    newer = [{"op": "exchange", "server": "2001:db8:80::c:1", "port": 9000, "message": "52", "wait": False}] * (PEERS + 50)
    assert {one["error"] for one in container.probe("batch", ops=newer)["results"]} == {None}
    with watch(container) as seen:
        until(lambda: container.probe("held_send", key="silent", payload="53")["error"] == "EPERM", 5, "denied", 0.1)
    assert seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1


def octets(container) -> int:
    return container.probe("stream_status", key="long")["octets"]


def flows(container, watch) -> None:
    """It grows, and its acknowledgements leave: octets alone would come until the sender's window is full."""
    start = octets(container)
    with watch(container) as seen:
        until(lambda: octets(container) > start + 20_000, 10, "the download flows")
        until(lambda: seen.grown(direction="egress", verdict="allow", reason="learned", rule="quic") >= 10, 10, "it is acknowledged")
    assert seen.grown(verdict="deny") == 0


def test_a_download_outlives_its_name(lab, container, watch):
    change(lab, container, '"*.odd.test"')
    address = learn(container, 111)
    assert container.probe("stream_open", key="long", address=address, port=80)["error"] is None
    with watch(container) as seen:
        expired(container, "connect", address, 80)
    assert seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1
    flows(container, watch)
    change(lab, container, '"*.odd.test", more.test')
    flows(container, watch)
    change(lab, container, "more.test")
    before, got = Counters(lab.daemon, container.path), octets(container)
    # Its acknowledgements are denied: the sender's window fills, which is within a few hundred kilobytes.
    until(lambda: Counters(lab.daemon, container.path).of(direction="egress", verdict="deny", reason="no-rule")
          > before.of(direction="egress", verdict="deny", reason="no-rule"), 10, "the open flow's packets are denied")
    assert container.probe("stream_send", key="long")["error"] in (None, "EPERM")
    assert octets(container) - got < 500_000
    allowed = Counters(lab.daemon, container.path).of(direction="egress", verdict="allow", reason="learned")
    assert allowed == before.of(direction="egress", verdict="allow", reason="learned"), "nothing more left under the name"
    container.probe("stream_close", key="long")
