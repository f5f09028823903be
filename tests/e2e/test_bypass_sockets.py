# SPDX-License-Identifier: Apache-2.0
"""Paths out that are not a way to send: socket families that no IP hook sees, devices of one's own, fragments made by hand, sockets
that others made, and connections that were open when the policy changed. From root with Docker's default capabilities.

Which families are refused depends on the kernel's LSM: the same cases run in the test VMs (vm-tests/guest/smoke.c).
"""
import secrets
import socket
import struct

import pytest

from internet import ODD
from observe import until
from outside import AT_ONCE_US, fence, outsider, take

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  mode: {mode}
  dns: {{resolvers: [{odd}], search: []}}
  allow: [{{name: open, cidrs: [{cidrs}], ports: [tcp/80, udp/9000]}}]
"""
WIDE, NARROW = '198.51.100.0/25, "2001:db8:80::a:0/112", 198.51.100.250/32', '198.51.100.0/25, "2001:db8:80::a:0/112"'
LISTED = (1, 2, 10, 16, 38)  # unix, inet, inet6, netlink, alg
FAMILIES = 46                # AF_MAX of the newest kernel that is tested
UDP, TCP, RAW, SOCK_PACKET = int(socket.SOCK_DGRAM), int(socket.SOCK_STREAM), int(socket.SOCK_RAW), 10
V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)
ALLOWED, DENIED = {V4: "198.51.100.9", V6: "2001:db8:80::a:9"}, {V4: "198.51.100.209", V6: "2001:db8:80::d:9"}
FAMILY = pytest.mark.parametrize("family", [V4, V6], ids=["v4", "v6"])


def apply(lab, **policies: tuple[str, str]) -> None:
    """Containers to (mode, cidrs)."""
    files = {f"{name}.yaml": POLICY.format(name=name, path=lab.containers[name].path, mode=mode, odd=ODD, cidrs=cidrs)
             for name, (mode, cidrs) in policies.items()}
    if not lab.daemon.starts:
        lab.daemon.start(files)
        return
    lab.daemon.write(files)
    lab.daemon.reload()


@pytest.fixture(scope="module")
def world(lab):
    for name in ("docker", "full", "before", "flows"):
        made = lab.container(name)
        if name != "full":
            made.drop_to_docker()
        made.watch_cable()
    lab.cgroups.make("gate", "host")  # no container, as the rest of a host is none
    apply(lab, docker=("enforce", NARROW), full=("enforce", NARROW), before=("audit", NARROW), flows=("enforce", WIDE))
    return lab.containers


def ok(got: dict) -> dict:
    assert got["error"] is None, got
    return got


def refused(got: dict) -> None:
    assert got["error"] == "EPERM" and got["us"] < AT_ONCE_US, got


def ipv4(source: str, destination: str, rest: bytes, protocol: int = 17, fragment: int = 0, id: int = 77) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(rest), id, fragment, 64, protocol, 0) + socket.inet_aton(source) + socket.inet_aton(destination)
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:] + rest


def udp(payload: bytes) -> bytes:
    return struct.pack(">HHHH", 4444, 9000, 8 + len(payload), 0) + payload


# ---- families that no IP hook sees ----

def guard(lab) -> dict:
    return next(f for f in lab.daemon.get("/v1/features")["features"] if f["name"] == "socket-families")


@pytest.mark.covers(hook="lsm", rule="socket-family", family="none", protocol="other")
def test_every_family_outside_the_list_is_refused_or_the_gap_is_said(lab, world, watch):
    unlisted = [n for n in range(FAMILIES) if n not in LISTED]
    ops = [{"op": "make_socket", "family": n, "type": UDP} for n in unlisted] + [{"op": "make_socket", "family": V4, "type": SOCK_PACKET}]
    with watch(world["docker"]) as seen:
        got = world["docker"].probe("batch", ops=ops)["results"]
    if guard(lab)["active"]:
        assert {result["error"] for result in got} == {"EPERM"}, list(zip(unlisted, got))
        seen.counted(len(ops), direction="egress", verdict="deny", reason="socket-family")
        seen.reported(kind="denied", hook="lsm", reason="socket-family")
    else:
        assert "packet sockets and other families" in guard(lab)["loses"] and guard(lab)["detail"], guard(lab)
        assert [r for r in got if r["error"] is None], "at least a packet socket is made: what features says is so"
    for family in LISTED[:4]:
        ok(world["docker"].probe("make_socket", family=family, type=RAW if family == 16 else UDP))


@pytest.mark.parametrize("type, link", [(UDP, ""), (RAW, "ff" * 6 + "02" * 6 + "0800")], ids=["dgram", "raw"])
def test_a_packet_socket_sends_nothing_or_the_gap_is_said(lab, world, watch, type, link):
    container, mark = world["docker"], secrets.token_bytes(16)
    with watch(container) as seen:
        got = container.probe("frame", type=type, frame=link + ipv4(container.v4, DENIED[V4], udp(mark)).hex())
    fence(container)
    if guard(lab)["active"]:
        refused(got)
        seen.counted(direction="egress", verdict="deny", reason="socket-family")
        assert not container.arrived(contains=mark.hex())
    else:
        assert "take CAP_NET_RAW from containers" in guard(lab)["loses"], guard(lab)
        assert got["error"] is None and container.arrived(contains=mark.hex()), "what features says is lost, is"


# ---- devices of one's own ----

def test_no_tun_device_is_made(world):
    got = world["docker"].probe("tun")
    assert got["error"] in ("EPERM", "ENODEV", "ENXIO") and got["us"] < AT_ONCE_US, got
    control = world["full"].probe("tun")
    if control["error"] is None:  # here NET_ADMIN would make one
        assert (got["error"], got["stage"]) == ("EPERM", "TUNSETIFF"), got


@pytest.mark.parametrize("kind", [("vxlan", "id", "7", "remote", DENIED[V4], "dstport", "4789"), ("gre", "remote", DENIED[V4]),
                                  ("dummy",), ("ipvlan", "link", "eth0")], ids=lambda kind: kind[0])
def test_no_tunnel_device_is_made(world, kind):
    parent = ["link", "eth0"] if kind[0] == "ipvlan" else []
    words = ("ip", "link", "add", *parent, "name", "out0", "type", kind[0], *[w for w in kind[1:] if w not in parent])
    run = world["docker"].run(*words)
    assert run.returncode != 0 and "Operation not permitted" in run.stderr, run
    fence(world["docker"])
    assert not world["docker"].arrived(destination=DENIED[V4], port=4789)


# ---- fragments by hand ----

def fragments(container, mark: bytes) -> dict[int, list[tuple[bytes, str]]]:
    """A datagram to where a rule leads, in two pieces: the second hides its ports."""
    whole = udp(mark + bytes(8))
    six = []
    for offset, more, piece in ((0, 1, whole[:16]), (16, 0, whole[16:])):
        head = struct.pack(">BBHI", 17, 0, offset | more, 77)
        ip = struct.pack(">IHBB", 6 << 28, 8 + len(piece), 44, 64) + socket.inet_pton(V6, container.v6) + socket.inet_pton(V6, ALLOWED[V6])
        six.append((ip + head + piece, ALLOWED[V6]))
    four = [(ipv4(container.v4, ALLOWED[V4], whole[:16], fragment=0x2000), ALLOWED[V4]),
            (ipv4(container.v4, ALLOWED[V4], whole[16:], fragment=2), ALLOWED[V4])]
    return {V4: four, V6: six}


@pytest.mark.covers(hook="egress", rule="raw-socket", family="v4 v6", protocol="other")
def test_fragments_made_by_hand_leave_while_watched_and_not_when_enforced(lab, world, watch):
    """The raw sockets are made in audit mode, where nothing is refused; they are of no use afterwards."""
    container = world["before"]
    for family in (V4, V6):
        ok(container.probe("hold", key=f"raw{family}", family=family, type=RAW, protocol=255))
    for enforced in (False, True):
        if enforced:
            apply(lab, docker=("enforce", NARROW), full=("enforce", NARROW), before=("enforce", NARROW), flows=("enforce", WIDE))
        for family in (V4, V6):
            mark = secrets.token_bytes(16)
            for number, (packet, destination) in enumerate(fragments(container, mark)[family]):
                with watch(container) as seen:
                    got = container.probe("held_send", key=f"raw{family}", payload=packet.hex(), address=destination)
                seen.counted(direction="egress", verdict="deny" if enforced else "would-deny", reason="raw-socket")
                refused(got) if enforced else ok(got)
            fence(container)
            for piece in (mark[:8], mark[8:]):
                assert bool(container.arrived(contains=piece.hex())) != enforced, (family, enforced)


# ---- sockets that others made ----

@FAMILY
def test_a_socket_that_is_handed_out_stays_the_containers(lab, world, watch, family):
    container = world["docker"]
    ok(container.probe("hold", key="out", family=family, type=UDP))
    mark, twin = secrets.token_bytes(16), secrets.token_bytes(16)
    with watch(container) as seen, take(container, lab.directory, "out") as taken:
        with pytest.raises(PermissionError):
            taken.sendto(mark, (DENIED[family], 9000))
        taken.sendto(twin, (ALLOWED[family], 9000))
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    seen.reported(kind="denied", hook="egress", reason="no-rule", remote=DENIED[family])
    until(lambda: container.arrived(contains=twin.hex()), 5, "the allowed twin left")
    fence(container)
    assert not container.arrived(contains=mark.hex())


def attempts(call, container, watch, family: int, key: str) -> None:
    """What a socket of somebody else can do in the hands of a contained process."""
    ok(call(op="held_connect", key=f"{key} connected", address=DENIED[family], port=9000))
    granted, mark = secrets.token_hex(16), secrets.token_hex(16)
    with watch(container) as seen:
        ok(call(op="held_send", key=f"{key} connected", payload=granted))
        assert seen.grown(verdict="deny") == 0
        refused(call(op="held_send", key=f"{key} loose", payload=mark, address=DENIED[family], port=9000))
        refused(call(op="held_connect", key=f"{key} stream", address=DENIED[family], port=80))
        seen.counted(2, direction="egress", verdict="deny", reason="no-rule")
    until(lambda: container.arrived(contains=granted), 5, "documented: what the giver's cgroup may, it may")
    fence(container)
    assert not container.arrived(contains=mark)
    assert not container.arrived(destination=DENIED[family], protocol=6)


def hold_three(agent, family: int, key: str) -> None:
    for name, type in (("connected", UDP), ("loose", UDP), ("stream", TCP)):
        ok(agent.call(10, op="hold", key=f"{key} {name}", family=family, type=type))


@FAMILY
def test_a_socket_that_is_handed_in_can_do_what_its_giver_granted(lab, world, watch, family):
    """A socket belongs to the cgroup of its maker: docs/threat-model.md, what stays open. The early hooks see the caller all the same."""
    container, giver = world["docker"], outsider(world["docker"], lab.gate / "host")
    try:
        hold_three(giver, family, "in")
        for name in ("connected", "loose", "stream"):
            path = str(lab.directory / f"in-{secrets.token_hex(4)}")
            ok(container.probe("handed_wait", path=path))
            ok(giver.call(10, op="held_pass", key=f"in {name}", path=path))
            ok(container.probe("handed_take", key=f"in {name}"))
    finally:
        giver.close()
    attempts(lambda **request: container.agent().call(10, **request), container, watch, family, "in")


@FAMILY
def test_a_socket_from_before_its_maker_joined_the_container(lab, world, watch, family):
    container, joiner = world["docker"], outsider(world["docker"], lab.gate / "host")
    try:
        hold_three(joiner, family, "old")
        (container.cgroup / "cgroup.procs").write_text(str(joiner.process.pid))
        attempts(lambda **request: joiner.call(10, **request), container, watch, family, "old")
        ok(joiner.call(10, op="hold", key="new", family=family, type=UDP))
        ok(joiner.call(10, op="held_connect", key="new", address=DENIED[family], port=9000))
        with watch(container) as seen:
            refused(joiner.call(10, op="held_send", key="new", payload="55"))
        seen.counted(direction="egress", verdict="deny", reason="no-rule")
    finally:
        joiner.close()


# ---- connections that were open ----

WRITES = ("send", "sendfile", "splice", "zerocopy", "uring inline", "uring async", "uring sqpoll")


def test_on_an_open_connection_that_a_policy_cuts_nothing_is_written_out(lab, world, watch):
    """However the octets are written; the kernel takes them, the packet hook lets none go."""
    container, where = world["flows"], "198.51.100.250"
    marks = {how: (secrets.token_hex(16), secrets.token_hex(16)) for how in WRITES}
    for how in WRITES:
        ok(container.probe("hold", key=how, family=V4, type=TCP))
        ok(container.probe("held_connect", key=how, address=where, port=80))
        if container.probe("write_by", key=how, how=how, payload=marks[how][0]).get("disabled"):
            marks.pop(how)
    for allowed, _ in marks.values():
        until(lambda: container.arrived(contains=allowed), 5, "written while it was allowed")
    apply(lab, docker=("enforce", NARROW), full=("enforce", NARROW), before=("enforce", NARROW), flows=("enforce", NARROW))
    for how, (_, cut) in marks.items():
        with watch(container) as seen:
            ok(container.probe("write_by", key=how, how=how, payload=cut))
            until(lambda: seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1, 5, f"{how}: counted")
        seen.reported(kind="denied", hook="egress", reason="no-rule", remote=where)
    fence(container)
    for how, (_, cut) in marks.items():
        assert not container.arrived(contains=cut), how
