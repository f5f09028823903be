# SPDX-License-Identifier: Apache-2.0
"""What the daemon has pinned. Read: which programs. Changed from outside: stacks emptied and filled again, which is how a test brings a
machine to its capacity, and a setting that nobody else can make."""
import ctypes
import json
import mmap
import struct
import subprocess
from pathlib import Path

BPF, UPDATE, OBJ_GET, LOOKUP_AND_DELETE = 321, 2, 7, 21  # bpf(2) of x86-64, and its commands
LIBC = ctypes.CDLL(None, use_errno=True)


def programs(lab) -> dict[str, int]:
    """The id of the program in each pinned link."""
    found = {}
    for pin in (lab.daemon.bpffs / "penstock" / "links").iterdir():
        shown = subprocess.run(["bpftool", "-j", "link", "show", "pinned", str(pin)], capture_output=True, text=True, check=True)
        found[pin.name] = json.loads(shown.stdout)["prog_id"]
    return found


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


class Gate:
    """The settings that the programs read, one element that is mapped (bpf/abi.h, struct ps_gate)."""

    EVENT_COST_NS = 104

    def __init__(self, path: Path):
        self.fd = open_map(path)

    def tell_all_events(self) -> None:
        """Until the daemon starts again: no container's events are fewer than its denials, as long as the ring holds them."""
        with mmap.mmap(self.fd, mmap.PAGESIZE) as page:
            page[self.EVENT_COST_NS:self.EVENT_COST_NS + 8] = bytes(8)


class Budgets:
    """What containers have spent (bpf/limit.h, struct ps_budget), an array that is mapped."""

    OCTETS, FLOWS = 128, 96

    def __init__(self, path: Path, count: int = 65536):
        self.fd, self.count = open_map(path), count

    def rest(self, windows: int) -> None:
        """As if no TCP had been heard of for so many windows of bpf/lib/pace.h more, of 134 ms."""
        with mmap.mmap(self.fd, self.OCTETS * self.count) as page:
            for at in range(self.FLOWS, len(page), self.OCTETS):
                if word := struct.unpack_from("Q", page, at)[0]:
                    window = (word >> 48) - windows & 0xffff
                    struct.pack_into("Q", page, at, window << 48 | word & (1 << 48) - 1)
