# SPDX-License-Identifier: Apache-2.0
"""Containers for the tests of real clients: one for each server and transport, all under one policy, with names that nobody
has asked for yet. Import before the lab is made: the names go into its zone.
"""
import statistics
from dataclasses import dataclass
from pathlib import Path

import bind9
import clients
from bind9 import BIND, BIND6
from daemon import build_directory
from internet import DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6, ZONE
from observe import until

SERVERS = {("dnsmasq", "v4"): DNSMASQ, ("dnsmasq", "v6"): DNSMASQ6, ("unbound", "v4"): UNBOUND, ("unbound", "v6"): UNBOUND6,
           ("bind", "v4"): BIND, ("bind", "v6"): BIND6}
SUFFIXES = ["ns.svc.cluster.test", "svc.cluster.test", "cluster.test"]
DENIED_UNDER = "evil.test"

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: clients}}
spec:
  select: [{selected}]
  dns:
    resolvers: [{resolvers}]
    search: [{search}]
  allow:
    - {{name: good, domains: ["*.good.test"], ports: [tcp/80]}}
"""

FRESH = [f"n{n}.good.test" for n in range(200)]
ZONE.update({name: [f"101.0.100.{n + 1}", f"2001:db8:80::9:{n + 1:x}"] for n, name in enumerate(FRESH)})
fresh_names = iter(FRESH)


def wire_hex(name: str) -> str:
    """The name as it stands in a query."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")).hex()


@dataclass
class Place:
    container: object
    server: str

    def look_up(self, client, name: str, times: int = 1, tcp: bool = False) -> list[clients.LookUp]:
        """In the container's agent; clients that can't repeat themselves are started again."""
        found = []
        while len(found) < times:
            got = self.container.probe("program", words=client.words(name, times, self.server, tcp))
            assert got["error"] is None, (client.name, name, got)
            found += client.read(got["code"], got["output"], got["us"])
        return found

    def arrived(self, name: str, **fields) -> list[dict]:
        """Packets to port 53 that left the container with this name in them, suffixed or not."""
        return self.container.arrived(contains=wire_hex(name), port=53, **fields)

    def asked(self, name: str) -> list[dict]:
        """The same, of just this name; waits for it."""
        return until(lambda: self.container.arrived(contains=wire_hex(name) + "00", port=53), 5, f"a query for {name} on the cable")

    def closed(self, addresses: list[str]) -> bool:
        """A connect to each is refused."""
        return all(self.container.probe("connect", address=a, port=80)["error"] == "EPERM" for a in addresses)


class Places:
    """Starts bind, builds the clients, makes containers and puts all of them under the policy."""

    def __init__(self, lab):
        self.lab, self.made = lab, {}
        directory = lab.directory / "clients"
        directory.mkdir()
        clients.build(directory)
        self.clients = clients.clients(directory)
        bind9.start(lab.internet)

    def make(self, name: str, server: str, *more: str, options: str = "", sniff: bool = True) -> Place:
        """A container with a resolv.conf as short as runtimes write it."""
        container = self.lab.container(name)
        self.resolv_conf(container, server, *more, options=options)
        if sniff:
            container.watch_cable()
        self.made[name] = place = Place(container, server)
        return place

    def resolv_conf(self, container, *servers: str, options: str = "", search: str = "") -> None:
        lines = [f"nameserver {server}" for server in servers] + ([f"search {search}"] if search else [])
        container.resolv_conf.write_text("\n".join(lines + ([f"options {options}"] if options else [])) + "\n")

    def enforce(self) -> None:
        selected = ", ".join(f"{{cgroup: {place.container.path}}}" for place in self.made.values())
        resolvers = ", ".join(f'"{server}"' for server in SERVERS.values())
        self.lab.daemon.start({"clients.yaml": POLICY.format(selected=selected, resolvers=resolvers, search=", ".join(SUFFIXES))})


def works(place: Place, client, name: str, tcp: bool = False) -> clients.LookUp:
    """Nothing of the name is known; the client looks it up; its addresses are open at once."""
    expected = set(ZONE[name])
    assert place.closed(sorted(expected)), f"{name} is open before anybody asked"
    found, = place.look_up(client, name, tcp=tcp)
    assert found.error is None and found.addresses and set(found.addresses) <= expected, (client.name, found)
    if client.name not in ("curl", "dig"):
        assert set(found.addresses) == expected, (client.name, found)
    if found.connect is None:
        found.connect = 0 if place.container.probe("connect", address=found.addresses[0], port=80)["error"] is None else -1
    assert found.connect == 0, (client.name, found)
    place.asked(name)
    return found


def best_and_median_ms(found: list[clients.LookUp]) -> tuple[float, float]:
    times = [one.us / 1000 for one in found]
    return min(times), statistics.median(times)


def report(name: str, lines: list[str]) -> Path:
    """Stands in build/<preset>/reports: `./dev test` prints what is there at its end."""
    file = build_directory() / "reports" / f"{name}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    print(file.read_text())
    return file
