# SPDX-License-Identifier: Apache-2.0
"""Has the kernel cut buffers of many packets (GSO) before they enter a device, as for a network card that cannot: the other end of a cable
then sees the packets one by one, and its counters count them.

usage: offload.py DEVICE
"""
import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
GET_STRINGS, SET_COUNT, SET_FEATURES, FEATURES = 0x1B, 0x37, 0x3B, 4  # linux/ethtool.h; of the sets of strings, that of features
NAME = 32


def ask(sock: socket.socket, device: str, request: bytes) -> bytes:
    room = ctypes.create_string_buffer(request, len(request))
    fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sQ16x", device.encode(), ctypes.addressof(room)))
    return room.raw


def features(sock: socket.socket, device: str) -> list[str]:
    """Names; the number of one is its bit's."""
    count, = struct.unpack_from("I", ask(sock, device, struct.pack("IIQI", SET_COUNT, 0, 1 << FEATURES, 0)), 16)
    texts = ask(sock, device, struct.pack("III", GET_STRINGS, FEATURES, count) + bytes(NAME * count))[12:]
    return [texts[n * NAME:(n + 1) * NAME].rstrip(b"\0").decode() for n in range(count)]


def cut_before(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        names = features(sock, device)
        words = [[0, 0] for _ in range(-(-len(names) // 32))]  # which bits are meant, and their value
        for n, name in enumerate(names):
            by_device = name.startswith("tx-") and name.endswith("-segmentation") and name != "tx-generic-segmentation"
            words[n // 32][0] |= by_device << n % 32
        ask(sock, device, struct.pack("II", SET_FEATURES, len(words)) + b"".join(struct.pack("II", *word) for word in words))


if __name__ == "__main__":
    cut_before(sys.argv[1])
