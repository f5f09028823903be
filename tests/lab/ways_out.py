# SPDX-License-Identifier: Apache-2.0
"""Every way a process can try to send one mark to one address: by each call, option and socket kind that there is.

Part of probe.py's agent; runs inside the container. A way is a function of (address, port, mark); what it raises is what the
application sees. IPv4, IPv6 and ::ffff:a.b.c.d all work where the way has them.
"""
import ctypes
import os
import socket
import struct
import tempfile

import uring
from clock import Clock, name_of

UDPLITE, SCTP, MPTCP, SMC = 136, 132, 262, 256
TCP_FASTOPEN_CONNECT, UDP_CORK, UDP_SEGMENT, SO_ZEROCOPY, MSG_ZEROCOPY = 30, 1, 103, 60, 0x4000000
IPV6_HOPOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 57, 59
PADDING = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # an extension header of one PadN option


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def made(address: str, type: int, protocol: int = 0) -> socket.socket:
    sock = socket.socket(family(address), type, protocol)
    sock.settimeout(2)
    return sock


def udp(address: str, port: int, protocol: int = 0) -> socket.socket:
    """Connected: nothing but the packet is left to judge."""
    sock = made(address, socket.SOCK_DGRAM, protocol)
    sock.connect((address, port))
    return sock


# ---- ways to write to a connected socket ----

def write_sendfile(sock: socket.socket, octets: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        os.sendfile(sock.fileno(), file.fileno(), 0, len(octets))


def write_splice(sock: socket.socket, octets: bytes) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, octets)
        os.splice(reader, sock.fileno(), len(octets))
    finally:
        os.close(reader)
        os.close(writer)


def write_zerocopy(sock: socket.socket, octets: bytes) -> None:
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    sock.send(octets, MSG_ZEROCOPY)


WRITES = {"send": socket.socket.send, "sendfile": write_sendfile, "splice": write_splice, "zerocopy": write_zerocopy}
WRITES.update({f"uring {how}": (lambda how: lambda sock, octets: uring.send(how, sock, octets))(how) for how in ("inline", "async", "sqpoll")})


# ---- datagrams ----

def udp_sendto(address, port, mark):
    with made(address, socket.SOCK_DGRAM) as sock:
        sock.sendto(mark, (address, port))


def udp_connected(address, port, mark):
    with udp(address, port) as sock:
        sock.send(mark)


def udp_connected_elsewhere(address, port, mark):
    """sendto() on a socket that is connected to where it may be."""
    mapped, six = address.startswith("::ffff:"), ":" in address
    with udp("::ffff:198.51.100.50" if mapped else "2001:db8:80::a:32" if six else "198.51.100.50", port) as sock:
        sock.sendto(mark, (address, port))


def udp_sendmmsg(address, port, mark):
    with made(address, socket.SOCK_DGRAM) as sock:
        parts = uring.message(sock, address, port, mark)
        header = uring.buffer(parts[0].raw + bytes(8))
        if uring.LIBC.sendmmsg(sock.fileno(), header, 1, 0) != 1:
            raise OSError(ctypes.get_errno(), "sendmmsg")


def udp_sendfile(address, port, mark):
    with udp(address, port) as sock:
        write_sendfile(sock, mark)


def udp_splice(address, port, mark):
    with udp(address, port) as sock:
        write_splice(sock, mark)


def udp_zerocopy(address, port, mark):
    with udp(address, port) as sock:
        write_zerocopy(sock, mark)


def udp_cork(address, port, mark):
    """The kernel does not tell what became of a datagram that setsockopt() lets go."""
    with udp(address, port) as sock:
        sock.setsockopt(17, UDP_CORK, 1)
        sock.send(mark[:5])
        sock.send(mark[5:])
        sock.setsockopt(17, UDP_CORK, 0)


def udp_more(address, port, mark):
    with udp(address, port) as sock:
        sock.send(mark[:5], socket.MSG_MORE)
        sock.send(mark[5:])


def udp_segment(address, port, mark):
    """Ten datagrams of 1,000 octets in one buffer."""
    with udp(address, port) as sock:
        sock.setsockopt(17, UDP_SEGMENT, 1000)
        sock.send((mark + bytes(1000 - len(mark))) * 10)


