# SPDX-License-Identifier: Apache-2.0
"""What the tests of limits share: a policy's head, datagrams of one size to where nothing listens, and what of them left and was counted."""
from observe import Counters, until

HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
"""
ONE, TWO, PORT = "198.51.100.41", "198.51.100.42", 9001  # nothing listens there: no answers to be counted
PACKET = 1028  # IP octets


def spend(container, count: int, octets: int = PACKET, address: str = ONE) -> dict[str, int]:
    return container.probe("datagrams", address=address, port=PORT, octets=octets, count=count)["outcomes"]


def left(container, packets: int, **fields) -> tuple[int, int]:
    """Packets and IP octets that came out of the container's cable, when the witness has seen at least so many packets."""
    seen = until(lambda: (now := container.arrived_sum(**fields))["count"] >= packets and now, 5, f"{packets} packets at the cable")
    assert seen["missed"] == 0, "the witness did not keep up"
    return seen["count"], seen["octets"]


def syns(container, address: str, count: int) -> int:
    """How many came out of the cable, once so many did."""
    def seen() -> int:
        return sum(int(packet["hex"][26:28], 16) & 0x12 == 0x02 for packet in container.arrived(destination=address))
    return until(lambda: (now := seen()) >= count and now, 5, f"{count} SYNs at the cable")


def octets_of(lab, container, **fields) -> int:
    """Counted, in rows with these fields."""
    rows = Counters(lab.daemon, container.path).rows
    return sum(row["bytes"] for row in rows if all(row[name] == value for name, value in fields.items()))
