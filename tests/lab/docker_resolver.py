# SPDX-License-Identifier: Apache-2.0
"""Docker's embedded resolver as Docker builds it, without Docker: sockets on 127.0.0.11 with ports of the kernel's choice, one a
protocol, held by a process that is in the container's network namespace and not in its cgroup; nft rules in that namespace
send 127.0.0.11:53 there and give the answers port 53 again.

As a program (docker_resolver.py UPSTREAM) it is that process: says its ports in one line and forwards what it is asked.
"""
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

ADDRESS = "127.0.0.11"
RULES = """table ip docker {{
  chain output {{
    type nat hook output priority -100;
    ip daddr {ADDRESS} udp dport 53 dnat to {ADDRESS}:{udp}
    ip daddr {ADDRESS} tcp dport 53 dnat to {ADDRESS}:{tcp}
  }}
  chain postrouting {{
    type nat hook postrouting priority 100;
    ip saddr {ADDRESS} udp sport {udp} snat to :53
    ip saddr {ADDRESS} tcp sport {tcp} snat to :53
  }}
}}
"""


class DockerResolver:
    """The resolver of one container; `udp` and `tcp` are its real ports."""

    def __init__(self, lab, container, upstream: str):
        cgroup = lab.cgroups.make("dockerd")
        enter = Path(__file__).with_name("enter.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(enter), str(cgroup), container.netns.name, "-",
             sys.executable, "-I", __file__, upstream],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        lab.cleanups.append(self.close)
        self.udp, self.tcp = self.ports()
        self.address_translation(container.netns, lab.directory / f"{container.name}.nft")
        container.use_resolvers(ADDRESS)

    def ports(self, deadline_s: float = 20) -> list[int]:
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(deadline_s) else b""
        if not line:
            raise RuntimeError(f"docker_resolver.py said no ports (exit: {self.process.poll()})")
        return json.loads(line)

    def address_translation(self, netns, file: Path) -> None:
        nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if nft is None:
            raise RuntimeError("nft is not installed (./dev setup; Debian: nftables)")
        file.write_text(RULES.format(ADDRESS=ADDRESS, udp=self.udp, tcp=self.tcp))
        netns.run(nft, "-f", str(file))

    def close(self) -> None:
        self.process.kill()
        self.process.wait(5)
        self.process.stdout.close()


def forward(message: bytes, upstream: str) -> bytes | None:
    """The upstream's answer, or None: as dockerd does, asked from the container's namespace and address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect((upstream, 53))
        try:
            sock.send(message)
            return sock.recv(65535)
        except OSError:
            return None


def answer_datagram(sock: socket.socket, message: bytes, peer: tuple, upstream: str) -> None:
    answer = forward(message, upstream)
    if answer is not None:
        sock.sendto(answer, peer)


def answer_connection(peer: socket.socket, upstream: str) -> None:
    with peer:
        peer.settimeout(10)
        data = b""
        try:
            while chunk := peer.recv(65535):
                data += chunk
                while len(data) > 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                    length = int.from_bytes(data[:2], "big")
                    answer = forward(data[2:2 + length], upstream)
                    data = data[2 + length:]
                    if answer is not None:
                        peer.sendall(len(answer).to_bytes(2, "big") + answer)
        except OSError:
            return


def serve_tcp(server: socket.socket, upstream: str) -> None:
    while True:
        peer, _ = server.accept()
        threading.Thread(target=answer_connection, args=(peer, upstream), daemon=True).start()


def main() -> None:
    upstream = sys.argv[1]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((ADDRESS, 0))
    server = socket.create_server((ADDRESS, 0))
    threading.Thread(target=serve_tcp, args=(server, upstream), daemon=True).start()
    os.write(1, json.dumps([datagrams.getsockname()[1], server.getsockname()[1]]).encode() + b"\n")
    while True:
        message, peer = datagrams.recvfrom(65535)
        threading.Thread(target=answer_datagram, args=(datagrams, message, peer, upstream), daemon=True).start()


if __name__ == "__main__":
    main()
