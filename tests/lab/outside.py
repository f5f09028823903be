# SPDX-License-Identifier: Apache-2.0
"""What tests do from outside of a container: wait until what it sent has arrived, take a socket out of it, and run an agent that is
in its network and not in its cgroup.
"""
import array
import errno
import secrets
import select
import socket
import sys
from pathlib import Path

from clock import Clock, name_of
from container import Agent, Container
from observe import until

HERE = Path(__file__).parent
FENCE = "198.51.100.50"
AT_ONCE_US = 500_000  # on a machine that has much else to do; what waits in the kernel waits 1 s or more. That it is microseconds: scenes.py


def fence(container: Container) -> None:
    """What was sent before this has arrived, if it left. The policy must allow udp/9000 to FENCE."""
    mark = secrets.token_hex(16)
    got = container.probe("exchange", server=FENCE, port=9000, message=mark)
    assert got["error"] is None and got["replies"], got
    until(lambda: container.arrived(contains=mark), 5, "the fence arrives")


def take(container: Container, directory: Path, key: str) -> socket.socket:
    """The container's held socket in our hands: this process stands outside of every container."""
    path = str(directory / f"pass-{secrets.token_hex(4)}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(1)
        assert container.probe("held_pass", key=key, path=path)["error"] is None
        peer, _ = server.accept()
        with peer:
            rights = array.array("i")
            rights.frombytes(peer.recvmsg(1, 64)[1][0][2])
    return socket.socket(fileno=rights[0])


def outsider(container: Container, cgroup: Path) -> Agent:
    """A probe agent in the container's network namespace, with a cgroup that is not the container's. The caller closes it."""
    return Agent([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(cgroup), container.netns.name, "-",
                  sys.executable, "-I", str(HERE / "probe.py")])


FAMILY = {"v4": socket.AF_INET, "v6": socket.AF_INET6, "mapped": socket.AF_INET6}
PING = "0 2147483647"  # of net.ipv4.ping_group_range: every group may open ping sockets
PROTOCOLS = {"tcp": (socket.SOCK_STREAM, 0, 0), "udp": (socket.SOCK_DGRAM, 0, 0),
             "icmp": (socket.SOCK_DGRAM, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)}


def taken(container: Container, directory: Path, family: str, protocol: str, options: tuple = (),
          bound_to: tuple[str, int] = ("", 0)) -> socket.socket:
    """A socket that the container made for us: the packet hook sees it as the container's, the early hooks see us."""
    type, v4, v6 = PROTOCOLS[protocol]
    assert container.probe("hold", key="taken", family=int(FAMILY[family]), type=int(type), protocol=int(v4 if family == "v4" else v6),
                           options=[list(option) for option in options], address=bound_to[0], port=bound_to[1])["error"] is None
    sock = take(container, directory, "taken")
    container.probe("held_close", key="taken")
    return sock


def send_from_outside(container: Container, directory: Path, family: str, protocol: str, address: str, port: int, mark: str,
                      options: tuple = (), bound_to: tuple[str, int] = ("", 0)) -> tuple[str | None, float]:
    """The mark (hex) over such a socket: the error of the send (TCP: of the connect that does not wait; None when it got through) and
    how long the call took."""
    with taken(container, directory, family, protocol, options, bound_to) as sock:
        octets = bytes.fromhex(mark)
        if protocol == "icmp":
            octets = (b"\x08" if family == "v4" else b"\x80") + bytes(6) + b"\1" + octets
        clock = Clock()
        try:
            if protocol != "tcp":
                sock.sendto(octets, (address, port))
                return None, clock.us()
            sock.setblocking(False)
            code = sock.connect_ex((address, port))
            us = clock.us()
            if not select.select([], [sock], [], 0.2)[1] or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return errno.errorcode[code], us
            sock.sendall(octets)
            return None, us
        except OSError as error:
            return name_of(error), clock.us()
