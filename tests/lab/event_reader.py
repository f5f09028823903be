# SPDX-License-Identifier: Apache-2.0
"""Readers of /v1/events?follow=1: one that keeps what it was told, and one that opens the stream and never reads."""
import json
import socket
import threading
from collections import Counter

CHUNK = 1 << 20


class IdleReader:
    """As small a window as a socket has, and nothing is ever taken out of it."""

    def __init__(self, daemon):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.sock.connect(str(daemon.socket))
        self.sock.sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: penstock\r\n\r\n")

    def close(self) -> None:
        self.sock.close()


class EventReader:
    """In a thread: `told` counts events by (kind, container), `missing` those it was told it missed; `kept` are those of the container
    `keep`. From the oldest event the daemon holds."""

    def __init__(self, daemon, keep: str = "", query: str = ""):
        self.told, self.missing, self.kept, self.keep, self.error = Counter(), 0, [], keep, None
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(daemon.socket))
        self.sock.sendall(f"GET /v1/events?follow=1{query} HTTP/1.1\r\nHost: penstock\r\n\r\n".encode())
        self.file = self.sock.makefile("rb", CHUNK)
        head = self.file.readline()
        assert b" 200 " in head, head
        while self.file.readline() not in (b"\r\n", b""):
            pass
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        try:
            while size := int(self.file.readline() or b"0", 16):
                for line in self.file.read(size).splitlines():
                    self.take(json.loads(line))
                self.file.readline()
        except (OSError, ValueError) as error:
            self.error = error

    def take(self, event: dict) -> None:
        if event["kind"] == "lost":
            self.missing += event["length"]
            return
        self.told[event["kind"], event["container"]] += 1
        if event["container"] == self.keep:
            self.kept.append(event)

    def sum(self) -> int:
        return sum(self.told.values()) + self.missing

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.file.close()
        self.sock.close()
