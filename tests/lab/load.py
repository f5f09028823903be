# SPDX-License-Identifier: Apache-2.0
"""A test's side of a counted load: starts counted.py in a container and a witness outside of it, and holds the daemon's counters
against the load's books. A policy, what it allows and what it denies, and in which counter each is to be found.
"""
import sys

import dns
from container import HERE, Agent, Container
from internet import DNSMASQ, DNSMASQ6, ODD, ODD6, ODD_OTHER, UNBOUND, UNBOUND6

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolvers}], search: []}}
  allow:
    - {{name: lookups, domains: [good.test, "*.good.test"], ports: [tcp/80]}}
    - {{name: fresh, domains: ["*.odd.test"], ports: [tcp/80]}}
    - {{name: echo, cidrs: [198.51.100.40/32, "2001:db8:80::28/128"], ports: [udp/9000]}}
  deny:
    - {{name: closed, cidrs: [198.51.100.41/32]}}
    - {{name: closed-name, domains: [blocked.good.test]}}
"""
DENIED = "198.51.100.32", "2001:db8:80::20"
KEPT = [b"\4evil\4test".hex(), b"\7blocked\4good".hex(), "c6336420", "c6336429", "cb007138", "20010db8008000000000000000000020"]


def ask(key: str, server: str, name: str, *addresses: str, **rest) -> dict:
    return {"kind": "ask", "key": key, "server": server, "name": name, "addresses": addresses, **rest}


# Each round is one look-up: half are of names never asked before, the rest of three servers, v4 and v6.
ALLOWED = [
    {"kind": "ask_fresh", "key": "fresh", "server": ODD, "suffix": "odd.test", "every": 4},
    {"kind": "ask_fresh", "key": "fresh", "server": ODD6, "suffix": "odd.test", "every": 4, "at": 2},
    ask("lookups", DNSMASQ, "api.good.test", "198.51.100.10", every=8, at=1),
    ask("lookups", DNSMASQ6, "api.good.test", "2001:db8:80::a", type=dns.AAAA, every=8, at=3),
    ask("lookups", UNBOUND, "many.good.test", *(f"198.51.100.{n}" for n in range(20, 26)), edns=True, every=8, at=5),
    ask("lookups", UNBOUND6, "WWW.Good.Test", "198.51.100.11", every=8, at=7),
    {"kind": "echo", "key": "echo", "address": "198.51.100.40", "port": 9000, "octets": 700, "every": 5},
    {"kind": "echo", "key": "echo", "address": "2001:db8:80::28", "port": 9000, "octets": 1, "every": 11},
    # From the second datagram on a flow is known by what its socket remembers.
    {"kind": "talk", "key": "echo", "address": "198.51.100.40", "port": 9000, "octets": 333, "count": 20, "every": 150},
    {"kind": "talk", "key": "echo", "address": "2001:db8:80::28", "port": 9000, "octets": 333, "count": 20, "every": 150, "at": 75},
]
REFUSED = [
    {"kind": "ask_denied", "key": "name", "server": DNSMASQ, "name": "evil.test", "every": 6},
    {"kind": "ask_denied", "key": "name", "server": UNBOUND6, "name": "api.evil.test", "every": 14},
    {"kind": "ask_denied", "key": "denied name", "server": ODD, "name": "blocked.good.test", "every": 15},
    {"kind": "refused", "key": "packet", "address": DENIED[0], "port": 9000, "connect": True, "every": 12},
    {"kind": "refused", "key": "packet", "address": DENIED[1], "port": 9000, "connect": True, "every": 13},
    {"kind": "refused", "key": "attempt", "address": DENIED[0], "port": 443, "every": 16},
    {"kind": "refused_connect", "key": "attempt", "address": DENIED[0], "port": 80, "every": 17},
    {"kind": "refused_connect", "key": "attempt", "address": DENIED[1], "port": 443, "every": 18},
    {"kind": "refused_connect", "key": "closed", "address": "198.51.100.41", "port": 80, "every": 19},
    {"kind": "refused", "key": "resolver", "address": ODD_OTHER, "port": 53, "every": 20},
]
# key of the books: rule, verdict and reason of the counter; whether the gate saw a packet, with its octets
EGRESS = {"fresh": ("fresh", "allow", "dns-query", True), "lookups": ("lookups", "allow", "dns-query", True),
          "echo": ("echo", "allow", "cidr", True), "name": ("", "deny", "name-not-allowed", True),
          "denied name": ("closed-name", "deny", "name-denied", True), "packet": ("", "deny", "no-rule", True),
          "attempt": ("", "deny", "no-rule", False), "closed": ("closed", "deny", "deny-rule", False),
          "resolver": ("", "deny", "resolver", False)}


def witness(lab, container: Container, *kept: str) -> Agent:
    """The sniffer at the internet's end of the container's cable; of what leaves it keeps what contains one of these hex strings."""
    device = f"c{container.v4.split('.')[2]}"
    agent = Agent([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.internet.cgroup), lab.internet.netns.name, "-",
                   sys.executable, "-I", str(HERE / "sniffer.py"), device, *kept])
    lab.cleanups.append(agent.close)
    return agent


def tally(lab, container: Container, *addresses: str) -> Agent:
    """Counts the TCP packets and octets to and from these addresses, at the same place."""
    agent = Agent([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.internet.cgroup), lab.internet.netns.name, "-",
                   sys.executable, "-I", str(HERE / "tally.py"), f"c{container.v4.split('.')[2]}", *addresses])
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


def policy(container: Container) -> str:
    resolvers = ", ".join(f'"{address}"' for address in (DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6, ODD, ODD6))
    return POLICY.format(name=container.name, path=container.path, resolvers=resolvers)


def counters_of(books: dict[str, list[int]]) -> dict[tuple, tuple[int, int]]:
    """What grown() must give for these books: requests as they leave, answers and echoes as they come back."""
    expected: dict[tuple, tuple[int, int]] = {}

    def add(key: tuple, packets: int, octets: int) -> None:
        before = expected.get(key, (0, 0))
        expected[key] = before[0] + packets, before[1] + octets
    for key, (sent, octets, came, came_octets) in books.items():
        rule, verdict, reason, is_packet = EGRESS[key]
        add((rule, "egress", verdict, reason), sent, octets if is_packet else 0)
        if came:
            asked = reason == "dns-query"
            add(("" if asked else rule, "ingress", "allow", "dns-answer" if asked else "inbound"), came, came_octets)
    return {key: counts for key, counts in expected.items() if counts != (0, 0)}
