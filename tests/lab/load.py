# SPDX-License-Identifier: Apache-2.0
"""A test's side of a counted load: starts counted.py in a container and a witness outside of it, and holds the daemon's counters
against the load's books.
"""
import sys

from container import HERE, Agent, Container


def witness(lab, container: Container, *kept: str) -> Agent:
    """The sniffer at the internet's end of the container's cable; of what leaves it keeps what contains one of these hex strings."""
    device = f"c{container.v4.split('.')[2]}"
    agent = Agent([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.internet.cgroup), lab.internet.netns.name, "-",
                   sys.executable, "-I", str(HERE / "sniffer.py"), device, *kept])
    lab.cleanups.append(agent.close)
    return agent


class CountedLoad:
    def __init__(self, lab, container: Container):
        self.container = container
        self.agent = Agent(container.command(sys.executable, "-I", str(HERE / "counted.py")))
        lab.cleanups.append(self.agent.close)

    def ask(self, op: str, **arguments) -> dict:
        answer = self.agent.call(60, op=op, **arguments)
        if answer["error"] is not None:
            raise RuntimeError(f"{op} in {self.container.name}: {answer}")
        return answer


def grown(before: list[dict], after: list[dict]) -> dict[tuple, tuple[int, int]]:
    """(rule, direction, verdict, reason) to packets and octets between two readings of /v1/counters of one container."""
    found: dict[tuple, tuple[int, int]] = {}
    for sign, rows in ((-1, before), (1, after)):
        for row in rows:
            key = (row["rule"], row["direction"], row["verdict"], row["reason"])
            packets, octets = found.get(key, (0, 0))
            found[key] = packets + sign * row["packets"], octets + sign * row["bytes"]
    return {key: counts for key, counts in found.items() if counts != (0, 0)}
