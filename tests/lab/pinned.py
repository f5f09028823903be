# SPDX-License-Identifier: Apache-2.0
"""Maps that the daemon has pinned, from outside; and a stack, emptied and filled again: how a test brings a machine to its capacity."""
import ctypes
import struct
from pathlib import Path

BPF, UPDATE, OBJ_GET, LOOKUP_AND_DELETE = 321, 2, 7, 21  # bpf(2) of x86-64, and its commands
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attributes: bytes) -> int:
    return LIBC.syscall(BPF, command, ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128), 128)


def open_map(path: Path) -> int:
    """A file descriptor, which the caller closes."""
    name = ctypes.create_string_buffer(str(path).encode())
    fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(name), 0, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), str(path))
    return fd


class Stack:
    """Of 32-bit numbers."""

    def __init__(self, path: Path):
        self.fd = open_map(path)

    def take_all(self) -> list[bytes]:
        taken, value = [], ctypes.create_string_buffer(4)
        while bpf(LOOKUP_AND_DELETE, struct.pack("IIQQQ", self.fd, 0, 0, ctypes.addressof(value), 0)) == 0:
            taken.append(value.raw)
        return taken

    def give(self, value: bytes) -> None:
        octets = ctypes.create_string_buffer(value, 4)
        if bpf(UPDATE, struct.pack("IIQQQ", self.fd, 0, 0, ctypes.addressof(octets), 0)):
            raise OSError(ctypes.get_errno(), "give a number back")
