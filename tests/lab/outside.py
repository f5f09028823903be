# SPDX-License-Identifier: Apache-2.0
"""What tests do from outside of a container: wait until what it sent has arrived, take a socket out of it, and run an agent that is
in its network and not in its cgroup.
"""
import array
import secrets
import socket
import sys
from pathlib import Path

from container import Agent, Container
from observe import until

HERE = Path(__file__).parent
FENCE = "198.51.100.50"


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