def udp_large(address, port, mark):
    """More than the cable carries in one packet."""
    with udp(address, port) as sock:
        sock.send(mark + bytes(8000 - len(mark)))


def udp_extension_headers(address, port, mark):
    with udp(address, port) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, PADDING)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, PADDING)
        sock.send(mark)


def udplite(address, port, mark):
    with udp(address, port, UDPLITE) as sock:
        sock.send(mark)


def ping(address, port, mark):
    six = ":" in address
    with made(address, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as sock:
        sock.sendto(struct.pack(">BBHHH", 128 if six else 8, 0, 0, 0, 1) + mark, (address, 0))


# ---- streams ----

def stream(address, port, mark, protocol=0, flags=0):
    with made(address, socket.SOCK_STREAM, protocol) as sock:
        if flags:
            sock.sendto(mark, flags, (address, port))
            return
        sock.connect((address, port))
        sock.sendall(mark)


def tcp(address, port, mark):
    stream(address, port, mark)


def tcp_fast_open(address, port, mark):
    stream(address, port, mark, flags=socket.MSG_FASTOPEN)


def tcp_fast_open_connect(address, port, mark):
    with made(address, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((address, port))
        sock.sendall(mark)


def mptcp(address, port, mark):
    stream(address, port, mark, MPTCP)


def sctp(address, port, mark):
    stream(address, port, mark, SCTP)


def smc(address, port, mark):
    stream(address, port, mark, SMC)


# ---- io_uring ----

def of_ring(way):
    return {f"{way.__name__} {how}": (lambda how: lambda *target: way(how, *target))(how) for how in ("inline", "async", "sqpoll")}


def uring_send(how, address, port, mark):
    with udp(address, port) as sock:
        uring.send(how, sock, mark)


def uring_send_zc(how, address, port, mark):
    with udp(address, port) as sock:
        uring.send(how, sock, mark, uring.SEND_ZC)


def uring_sendmsg(how, address, port, mark):
    with made(address, socket.SOCK_DGRAM) as sock:
        uring.sendmsg(how, sock, address, port, mark)


def uring_connect(how, address, port, mark):
    with made(address, socket.SOCK_STREAM) as sock:
        sock.setblocking(True)
        uring.connect(how, sock, address, port)
        uring.send(how, sock, mark)


def uring_raw_socket(how, address, port, mark):
    uring.make_socket(how, family(address), socket.SOCK_RAW, socket.IPPROTO_UDP)


def uring_option(how, address, port, mark):
    """IP_TRANSPARENT, IPV6_TRANSPARENT."""
    with made(address, socket.SOCK_DGRAM) as sock:
        uring.setsockopt(how, sock, *((41, 75) if sock.family == socket.AF_INET6 else (0, 19)))


WAYS = {f.__name__: f for f in (udp_sendto, udp_connected, udp_connected_elsewhere, udp_sendmmsg, udp_sendfile, udp_splice, udp_zerocopy, udp_cork,
                                udp_more, udp_segment, udp_large, udp_extension_headers, udplite, ping, tcp, tcp_fast_open,
                                tcp_fast_open_connect, mptcp, sctp, smc)}
for ring_way in (uring_send, uring_send_zc, uring_sendmsg, uring_connect, uring_raw_socket, uring_option):
    WAYS.update(of_ring(ring_way))


class WaysOut:
    """The ops. `sockets` are the agent's held ones (held.py)."""

    def __init__(self, sockets: dict):
        self.sockets = sockets

    def operations(self) -> dict:
        return {f.__name__: f for f in (self.way, self.write_by)}

    def way(self, name: str, address: str, port: int, mark: str) -> dict:
        clock = Clock()
        try:
            WAYS[name](address, port, bytes.fromhex(mark))
            return {"error": None, "us": clock.us()}
        except uring.Disabled as error:
            return {"error": name_of(error), "us": clock.us(), "disabled": True}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def write_by(self, key: str, how: str, payload: str) -> dict:
        """Octets on a held, open connection."""
        clock = Clock()
        try:
            WRITES[how](self.sockets[key], bytes.fromhex(payload))
            return {"error": None, "us": clock.us()}
        except uring.Disabled as error:
            return {"error": name_of(error), "us": clock.us(), "disabled": True}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}
