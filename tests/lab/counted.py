# SPDX-License-Identifier: Apache-2.0
"""A load that keeps books: what it sent, what came back and what was refused, packet by packet and octet by octet, so that the daemon's
counters can be held against it. Each outcome is checked; what was seen instead is kept.

An agent of its own in a container (see probe.py): {"op": "start", "rate": rounds a second, "acts": [...]}, then "report" any number of
times, then "stop". An act is {"kind": a function of Acts below, "key": where it is booked, ...arguments}, with "every" and "at": in the
rounds whose number leaves `at` when divided by `every`.
"""
import json
import os
import socket
import sys
import threading
import time
from collections import deque

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dns  # noqa: E402
from clock import name_of  # noqa: E402

ANSWER_S = 5  # an answer later than this is lost


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def headers(address: str) -> int:
    """Octets of the IP and UDP headers before a payload."""
    return 48 if ":" in address else 28


class Wrong(Exception):
    pass


class Books:
    """By key: packets and IP octets sent, packets and IP octets that came back."""

    def __init__(self):
        self.rows: dict[str, list[int]] = {}
        self.lock = threading.Lock()

    def add(self, key: str, sent: int = 0, octets: int = 0, came: int = 0, came_octets: int = 0) -> None:
        with self.lock:
            row = self.rows.setdefault(key, [0, 0, 0, 0])
            for n, amount in enumerate((sent, octets, came, came_octets)):
                row[n] += amount

    def copy(self) -> dict[str, list[int]]:
        with self.lock:
            return {key: list(row) for key, row in self.rows.items()}


class Acts:
    """Each raises Wrong where the outcome is not the one that must be."""

    def __init__(self, books: Books, first: int):
        self.books, self.fresh, self.ids = books, first, 0
        self.took: deque = deque(maxlen=20_000)  # of the last look-ups: when each began (CLOCK_MONOTONIC, s) and how long it took (us)

    def datagram(self, key: str, server: str, port: int, payload: bytes, refused: str | None = None, connect: bool = False) -> bytes | None:
        with socket.socket(family_of(server), socket.SOCK_DGRAM) as sock:
            sock.settimeout(ANSWER_S)
            try:
                if connect:
                    sock.connect((server, port))
                    sock.send(payload)
                else:
                    sock.sendto(payload, (server, port))
            except OSError as error:
                if name_of(error) != refused:
                    raise
                self.books.add(key, 1, len(payload) + headers(server))
                return None
            self.books.add(key, 1, len(payload) + headers(server))
            if refused:
                raise Wrong("was sent")
            data, peer = sock.recvfrom(65535)
            self.books.add(key, 0, 0, 1, len(data) + headers(server))
            if peer[:2] != (server, port):
                raise Wrong(f"answered by {peer}")
            return data

    def next_name(self, suffix: str) -> tuple[str, str]:
        """A name of the odd server that nobody has asked for, and its address."""
        self.fresh += 1
        n = self.fresh
        return f"run-{n}.{suffix}", f"101.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"

    def ask(self, key: str, server: str, name: str, addresses: list, type: int = dns.A, edns: bool = False) -> None:
        self.ids = (self.ids + 1) & 0xFFFF
        begun = time.monotonic()
        answer = dns.read_answer(self.datagram(key, server, 53, dns.query(self.ids, name, type, edns=edns)))
        self.took.append((begun, (time.monotonic() - begun) * 1e6))
        if answer["id"] != self.ids or answer["rcode"] or sorted(answer["addresses"]) != sorted(addresses):
            raise Wrong(f"answer {answer}")

    def ask_fresh(self, key: str, server: str, suffix: str) -> str:
        name, address = self.next_name(suffix)
        self.ask(key, server, name, [address])
        return address

    def ask_denied(self, key: str, server: str, name: str) -> None:
        self.ids = (self.ids + 1) & 0xFFFF
        self.datagram(key, server, 53, dns.query(self.ids, name), "EPERM")

    def echo(self, key: str, address: str, port: int, octets: int) -> None:
        payload = os.urandom(octets)
        if self.datagram(key, address, port, payload) != payload:
            raise Wrong("other octets came back")

    def talk(self, key: str, address: str, port: int, octets: int, count: int) -> None:
        """Many datagrams on one connected socket, each echoed."""
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect((address, port))
            for _ in range(count):
                payload = os.urandom(octets)
                sock.send(payload)
                self.books.add(key, 1, octets + headers(address))
                data = sock.recv(65535)
                self.books.add(key, 0, 0, 1, len(data) + headers(address))
                if data != payload:
                    raise Wrong("other octets came back")

    def refused(self, key: str, address: str, port: int, connect: bool = False) -> None:
        self.datagram(key, address, port, b"denied", "EPERM", connect)

    def flood(self, key: str, address: str, port: int, count: int, refused: bool) -> None:
        """As fast as it goes, on one socket. It closes when each has been answered: a late answer would come to the socket that has its
        port next."""
        payload = b"flood"
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect((address, port))
            for n in range(count):
                try:
                    sock.send(payload)
                    was_refused = False
                except PermissionError:
                    was_refused = True
                self.books.add(key, 1, len(payload) + headers(address))
                if was_refused != refused:
                    raise Wrong(f"datagram {n} was {'refused' if was_refused else 'sent'}")
            for _ in range(0 if refused else count):
                self.books.add(key, 0, 0, 1, len(sock.recv(65535)) + headers(address))

    def refused_connect(self, key: str, address: str, port: int) -> None:
        if self.connected(address, port) != "EPERM":
            raise Wrong("connected")
        self.books.add(key, 1)

    def connect(self, key: str, address: str, port: int) -> None:
        if (seen := self.connected(address, port)) is not None:
            raise Wrong(f"not connected: {seen}")
        self.books.add(key, 1)

    def connected(self, address: str, port: int) -> str | None:
        with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
            sock.settimeout(ANSWER_S)
            try:
                sock.connect((address, port))
                return None
            except OSError as error:
                return name_of(error)

    def reach(self, key: str, server: str, suffix: str, port: int, before: str) -> None:
        """An address that nobody has asked for yet is refused; as soon as its name is answered it can be reached."""
        _, address = self.next_name(suffix)
        self.fresh -= 1
        if (seen := self.connected(address, port)) != "EPERM":
            raise Wrong(f"{address} before its name was asked for: {seen}")
        self.books.add(before, 1)
        address = self.ask_fresh(key, server, suffix)
        if (seen := self.connected(address, port)) is not None:
            raise Wrong(f"{address} after its name was answered: {seen}")


