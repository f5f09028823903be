# SPDX-License-Identifier: Apache-2.0
"""What leaves a container, seen from outside of it: the IP packets that arrive at the internet's end of its cable.

usage: sniffer.py DEVICE [HEX...], as an agent (see probe.py): {"op": "seen", ...fields} gives the packets with these fields, and how
many the kernel could not hand over; {"op": "sum", ...fields} how many they are and their IP octets. With HEX only packets that contain one of these are kept: for long watches.
"""
import ipaddress
import json
import socket
import struct
import sys
import threading

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33


def read(packet: bytes) -> dict | None:
    """Addresses, protocol, ports and payload of what is not fragmented and has no extension headers."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        at, protocol, addresses = (packet[0] & 15) * 4, packet[9], (packet[12:16], packet[16:20])
    elif version == 6 and len(packet) >= 40:
        at, protocol, addresses = 40, packet[6], (packet[8:24], packet[24:40])
    else:
        return None
    source, destination = (str(ipaddress.ip_address(a)) for a in addresses)
    rest = packet[at:]
    ports = (int.from_bytes(rest[:2], "big"), int.from_bytes(rest[2:4], "big")) if protocol in (6, 17) else (0, 0)
    return {"protocol": protocol, "source": source, "source_port": ports[0], "destination": destination, "port": ports[1],
            "octets": len(packet), "hex": rest.hex()}


class Sniffer:
    def __init__(self, device: str, *kept: str):
        self.packets: list[dict] = []
        self.kept, self.lost = [bytes.fromhex(text) for text in kept], 0
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self.sock.bind((device, ETH_P_ALL))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            data, where = self.sock.recvfrom(65535)
            if where[2] == PACKET_OUTGOING or (self.kept and not any(text in data for text in self.kept)):
                continue
            packet = read(data)
            if packet:
                self.packets.append(packet)

    def missed(self) -> int:
        """Packets that came faster than they were read."""
        self.lost += struct.unpack("II", self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return self.lost

    def seen(self, contains: str = "", **fields) -> list[dict]:
        return [p for p in list(self.packets) if contains in p["hex"] and all(p[name] == value for name, value in fields.items())]


def main() -> None:
    sniffer = Sniffer(*sys.argv[1:])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        op, packets = request.pop("op"), sniffer.seen(**request)
        found = {"packets": packets} if op == "seen" else {"count": len(packets), "octets": sum(p["octets"] for p in packets)}
        print(json.dumps({**found, "missed": sniffer.missed()}), flush=True)


main()
