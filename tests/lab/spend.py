# SPDX-License-Identifier: Apache-2.0
"""Ways to spend what a limit allows: datagrams at a steady size, connections, questions. Says what became of each.

Part of probe.py's agent; runs inside the container.
"""
import socket
import time
from collections import Counter

import dns
from clock import name_of


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def datagrams(address: str, port: int, octets: int, count: int = 0, seconds: float = 0, pause_s: float = 0) -> dict:
    """UDP datagrams of so many IP octets, `count` of them or for `seconds`, on one socket that reads nothing. `outcomes`: how many sends
    gave which error; `seconds`: from before the first to after the last."""
    payload, outcomes = bytes(octets - (48 if ":" in address else 28)), Counter()
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        begun = time.monotonic()
        while sum(outcomes.values()) < count or time.monotonic() - begun < seconds:
            try:
                sock.sendto(payload, (address, port))
                outcomes["sent"] += 1
            except OSError as error:
                outcomes[name_of(error)] += 1
            if pause_s:
                time.sleep(pause_s)
        return {"error": None, "outcomes": outcomes, "seconds": time.monotonic() - begun}


def echoes(address: str, port: int, octets: int, count: int, timeout: float = 0.5) -> dict:
    """The same to an echo server, each answer waited for; `outcomes`: the send's error, "unanswered" or None."""
    payload, outcomes = bytes(octets - (48 if ":" in address else 28)), []
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        for _ in range(count):
            try:
                sock.sendto(payload, (address, port))
            except OSError as error:
                outcomes.append(name_of(error))
                continue
            try:
                sock.recvfrom(65535)
                outcomes.append(None)
            except OSError:
                outcomes.append("unanswered")
    return {"error": None, "outcomes": outcomes}


def connections(address: str, port: int, count: int, timeout: float = 3) -> dict:
    """One after the other; each is closed at once."""
    outcomes, slowest = [], 0.0
    for _ in range(count):
        with socket.socket(family_of(address), socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            begun = time.monotonic()
            try:
                sock.connect((address, port))
                outcomes.append(None)
            except OSError as error:
                outcomes.append(name_of(error))
                slowest = max(slowest, time.monotonic() - begun)
    return {"error": None, "outcomes": outcomes, "slowest_refusal_us": slowest * 1e6}


def questions(server: str, name: str, count: int) -> dict:
    """The same question again and again; `outcomes`: the send's error, "unanswered" or None."""
    outcomes = []
    for n in range(count):
        with socket.socket(family_of(server), socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            try:
                sock.sendto(dns.query(n + 1, name, dns.A), (server, 53))
            except OSError as error:
                outcomes.append(name_of(error))
                continue
            try:
                sock.recvfrom(65535)
                outcomes.append(None)
            except OSError:
                outcomes.append("unanswered")
    return {"error": None, "outcomes": outcomes}


def scattered(address: str, first: int, count: int, octets: int) -> dict:
    """A datagram to each port of its own, from one socket that reads nothing; to 500 ports 9500 and on, from as many sockets as it takes."""
    payload, outcomes = bytes(octets - (48 if ":" in address else 28)), Counter()
    for n in range(0, count, 500):
        with socket.socket(family_of(address), socket.SOCK_DGRAM) as sock:
            sock.bind(("", first + n // 500))
            for port in range(9500, 9500 + min(500, count - n)):
                try:
                    sock.sendto(payload, (address, port))
                    outcomes["sent"] += 1
                except OSError as error:
                    outcomes[name_of(error)] += 1
    return {"error": None, "outcomes": outcomes}


OPERATIONS = {f.__name__: f for f in (datagrams, echoes, connections, questions, scattered)}
