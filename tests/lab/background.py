# SPDX-License-Identifier: Apache-2.0
"""Probes that go on while others run: long-lived downloads, and a light load that checks each answer it gets.

Part of probe.py's agent; runs inside the container.
"""
import socket
import threading
from typing import Callable

from clock import Clock, name_of


class Stream:
    """A download in a thread: octets so far and how it ended."""

    def __init__(self, address: str, port: int, path: str):
        self.octets, self.error, self.sent_error = 0, None, None
        self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect((address, port))
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: -\r\n\r\n".encode())
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        try:
            while chunk := self.sock.recv(65536):
                self.octets += len(chunk)
            self.error = "closed"
        except OSError as error:
            self.error = name_of(error)


class Load:
    """Ops again and again in a thread, each with the error that must be seen: what was seen instead is kept."""

    def __init__(self, call: Callable, ops: list, pause: float):
        self.call = call
        self.ops, self.pause, self.rounds, self.wrong, self.ending = ops, pause, 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.ending.wait(self.pause):
            for op, expected in self.ops:
                seen = self.call(dict(op))
                if seen["error"] != expected:
                    self.wrong.append({"op": op, "expected": expected, "seen": seen})
            self.rounds += 1


class Background:
    """The ops of this file; `call` runs any op of the agent."""

    def __init__(self, call: Callable[[dict], dict]):
        self.call, self.streams, self.loads = call, {}, {}

    def operations(self) -> dict[str, Callable]:
        return {f.__name__: f for f in (self.stream_open, self.stream_status, self.stream_send, self.stream_close,
                                        self.load_start, self.load_stop)}

    def stream_open(self, key: str, address: str, port: int, path: str = "/stream") -> dict:
        clock = Clock()
        try:
            self.streams[key] = Stream(address, port, path)
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def stream_status(self, key: str) -> dict:
        return {"octets": self.streams[key].octets, "error": self.streams[key].error}

    def stream_send(self, key: str) -> dict:
        """Writes on the open connection: what a program learns when the policy has cut it."""
        clock = Clock()
        try:
            self.streams[key].sock.send(b"x")
            return {"error": None, "us": clock.us()}
        except OSError as error:
            return {"error": name_of(error), "us": clock.us()}

    def stream_close(self, key: str) -> dict:
        self.streams.pop(key).sock.close()
        return {"error": None}

    def load_start(self, key: str, ops: list, pause: float = 0.005) -> dict:
        self.loads[key] = Load(self.call, ops, pause)
        return {"error": None}

    def load_stop(self, key: str) -> dict:
        load = self.loads.pop(key)
        load.ending.set()
        load.thread.join()
        return {"error": None, "rounds": load.rounds, "wrong": load.wrong[:20]}
