# SPDX-License-Identifier: Apache-2.0
"""What a container prepares while nothing is enforced (before the daemon, in audit, under birth allow) is of no use afterwards."""
import secrets
import socket
import struct

import pytest

from internet import ODD
from observe import learned, until

OWN = "127.0.0.53"
POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  mode: {mode}
  dns: {{resolvers: [{odd}, {own}], search: []}}
  allow:
    - {{name: web, domains: ["*.odd.test"], ports: [tcp/80]}}
    - {{name: fence, cidrs: [198.51.100.50/32], ports: [udp/9000]}}
"""
UDP, TCP, RAW = int(socket.SOCK_DGRAM), int(socket.SOCK_STREAM), int(socket.SOCK_RAW)
V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)
# family: option that lends an address, the lent address (an echo server is there), loopback
LENT = {V4: ([0, 19, 1], "198.51.100.77", "127.0.0.1"), V6: ([41, 78, 1], "2001:db8:80::4d", "::1")}


def write(lab, **modes: str) -> None:
    """The policies of the containers, by mode."""
    files = {f"{name}.yaml": POLICY.format(name=name, path=lab.containers[name].path, mode=mode, odd=ODD, own=OWN)
             for name, mode in modes.items()}
    if lab.daemon.starts:
        lab.daemon.write(files)
        lab.daemon.reload()
    else:
        resolv_conf = lab.directory / "host-resolv.conf"  # under birth allow, only the host's resolvers teach
        resolv_conf.write_text(f"nameserver {ODD}\nnameserver {OWN}\n")
        lab.daemon.start(files, "--resolv-conf", str(resolv_conf))


def prepare(container) -> None:
    """Sockets that enforcement would not let it make."""
    container.watch_cable()
    for family, (option, lent, _) in LENT.items():
        ok(container.probe("hold", key=f"lent{family}", family=family, type=UDP, options=[option], address=lent, port=9000))
        ok(container.probe("hold", key=f"mine{family}", family=family, type=UDP, port=5550 + family))
        ok(container.probe("hold", key=f"raw{family}", family=family, type=RAW, protocol=255))  # with a header of its own
    ok(container.probe("hold", key="resolver", family=V4, type=UDP, options=[LENT[V4][0]], address=ODD, port=5556))
    ok(container.probe("hold", key="moving", family=V4, type=UDP, options=[LENT[V4][0]]))
    ok(container.probe("hold", key="rawtcp", family=V4, type=RAW, protocol=6))


def ok(seen: dict) -> dict:
    assert seen["error"] is None, seen
    return seen


def fence(container) -> None:
    """What was sent before this has arrived, if it left."""
    mark = secrets.token_hex(16)
    got = ok(container.probe("exchange", server="198.51.100.50", port=9000, message=mark))
    assert got["replies"], "the echo server does not answer"
    until(lambda: container.arrived(contains=mark), 5, "the fence arrives")


@pytest.fixture(scope="module")
def world(lab):
    """Prepared in each way that there is; then all are enforced."""
    early, audited = lab.container("early"), lab.container("audited")
    prepare(early)
    write(lab, audited="audit")
    later = lab.container("docker-" + secrets.token_hex(32) + ".scope")
    lab.containers["later"] = later
    prepare(audited)
    prepare(later)
    for container, octet in ((audited, 90), (later, 92)):
        name = f"plain.198-51-100-{octet + 1}.odd.test"
        forged = ok(container.probe("answer_myself", server=OWN, name=f"forged.198-51-100-{octet}.odd.test", address=f"198.51.100.{octet}"))
        assert forged["addresses"] == [f"198.51.100.{octet}"], forged
        assert ok(container.probe("query", server=ODD, name=name))["addresses"] == [f"198.51.100.{octet + 1}"]
    assert {"198.51.100.90", "198.51.100.91"} <= set(learned(lab.daemon, audited.path)), "both teach in audit"
    assert {"198.51.100.92", "198.51.100.93"} <= set(learned(lab.daemon, later.path)), "both teach under birth allow"
    ok(later.probe("answer_myself", server="127.0.0.54", name="unlisted.odd.test", address="198.51.100.94"))
    assert "198.51.100.94" not in learned(lab.daemon, later.path), "it is no resolver of the host"
    write(lab, early="enforce", audited="enforce", later="enforce")
    return {"early": early, "audited": audited, "later": later}


PREPARED = pytest.mark.parametrize("how", ["early", "audited", "later"])


@PREPARED
@pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])
def test_a_lent_address_gets_no_right_to_be_answered(world, watch, how, family):
    """It writes to itself over lo as somebody else; that gives no right to write to somebody else."""
    container, (_, lent, loopback) = world[how], LENT[family]
    mark = secrets.token_hex(16)
    ok(container.probe("held_send", key=f"lent{family}", payload="01", address=loopback, port=5550 + family))
    got = ok(container.probe("held_receive", key=f"mine{family}"))
    assert (got["from"], got["port"]) == (lent, 9000), got
    with watch(container) as seen:
        got = container.probe("held_send", key=f"mine{family}", payload=mark, address=lent, port=9000)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    fence(container)
    assert not container.arrived(contains=mark)


@PREPARED
def test_the_resolvers_address_as_source_is_denied(world, watch, how):
    """Even to where a rule would let it go."""
    mark = secrets.token_hex(16)
    with watch(world[how]) as seen:
        got = world[how].probe("held_send", key="resolver", payload=mark, address="198.51.100.50", port=9000)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="source-address")
    seen.reported(kind="denied", hook="egress", reason="source-address")
    fence(world[how])
    assert not world[how].arrived(contains=mark)


@PREPARED
def test_nor_is_it_the_source_of_a_flow_that_was_open_before(world, watch, how):
    """Its socket spoke to the same peer from an address of its own until a moment ago."""
    container, mark = world[how], secrets.token_hex(16)
    ok(container.probe("held_connect", key="moving", address="198.51.100.50", port=9000))
    for _ in range(4):
        ok(container.probe("held_send", key="moving", payload="01"))
    ok(container.probe("held_disconnect", key="moving"))
    ok(container.probe("held_bind", key="moving", address=ODD, port=53))
    ok(container.probe("held_connect", key="moving", address="198.51.100.50", port=9000))
    with watch(container) as seen:
        got = container.probe("held_send", key="moving", payload=mark)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="source-port")
    fence(container)
    assert not container.arrived(contains=mark)


def tcp(source: str, destination: str, flags: int, payload: bytes) -> bytes:
    """A TCP segment to port 80 with its checksum."""
    head = struct.pack(">HHIIBBHHH", 4444, 80, 1, 1, 5 << 4, flags, 65535, 0, 0) + payload
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">HH", 6, len(head))
    both = pseudo + head + bytes(len(head) % 2)
    total = sum(struct.unpack(f">{len(both) // 2}H", both))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:16] + struct.pack(">H", ~total & 0xFFFF) + head[18:]


def ipv4(source: str, destination: str, protocol: int, rest: bytes) -> bytes:
    """The kernel fills in length and checksum."""
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0) + socket.inet_aton(source) + \
        socket.inet_aton(destination) + rest


def udp(payload: bytes) -> bytes:
    return struct.pack(">HHHH", 4444, 9000, 8 + len(payload), 0) + payload


def raw_packets(container, mark: bytes) -> list[tuple[str, bytes, str]]:
    """(held socket, packet, destination): all say what a gate that believed them would let pass."""
    me, out = container.v4, "198.51.100.9"
    v6 = struct.pack(">IHBB", 6 << 28, 8 + len(mark), 17, 64) + socket.inet_pton(V6, "2001:db8:80::99") + \
        socket.inet_pton(V6, "2001:db8:80::9") + udp(mark)
    return [
        (f"raw{V4}", ipv4(me, out, 6, tcp(me, out, 0x12, mark)), out),             # SYN+ACK with payload
        (f"raw{V4}", ipv4(me, out, 6, tcp(me, out, 0x12, b"")), out),              # and without
        (f"raw{V4}", ipv4(me, out, 6, tcp(me, out, 0x18, mark)), out),             # PSH+ACK
        ("rawtcp", tcp(me, out, 0x12, mark), out),
        (f"raw{V4}", ipv4("203.0.113.99", out, 17, udp(mark)), out),               # from a source that is not ours
        (f"raw{V4}", ipv4(me, "198.51.100.50", 17, udp(mark)), "198.51.100.50"),   # where a rule would let it go
        (f"raw{V4}", ipv4(ODD, me, 17, udp(mark)), me),                            # to itself as the resolver
        (f"raw{V6}", v6, "2001:db8:80::9"),
    ]


@PREPARED
@pytest.mark.parametrize("number", range(8))
def test_a_raw_socket_from_before_sends_nothing(world, watch, how, number):
    container, mark = world[how], secrets.token_bytes(16)
    key, packet, destination = raw_packets(container, mark)[number]
    with watch(container) as seen:
        got = container.probe("held_send", key=key, payload=packet.hex(), address=destination)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="raw-socket")
    seen.reported(kind="denied", hook="egress", reason="raw-socket")
    fence(container)
    assert not container.arrived(contains=mark.hex())
    assert not container.arrived(protocol=6, source_port=4444)


@pytest.mark.parametrize("how, address", [("audited", "198.51.100.90"), ("later", "198.51.100.92"), ("later", "198.51.100.94")])
def test_an_answer_of_its_own_opens_nothing(world, watch, how, address):
    with watch(world[how]) as seen:
        got = world[how].probe("connect", address=address, port=80)
    assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    fence(world[how])
    assert not world[how].arrived(destination=address)


@pytest.mark.parametrize("how, address", [("audited", "198.51.100.91"), ("later", "198.51.100.93")])
def test_an_answer_of_the_resolver_stays_good(world, watch, how, address):
    """No new query is needed after the change to enforce."""
    with watch(world[how]) as seen:
        assert world[how].probe("http", address=address, port=80)["error"] is None
    assert seen.grown(direction="egress", reason="dns-query") == 0
    assert seen.grown(direction="egress", verdict="allow", reason="learned") >= 1
