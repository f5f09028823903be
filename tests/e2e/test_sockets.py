# SPDX-License-Identifier: Apache-2.0
"""Options that lend an address, sockets that change their peer or their owner, and port 53 as a port of one's own."""
import array
import ctypes
import secrets
import select
import socket

import pytest

from observe import until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: sockets}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [203.0.113.55], search: []}}
  allow:
    - {{name: web, cidrs: [198.51.100.60/32, "2001:db8:80::3c/128"], ports: [tcp/80]}}
    - {{name: fence, cidrs: [198.51.100.50/32, "2001:db8:80::32/128"], ports: [udp/9000]}}
"""
UDP, TCP = int(socket.SOCK_DGRAM), int(socket.SOCK_STREAM)
V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("sockets")
    lab.daemon.start({"sockets.yaml": POLICY.format(path=made.path)})
    made.watch_cable()
    return made


def fence(container) -> None:
    """What was sent before this has arrived, if it left."""
    mark = secrets.token_hex(16)
    got = container.probe("exchange", server="198.51.100.50", port=9000, message=mark)
    assert got["error"] is None and got["replies"], got
    until(lambda: container.arrived(contains=mark), 5, "the fence arrives")


@pytest.mark.covers(hook="setsockopt", rule="source", family="v4 v6", protocol="tcp udp")
@pytest.mark.parametrize("type", [UDP, TCP], ids=["udp", "tcp"])
@pytest.mark.parametrize("family, level, name", [(V4, 0, 15), (V4, 0, 19), (V6, 41, 75), (V6, 41, 78)],
                         ids=["IP_FREEBIND", "IP_TRANSPARENT", "IPV6_TRANSPARENT", "IPV6_FREEBIND"])
def test_options_that_lend_an_address_are_refused(container, watch, family, level, name, type):
    container.probe("hold", key="lent", family=family, type=type)
    with watch(container) as seen:
        got = container.probe("held_option", key="lent", level=level, name=name)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="source-address")
    seen.reported(kind="denied", hook="setsockopt", reason="source-address")


def test_other_options_are_nobodys_business(container, watch):
    """Also those whose value is longer than a page, which a hook that looked at it would break."""
    container.probe("hold", key="plain", family=V4, type=UDP)
    with watch(container) as seen:
        for level, name in ((int(socket.SOL_SOCKET), int(socket.SO_REUSEADDR)), (int(socket.SOL_SOCKET), int(socket.SO_RCVBUF)), (0, 1)):
            assert container.probe("held_option", key="plain", level=level, name=name)["error"] is None
    assert seen.grown(verdict="deny") == 0


def test_ip_options_are_denied_by_reason(container, watch):
    """Also to where a rule would let them go."""
    no_ops = [0, 4, "01010101"]  # IP_OPTIONS
    assert container.probe("hold", key="options", family=V4, type=UDP, options=[no_ops])["error"] is None
    assert container.probe("held_connect", key="options", address="198.51.100.50", port=9000)["error"] is None
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        assert container.probe("held_send", key="options", payload=mark)["error"] == "EPERM"
    seen.counted(direction="egress", verdict="deny", reason="ip-options")
    fence(container)
    assert not container.arrived(contains=mark)


@pytest.mark.parametrize("how, op, options", [("connected", "held_send", []), ("gso", "held_send", [[17, 103, 8]]),
                                              ("sendfile", "held_sendfile", [])])
@pytest.mark.parametrize("family, address", [(V4, "198.51.100.61"), (V6, "2001:db8:80::3d")], ids=["v4", "v6"])
def test_however_a_datagram_is_sent(container, watch, family, address, how, op, options):
    """A UDP connect() is nobody's business; what is then sent has no address for the early hooks to see."""
    container.probe("hold", key=how, family=family, type=UDP, options=options)
    assert container.probe("held_connect", key=how, address=address, port=9000)["error"] is None
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        got = container.probe(op, key=how, payload=mark)
        assert got["error"] == "EPERM", got
    seen.counted(2 if how == "gso" else 1, direction="egress", verdict="deny", reason="no-rule")
    seen.reported(kind="denied", hook="egress", reason="no-rule", remote=address)
    fence(container)
    assert not container.arrived(contains=mark[:16])


OPEN = pytest.mark.parametrize("family, allowed, denied", [(V4, "198.51.100.60", "198.51.100.61"), (V6, "2001:db8:80::3c", "2001:db8:80::3d")],
                               ids=["v4", "v6"])


def open_web(container, family: int, address: str) -> None:
    container.probe("hold", key="web", family=family, type=TCP)
    assert container.probe("held_connect", key="web", address=address, port=80)["error"] is None
    assert container.probe("held_send", key="web", payload=b"GET / HTTP/1.1\r\nHost: -\r\n\r\n".hex())["error"] is None
    assert b"200" in bytes.fromhex(container.probe("held_receive", key="web")["hex"])


