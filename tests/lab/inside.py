# SPDX-License-Identifier: Apache-2.0
"""What a hostile process in a container tries beside sending: devices of its own, packet sockets, sockets that others hand in. And a
server for what others open.

Part of probe.py's agent; runs inside the container.
"""
import array
import fcntl
import os
import socket
import struct
import tempfile
import threading

from clock import Clock, name_of

TUNSETIFF, IFF_TUN = 0x400454CA, 0x1001


def answer_streams(server: socket.socket) -> None:
    while True:
        peer, _ = server.accept()
        with peer:
            try:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\n\r\ninside\n")
            except OSError:
                continue


def answer_datagrams(sock: socket.socket) -> None:
    while True:
        octets, peer = sock.recvfrom(65535)
        try:
            sock.sendto(octets, peer)
        except OSError:
            continue


class Inside:
    """The ops. `sockets` are the agent's held ones (held.py): what is handed in becomes one of them."""

    def __init__(self, sockets: dict):
        self.sockets, self.server = sockets, None

    def operations(self) -> dict:
        return {f.__name__: f for f in (self.status, self.tun, self.frame, self.serve, self.handed_wait, self.handed_take)}

    def status(self) -> dict:
        """/proc/self/status, as the container's process has it."""
        with open("/proc/self/status") as file:
            return {"error": None, "fields": dict(line.rstrip("\n").split(":\t", 1) for line in file)}

    def tun(self) -> dict:
        """A TUN device, through a device node of its own (Docker grants MKNOD)."""
        with tempfile.TemporaryDirectory() as directory:
            node = os.path.join(directory, "tun")
            os.mknod(node, 0o600 | 0o020000, os.makedev(10, 200))
            clock, stage = Clock(), "open"
            try:
                fd = os.open(node, os.O_RDWR)
                stage = "TUNSETIFF"
                try:
                    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"way%d", IFF_TUN))
                finally:
                    os.close(fd)
                return {"error": None, "stage": stage, "us": clock.us()}
            except OSError as error:
                return {"error": name_of(error), "stage": stage, "us": clock.us()}

    def frame(self, type: int, frame: str, device: str = "eth0") -> dict:
        """One packet by a packet socket: link header and all where the type is SOCK_RAW."""
        clock = Clock()
        try:
            with socket.socket(socket.AF_PACKET, type, 0) as sock:
                sock.sendto(bytes.fromhex(frame), (device, 0x0800, 0, 0, b"\xff" * 6))
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def serve(self, address: str, port: int) -> dict:
        """A TCP server that answers and closes, and UDP echo, on one address; "" is both families on a v6 socket."""
        six = address in ("", "::")
        stream = socket.create_server((address or "::", port), family=socket.AF_INET6 if six else socket.AF_INET, dualstack_ipv6=not address)
        echo = socket.socket(stream.family, socket.SOCK_DGRAM)
        if six:
            echo.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if address else 0)
        echo.bind((address or "::", port))
        threading.Thread(target=answer_streams, args=(stream,), daemon=True).start()
        threading.Thread(target=answer_datagrams, args=(echo,), daemon=True).start()
        return {"error": None}

    def handed_wait(self, path: str) -> dict:
        """Listens for a socket that somebody outside will hand in."""
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(path)
        self.server.listen(1)
        return {"error": None}

    def handed_take(self, key: str) -> dict:
        peer, _ = self.server.accept()
        with peer, self.server:
            rights = array.array("i")
            rights.frombytes(peer.recvmsg(1, 64)[1][0][2])
        self.sockets[key] = socket.socket(fileno=rights[0])
        return {"error": None}
