# SPDX-License-Identifier: Apache-2.0
"""io_uring by its raw system calls: one operation on a ring of its own, as the io_uring way of an ordinary socket call.

Runs inside a container, for ways_out.py. Knows the kernel's ABI (linux/io_uring.h) and nothing of the lab.
"""
import ctypes
import mmap
import os
import socket
import struct

SETUP, ENTER = 425, 426
SENDMSG, CONNECT, SEND, SOCKET, URING_CMD, SEND_ZC = 9, 16, 26, 45, 46, 47
SETUP_SQPOLL, ENTER_GETEVENTS, ENTER_SQ_WAKEUP, SQE_ASYNC = 2, 1, 2, 16
OFF_CQ_RING, OFF_SQES = 0x8000000, 0x10000000
SQE = "<BBHiQQIIQHHIQQ"  # opcode, flags, ioprio, fd, off, addr, len, op flags, user data, buf, personality, addr_len, addr3, pad
CMD_SETSOCKOPT = 3

LIBC = ctypes.CDLL(None, use_errno=True)


class Disabled(OSError):
    """No ring can be had here; the test says which sysctl decides."""


def call(number: int, *arguments) -> int:
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


class Ring:
    """Who runs the operation: `inline` the caller, `async` a worker thread, `sqpoll` the kernel's polling thread."""

    def __init__(self, how: str):
        self.how, parameters = how, ctypes.create_string_buffer(120)
        if how == "sqpoll":
            struct.pack_into("<II", parameters, 8, SETUP_SQPOLL, 0)
            struct.pack_into("<I", parameters, 16, 1000)
        try:
            self.fd = call(SETUP, 4, parameters)
        except OSError as error:
            raise Disabled(error.errno, "io_uring_setup") from error
        numbers = struct.unpack("<30I", parameters.raw)
        self.sq_entries, self.cq_entries = numbers[:2]
        self.tail_at, self.mask_at, self.array_at = numbers[11], numbers[12], numbers[16]
        self.cq_tail_at, self.cqes_at = numbers[21], numbers[25]
        self.sq = mmap.mmap(self.fd, self.array_at + 4 * self.sq_entries)
        self.cq = mmap.mmap(self.fd, self.cqes_at + 16 * self.cq_entries, offset=OFF_CQ_RING)
        self.sqes = mmap.mmap(self.fd, 64 * self.sq_entries, offset=OFF_SQES)

    def run(self, opcode: int, fd: int, off: int = 0, address: int = 0, length: int = 0, extra: int = 0, addr3: int = 0) -> int:
        """What the operation gave; raises its error."""
        flags = SQE_ASYNC if self.how == "async" else 0
        self.sqes[:64] = struct.pack(SQE, opcode, flags, 0, fd, off, address, length, 0, 1, 0, 0, extra, addr3, 0)
        struct.pack_into("<I", self.sq, self.array_at, 0)
        struct.pack_into("<I", self.sq, self.tail_at, 1)
        wake = ENTER_SQ_WAKEUP if self.how == "sqpoll" else 0
        call(ENTER, self.fd, 0 if wake else 1, 1, ENTER_GETEVENTS | wake, None, 0)
        assert struct.unpack_from("<I", self.cq, self.cq_tail_at)[0] >= 1, "no completion"
        result = struct.unpack_from("<i", self.cq, self.cqes_at + 8)[0]
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    def close(self) -> None:
        for part in (self.sq, self.cq, self.sqes):
            part.close()
        os.close(self.fd)


def packed(sock: socket.socket, address: str, port: int) -> ctypes.Array:
    """A sockaddr."""
    if sock.family == socket.AF_INET6:
        octets = struct.pack("<H", 10) + struct.pack(">HI", port, 0) + socket.inet_pton(socket.AF_INET6, address) + bytes(4)
    else:
        octets = struct.pack("<H", 2) + struct.pack(">H", port) + socket.inet_aton(address) + bytes(8)
    return ctypes.create_string_buffer(octets, len(octets))


def buffer(payload: bytes) -> ctypes.Array:
    return ctypes.create_string_buffer(payload, len(payload))


def message(sock: socket.socket, address: str, port: int, payload: bytes) -> tuple:
    """A msghdr, and what it points to."""
    name, octets = packed(sock, address, port), buffer(payload)
    vector = buffer(struct.pack("<QQ", ctypes.addressof(octets), len(payload)))
    header = buffer(struct.pack("<QIIQQQQII", ctypes.addressof(name), len(name), 0, ctypes.addressof(vector), 1, 0, 0, 0, 0))
    return header, vector, octets, name


def with_ring(how: str, body):
    ring = Ring(how)
    try:
        return body(ring)
    finally:
        ring.close()


def connect(how: str, sock: socket.socket, address: str, port: int) -> None:
    name = packed(sock, address, port)
    with_ring(how, lambda ring: ring.run(CONNECT, sock.fileno(), off=len(name), address=ctypes.addressof(name)))


def send(how: str, sock: socket.socket, payload: bytes, opcode: int = SEND) -> None:
    octets = buffer(payload)
    with_ring(how, lambda ring: ring.run(opcode, sock.fileno(), address=ctypes.addressof(octets), length=len(payload)))


def sendmsg(how: str, sock: socket.socket, address: str, port: int, payload: bytes) -> None:
    parts = message(sock, address, port, payload)
    with_ring(how, lambda ring: ring.run(SENDMSG, sock.fileno(), address=ctypes.addressof(parts[0]), length=1))


def make_socket(how: str, family: int, type: int, protocol: int) -> None:
    os.close(with_ring(how, lambda ring: ring.run(SOCKET, family, off=type, length=protocol)))


def setsockopt(how: str, sock: socket.socket, level: int, name: int) -> None:
    value = buffer(struct.pack("<I", 1))
    with_ring(how, lambda ring: ring.run(URING_CMD, sock.fileno(), off=CMD_SETSOCKOPT, address=level | name << 32, extra=4,
                                         addr3=ctypes.addressof(value)))
