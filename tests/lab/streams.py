# SPDX-License-Identifier: Apache-2.0
"""TCP streams that send as fast as they may, and what their kernel says of them.

Part of probe.py's agent; runs inside the container.
"""
import selectors
import socket
import struct
import time

BLOCK = bytes(1 << 18)
SAMPLE_S = 0.02
# struct tcp_info (include/uapi/linux/tcp.h): tcpi_total_retrans, tcpi_bytes_acked
RETRANSMITTED_AT, ACKED_AT = 100, 120


def info(sock: socket.socket) -> tuple[int, int]:
    """Octets acknowledged, segments sent again."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("Q", raw, ACKED_AT)[0], struct.unpack_from("I", raw, RETRANSMITTED_AT)[0]


class Streams:
    """Started by `open_streams`, fed by `feed_streams` as often as is asked for, ended by `close_streams`."""

    def __init__(self) -> None:
        self.ready, self.socks = selectors.DefaultSelector(), []

    def open_streams(self, address: str, port: int, flows: int, congestion: str) -> dict:
        for _ in range(flows):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            sock.connect((address, port))
            sock.setblocking(False)
            self.ready.register(sock, selectors.EVENT_WRITE)
            self.socks.append(sock)
        return {"error": None}

    def feed_streams(self, seconds: float) -> dict:
        """`octets` acknowledged meanwhile, of each stream; `stall_ms`: the longest time in which none of them got on."""
        before, again = zip(*map(info, self.socks))
        begun = moved = sampled = time.monotonic()
        total, stall = sum(before), 0.0
        while (now := time.monotonic()) - begun < seconds:
            for key, _ in self.ready.select(timeout=SAMPLE_S):
                try:
                    key.fileobj.send(BLOCK)
                except BlockingIOError:
                    pass
            if now - sampled < SAMPLE_S:
                continue
            sampled, seen = now, sum(info(sock)[0] for sock in self.socks)
            if seen != total:
                stall, moved, total = max(stall, now - moved), now, seen
        after, again_after = zip(*map(info, self.socks))
        return {"error": None, "seconds": time.monotonic() - begun, "stall_ms": max(stall, now - moved) * 1000,
                "octets": [b - a for a, b in zip(before, after)], "retransmitted": sum(again_after) - sum(again)}

    def close_streams(self) -> dict:
        self.ready.close()
        for sock in self.socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.__init__()
        return {"error": None}

    def operations(self) -> dict:
        return {f.__name__: f for f in (self.open_streams, self.feed_streams, self.close_streams)}
