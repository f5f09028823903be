# SPDX-License-Identifier: Apache-2.0
"""What the product says about what happened: counters, events, learned addresses, by its public API. And the one way to wait."""
import json
import time


def until(check, deadline_s: float, what: str, pause_s: float = 0.02):
    """Asks until the answer is true and gives it; after the deadline raises with the last answer."""
    end = time.monotonic() + deadline_s
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what} (last: {answer!r})")
        time.sleep(pause_s)


class Counters:
    """A reading of one container's counters: (rule, direction, verdict, reason) to packets."""

    def __init__(self, daemon, path: str):
        rows = daemon.get(f"/v1/counters?container={path}")["counters"]
        self.rows = rows
        self.packets: dict[tuple, int] = {}
        for row in rows:
            key = (row["rule"], row["direction"], row["verdict"], row["reason"])
            self.packets[key] = self.packets.get(key, 0) + row["packets"]

    def of(self, **fields) -> int:
        """Packets of all rows with these fields."""
        names = ("rule", "direction", "verdict", "reason")
        return sum(count for key, count in self.packets.items()
                   if all(key[names.index(name)] == value for name, value in fields.items()))

    def since(self, before: "Counters") -> dict[tuple, int]:
        return {key: count - before.packets.get(key, 0) for key, count in self.packets.items()
                if count != before.packets.get(key, 0)}


def learned(daemon, path: str) -> dict[str, list[str]]:
    """address to names, of one container"""
    rows = daemon.get(f"/v1/learned?container={path}")["learned"]
    return {row["address"]: [name["name"] for name in row["names"]] for row in rows}


def events(daemon, path: str, **fields) -> list[dict]:
    status, body = daemon.request("GET", f"/v1/events?container={path}")
    if status != 200:
        raise RuntimeError(f"GET /v1/events: {status} {body[:300]!r}")
    found = [json.loads(line) for line in body.splitlines() if line]
    return [event for event in found if all(event[name] == value for name, value in fields.items())]
