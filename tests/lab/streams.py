# SPDX-License-Identifier: Apache-2.0
"""TCP streams that send as fast as they may, and what their kernel says of them.

Part of probe.py's agent; runs inside the container.
"""
import selectors
import socket
import struct
import threading
import time

BLOCK = bytes(1 << 18)
SAMPLE_S = 0.02
SO_MAX_PACING_RATE = 47
# struct tcp_info (include/uapi/linux/tcp.h): tcpi_snd_cwnd, tcpi_total_retrans, tcpi_bytes_acked
WINDOW_AT, RETRANSMITTED_AT, ACKED_AT = 80, 100, 120


def info(sock: socket.socket) -> tuple[int, int]:
    """Octets acknowledged, segments sent again."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("Q", raw, ACKED_AT)[0], struct.unpack_from("I", raw, RETRANSMITTED_AT)[0]


class Stall:
    """The longest time in which a count did not grow, as far as it was looked at."""

    def __init__(self, now: float, count: int):
        self.moved, self.count, self.longest = now, count, 0.0

    def look(self, now: float, count: int) -> None:
        if count != self.count:
            self.longest, self.moved, self.count = max(self.longest, now - self.moved), now, count

    def longest_ms(self, now: float) -> float:
        return max(self.longest, now - self.moved) * 1000


class Streams:
    """Started by `open_streams`, fed by `feed_streams` as often as is asked for, looked at by `state_of_streams`,
    ended by `close_streams`."""

    def __init__(self) -> None:
        self.ready, self.socks = selectors.DefaultSelector(), []

    def open_streams(self, address: str, port: int, flows: int, congestion: str, pace: int | None = None, room: int | None = None) -> dict:
        """`pace`: octets of payload a second, of all streams together; `room`: what a socket may hold,
        half of what the kernel then gives it."""
        for _ in range(flows):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
            if pace:
                sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("Q", pace // flows))
            if room:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
            sock.connect((address, port))
            self.add(sock)
        return {"error": None}

    def listen_streams(self, port: int, congestion: str) -> dict:
        self.listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
        self.listener.settimeout(20)
        return {"error": None}

    def accept_streams(self, flows: int) -> dict:
        """After `listen_streams`: as `open_streams`, but others open them."""
        for _ in range(flows):
            self.add(self.listener.accept()[0])
        self.listener.close()
        return {"error": None}

    def add(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.ready.register(sock, selectors.EVENT_WRITE)
        self.socks.append(sock)

    def paces(self) -> dict:
        """What each stream may send at most, in octets of payload a second; None: no bound."""
        words = [struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8))[0] for sock in self.socks]
        return {"error": None, "paces": [None if word >= (1 << 32) - 1 else word for word in words]}

    def windows(self) -> dict:
        """Each stream's congestion window, in segments."""
        raw = (sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256) for sock in self.socks)
        return {"error": None, "windows": [struct.unpack_from("I", words, WINDOW_AT)[0] for words in raw]}

    def pace_streams(self, pace: int) -> dict:
        """As applications do that want less than the network gives."""
        for sock in self.socks:
            sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, struct.pack("Q", pace))
        return {"error": None}

    def feed_streams(self, seconds: float) -> dict:
        """`octets` acknowledged meanwhile, of each stream; `stall_ms`: the longest time in which none of them got on; `stalls_ms`: of each
        stream, the longest in which it did not."""
        before, again = zip(*map(info, self.socks))
        begun = sampled = time.monotonic()
        all_of_them, each = Stall(begun, sum(before)), [Stall(begun, octets) for octets in before]
        while (now := time.monotonic()) - begun < seconds:
            for key, _ in self.ready.select(timeout=SAMPLE_S):
                try:
                    key.fileobj.send(BLOCK)
                except BlockingIOError:
                    pass
            if now - sampled < SAMPLE_S:
                continue
            sampled, seen = now, [info(sock)[0] for sock in self.socks]
            for stall, octets in zip((all_of_them, *each), (sum(seen), *seen)):
                stall.look(now, octets)
        after, again_after = zip(*map(info, self.socks))
        return {"error": None, "seconds": time.monotonic() - begun, "stall_ms": all_of_them.longest_ms(now),
                "stalls_ms": [stall.longest_ms(now) for stall in each], "octets": [b - a for a, b in zip(before, after)],
                "retransmitted": sum(again_after) - sum(again)}

    def send_in_turn(self, address: str, port: int, seconds: float, octets: int, congestion: str) -> dict:
        """A connection after the other, each of so many octets and over when the other side has them all. `sent`: octets altogether."""
        sent, begun = 0, time.monotonic()
        while time.monotonic() - begun < seconds:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.settimeout(5)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
                sock.connect((address, port))
                sock.sendall(bytes(octets))
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1)
            sent += octets
        return {"error": None, "sent": sent, "seconds": time.monotonic() - begun}

    def trickle(self, address: str, port: int, flows: int, every_s: float) -> dict:
        """So many connections beside the streams, each of which sends an octet now and then, until the agent ends."""
        quiet = [socket.create_connection((address, port)) for _ in range(flows)]

        def run() -> None:
            while not time.sleep(every_s):
                for sock in quiet:
                    sock.send(b"x")
        threading.Thread(target=run, daemon=True).start()
        return {"error": None}

    def state_of_streams(self) -> dict:
        """`takes`: how many of them would take an octet more; `errors`: what the kernel has to say to their owner; `states`: of TCP."""
        return {"error": None, "takes": len(self.ready.select(timeout=0)),
                "errors": [sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for sock in self.socks],
                "states": [sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for sock in self.socks]}

    def close_streams(self) -> dict:
        self.ready.close()
        for sock in self.socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.__init__()
        return {"error": None}

    def operations(self) -> dict:
        return {f.__name__: f for f in (self.open_streams, self.listen_streams, self.accept_streams, self.feed_streams, self.paces,
                                        self.windows, self.pace_streams, self.send_in_turn, self.trickle, self.state_of_streams, self.close_streams)}
