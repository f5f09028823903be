# SPDX-License-Identifier: Apache-2.0
"""Counts what TCP sends between a container and some addresses, as IP packets and octets, at the internet's end of its cable. A buffer
that the kernel would cut later (GSO) counts as what it becomes: how many that are stands in its virtio header.

usage: tally.py DEVICE ADDRESS..., as an agent (see probe.py): {"op": "read"} gives [packets, octets] for "egress" and "ingress" of the
container, how many buffers were of several packets, and how many the kernel could not hand over.
"""
import ipaddress
import json
import socket
import struct
import sys
import threading

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_STATISTICS, PACKET_VNET_HDR, SO_RCVBUFFORCE = 263, 6, 15, 33
VNET, ETHERNET, TCP = 10, 14, 6


class Tally:
    def __init__(self, device: str, *addresses: str):
        self.addresses = {ipaddress.ip_address(address).packed for address in addresses}
        self.counts, self.buffers, self.lost = {"egress": [0, 0], "ingress": [0, 0]}, {"egress": 0, "ingress": 0}, 0
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.sock.bind((device, ETH_P_ALL))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            data, where = self.sock.recvfrom(1 << 17)
            gso_size = struct.unpack_from("<H", data, 4)[0] if data[1] else 0
            self.count(data[VNET + ETHERNET:], gso_size, "ingress" if where[2] == PACKET_OUTGOING else "egress")

    def count(self, packet: bytes, gso_size: int, direction: str) -> None:
        version = packet[0] >> 4 if packet else 0
        if version == 4:
            header, protocol, source, destination = (packet[0] & 15) * 4, packet[9], packet[12:16], packet[16:20]
        elif version == 6:
            header, protocol, source, destination = 40, packet[6], packet[8:24], packet[24:40]
        else:
            return
        if protocol != TCP or (destination if direction == "egress" else source) not in self.addresses:
            return
        header += (packet[header + 12] >> 4) * 4
        packets = -(-(len(packet) - header) // gso_size) if gso_size else 1
        self.buffers[direction] += packets > 1
        self.counts[direction][0] += packets
        self.counts[direction][1] += len(packet) + (packets - 1) * header

    def read(self) -> dict:
        self.lost += struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return {"error": None, **self.counts, "buffers": self.buffers, "missed": self.lost}


def main() -> None:
    tally = Tally(*sys.argv[1:])
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(tally.read()), flush=True)


main()