class Load:
    """The rounds, at a steady rate: what a slow moment held up is made up for."""

    def __init__(self, rate: float, acts: list, first: int = 0):
        self.books, self.wrong, self.wrongs, self.ending = Books(), [], 0, threading.Event()
        self.acts, self.period, self.calls = [dict(act) for act in acts], 1 / rate, Acts(self.books, first)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        due, turn = time.monotonic(), 0
        while not self.ending.wait(max(0.0, due - time.monotonic())):
            due, turn = due + self.period, turn + 1
            for act in self.acts:
                if turn % act.get("every", 1) == act.get("at", 0):
                    self.do(act)

    def do(self, act: dict) -> None:
        arguments = {name: value for name, value in act.items() if name not in ("kind", "every", "at")}
        try:
            getattr(self.calls, act["kind"])(**arguments)
        except (OSError, Wrong, ValueError) as error:
            self.wrongs += 1
            if len(self.wrong) < 20:
                text = name_of(error) if isinstance(error, OSError) else str(error)
                self.wrong.append({"act": act, "seen": text, "fresh": self.calls.fresh})

    def report(self) -> dict:
        return {"error": None, "books": self.books.copy(), "wrong": self.wrong, "wrongs": self.wrongs, "time": time.monotonic()}

    def stop(self) -> dict:
        self.ending.set()
        self.thread.join()
        return self.report()


class Download:
    """The /numbers of the web server, each octet compared: block n is the number n, 8 octets, 1,024 times."""

    BLOCK = 8192

    def __init__(self, address: str, port: int):
        self.octets, self.error = 0, None
        self.sock = socket.create_connection((address, port), ANSWER_S)
        self.sock.sendall(b"GET /numbers HTTP/1.1\r\nHost: -\r\n\r\n")
        self.file = self.sock.makefile("rb")
        while self.file.readline() not in (b"\r\n", b""):
            pass
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def finish(self) -> None:
        """Both ends close in order: no packet comes for a socket that is gone, so that each belongs to the container's."""
        self.sock.shutdown(socket.SHUT_WR)
        self.thread.join()
        self.file.close()
        self.sock.close()

    def read(self) -> None:
        n = 0
        try:
            while block := self.file.read(self.BLOCK):
                if block != n.to_bytes(8, "big") * (self.BLOCK // 8):
                    raise Wrong(f"other octets in block {n}")
                n, self.octets = n + 1, self.octets + len(block)
            self.error = "closed"
        except (OSError, Wrong) as error:
            self.error = str(error)


class Agent:
    def __init__(self):
        self.load: Load | None = None
        self.downloads: list[Download] = []

    def start(self, **arguments) -> dict:
        self.load = Load(**arguments)
        return {"error": None}

    def download(self, address: str, port: int) -> dict:
        self.downloads.append(Download(address, port))
        return {"error": None}

    def finish(self) -> dict:
        for one in self.downloads:
            one.finish()
        return {"error": None}

    def took(self) -> dict:
        return {"error": None, "took": list(self.load.calls.took)}

    def report(self) -> dict:
        return {**self.load.report(), "downloads": [[one.octets, one.error] for one in self.downloads]}

    def stop(self) -> dict:
        self.load.stop()
        return self.report()


def main() -> None:
    agent = Agent()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(agent, request.pop("op"))(**request)
        except OSError as error:
            answer = {"error": name_of(error)}
        print(json.dumps(answer), flush=True)


main()
