# SPDX-License-Identifier: Apache-2.0
"""Readings of all counters, to be added up and held against what others counted."""
import re


def added(counts) -> tuple[int, int]:
    """Of pairs of packets and octets."""
    packets = octets = 0
    for one in counts:
        packets, octets = packets + one[0], octets + one[1]
    return packets, octets


def by_key(rows: list[dict]) -> dict[tuple, tuple[int, int]]:
    """(rule, direction, verdict, reason) to packets and octets, whatever the name and the container."""
    found: dict[tuple, tuple[int, int]] = {}
    for row in rows:
        key = (row["rule"], row["direction"], row["verdict"], row["reason"])
        found[key] = added([found.get(key, (0, 0)), (row["packets"], row["bytes"])])
    return found


class Reading:
    """One of /v1/counters, of all containers."""

    def __init__(self, daemon):
        self.all = daemon.get("/v1/counters")["counters"]
        names = ("container", "rule", "domain", "direction", "verdict", "reason")
        self.rows = {tuple(row[name] for name in names): (row["packets"], row["bytes"]) for row in self.all}

    def of(self, path: str) -> list[dict]:
        return [row for row in self.all if row["container"] == path]

    @staticmethod
    def metric(text: str, name: str) -> list[tuple[dict, float]]:
        """Labels and value of each of its lines on a page of /metrics."""
        lines = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.M)
        return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in lines]
