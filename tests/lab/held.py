# SPDX-License-Identifier: Apache-2.0
"""Sockets that are held from one request to the next: made before enforcement, disconnected, handed to another process.

Part of probe.py's agent; runs inside the container. A socket is known by a key; every op's error is an errno's name or None.
"""
import array
import ctypes
import os
import socket
import tempfile

import dns
from clock import Clock, name_of

LIBC = ctypes.CDLL(None, use_errno=True)


def disconnect(sock: socket.socket) -> None:
    """connect(AF_UNSPEC), which Python's connect does not offer."""
    if LIBC.connect(sock.fileno(), bytes(16), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect(AF_UNSPEC)")


class Held:
    def __init__(self):
        self.sockets: dict[str, socket.socket] = {}

    def operations(self) -> dict:
        return {f.__name__: f for f in (self.hold, self.held_option, self.held_connect, self.held_disconnect, self.held_send, self.held_sendfile,
                                        self.held_receive, self.held_bind, self.held_pass, self.held_close, self.answer_myself)}

    def hold(self, key: str, family: int, type: int, protocol: int = 0, options: list = (), address: str = "", port: int = 0) -> dict:
        """Makes it, sets the options [level, name, value or hex], binds it where an address or port is given."""
        self.sockets[key] = sock = socket.socket(family, type, protocol)
        sock.settimeout(2)
        for level, name, value in options:
            sock.setsockopt(level, name, bytes.fromhex(value) if isinstance(value, str) else value)
        if address or port:
            sock.bind((address, port))
        return {"error": None}

    def held_option(self, key: str, level: int, name: int, value: int | str = 1) -> dict:
        self.sockets[key].setsockopt(level, name, bytes.fromhex(value) if isinstance(value, str) else value)
        return {"error": None}

    def held_connect(self, key: str, address: str, port: int) -> dict:
        clock = Clock()
        try:
            self.sockets[key].connect((address, port))
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def held_bind(self, key: str, address: str, port: int) -> dict:
        self.sockets[key].bind((address, port))
        return {"error": None}

    def held_disconnect(self, key: str) -> dict:
        disconnect(self.sockets[key])
        return {"error": None}

    def held_send(self, key: str, payload: str, address: str = "", port: int = 0, flags: int = 0) -> dict:
        """A datagram, a raw packet, or octets on an open connection (no address)."""
        sock, octets, clock = self.sockets[key], bytes.fromhex(payload), Clock()
        try:
            sock.sendto(octets, flags, (address, port)) if address else sock.send(octets, flags)
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def held_sendfile(self, key: str, payload: str) -> dict:
        """The octets go from a file to the connected socket without a copy (splice)."""
        with tempfile.TemporaryFile() as file:
            file.write(bytes.fromhex(payload))
            file.flush()
            try:
                return {"error": None, "octets": os.sendfile(self.sockets[key].fileno(), file.fileno(), 0, len(payload) // 2)}
            except OSError as error:
                return {"error": name_of(error)}

    def held_receive(self, key: str) -> dict:
        data, peer = self.sockets[key].recvfrom(65535)
        return {"error": None, "hex": data.hex(), "from": peer[0] if peer else None, "port": peer[1] if peer else None}

    def held_pass(self, key: str, path: str) -> dict:
        """Hands the socket to whoever listens at the unix path."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as to:
            to.connect(path)
            to.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self.sockets[key].fileno()]))])
        return {"error": None}

    def held_close(self, key: str) -> dict:
        self.sockets.pop(key).close()
        return {"error": None}

    def answer_myself(self, server: str, name: str, address: str, ttl: int = 604_800) -> dict:
        """A resolver of its own on a loopback address answers its own query: with whatever address it likes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            mine.settimeout(2)
            asker.settimeout(2)
            mine.bind((server, 53))
            asker.sendto(dns.query(os.getpid() & 0xFFFF, name), (server, 53))
            message, peer = mine.recvfrom(65535)
            records = dns.address_record(b"\xc0\x0c", address, ttl)
            answer = message[:2] + dns.header(0, dns.QR | dns.RD | dns.RA, 1, 1)[2:] + message[12:] + records
            mine.sendto(answer, peer)
            return {"error": None, "addresses": dns.read_answer(asker.recv(65535))["addresses"]}