@OPEN
def test_an_allowed_socket_that_is_connected_elsewhere(container, watch, family, allowed, denied):
    open_web(container, family, allowed)
    assert container.probe("held_disconnect", key="web")["error"] is None
    with watch(container) as seen:
        got = container.probe("held_connect", key="web", address=denied, port=80)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="no-rule")
    seen.reported(kind="denied", hook="connect", reason="no-rule", remote=denied)
    fence(container)
    assert not container.arrived(destination=denied)


def take(lab, container, key: str) -> socket.socket:
    """The container's socket in our hands: this process stands outside of every container."""
    path = str(lab.directory / f"pass-{secrets.token_hex(4)}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(1)
        assert container.probe("held_pass", key=key, path=path)["error"] is None
        peer, _ = server.accept()
        with peer:
            rights = array.array("i")
            rights.frombytes(peer.recvmsg(1, 64)[1][0][2])
    return socket.socket(fileno=rights[0])


@OPEN
def test_an_allowed_socket_that_is_connected_elsewhere_from_outside(lab, container, watch, family, allowed, denied):
    """The connect hook sees a process that is not contained; the packet hook sees whose socket it is."""
    open_web(container, family, allowed)
    with watch(container) as seen, take(lab, container, "web") as taken:
        assert ctypes.CDLL(None).connect(taken.fileno(), bytes(16), 16) == 0, "disconnected"
        taken.setblocking(False)
        assert taken.connect_ex((denied, 80)) != 0, "connected"
        until(lambda: seen.grown(direction="egress", verdict="deny", reason="no-rule") >= 1, 5, "its SYN is counted")
        fence(container)
        assert not container.arrived(destination=denied)
        assert not select.select([], [taken], [], 0)[1], "no answer came"
    seen.reported(kind="denied", hook="egress", reason="no-rule", remote=denied)
    container.probe("held_close", key="web")  # else its SYN is sent again


def test_tcp_from_port_53_over_lo_is_denied(container, watch):
    """Such a server could pass for a resolver on a loopback address."""
    assert container.probe("hold", key="from53", family=V4, type=TCP, address="127.0.0.1", port=53)["error"] is None
    container.probe("listen", port=8000)
    with watch(container) as seen:
        assert container.probe("held_connect", key="from53", address="127.0.0.1", port=8000)["error"] == "timeout"
    container.probe("held_close", key="from53")
    assert seen.grown(direction="egress", verdict="deny", reason="source-port") >= 1


def test_a_tcp_server_on_port_53_answers(lab, container, watch):
    client = lab.container("client")
    container.probe("listen", port=53)
    with watch(container) as seen:
        for address in (container.v4, container.v6):
            got = client.probe("http", address=address, port=53)
            assert got["error"] is None and got["status"] == 200 and got["octets"] == 7, got
    assert seen.grown(direction="egress", verdict="allow", reason="reply") >= 4
    assert seen.grown(verdict="deny") == 0


@pytest.mark.parametrize("address", ["198.51.100.50", "127.0.0.1"])
def test_udp_from_port_53_does_not_leave(container, watch, address):
    """Not even where a rule allows it, nor to itself."""
    mark = secrets.token_hex(16)
    with watch(container) as seen:
        got = container.probe("exchange", server=address, port=9000, message=mark, local_port=53)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="source-port")
    fence(container)
    assert not container.arrived(contains=mark)


@pytest.mark.parametrize("family, address, any", [(V4, "198.51.100.50", "0.0.0.0"), (V6, "2001:db8:80::32", "::")], ids=["v4", "v6"])
def test_an_open_flow_is_not_taken_to_port_53(container, watch, family, address, any):
    """A connected socket whose flow is known, disconnected, bound to port 53 and connected to the same peer again."""
    container.probe("hold", key="moved", family=family, type=UDP)
    assert container.probe("held_connect", key="moved", address=address, port=9000)["error"] is None
    for _ in range(4):  # from the second datagram on the flow is remembered
        assert container.probe("held_send", key="moved", payload="01")["error"] is None
    mark = secrets.token_hex(16)
    assert container.probe("held_disconnect", key="moved")["error"] is None
    assert container.probe("held_bind", key="moved", address=any, port=53)["error"] is None
    assert container.probe("held_connect", key="moved", address=address, port=9000)["error"] is None
    with watch(container) as seen:
        got = container.probe("held_send", key="moved", payload=mark)
        assert got["error"] == "EPERM", got
    seen.counted(direction="egress", verdict="deny", reason="source-port")
    fence(container)
    assert not container.arrived(contains=mark)
