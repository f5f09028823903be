# SPDX-License-Identifier: Apache-2.0
"""Issue 3 d: a thousand policy changes in a row while traffic flows. What the old and the new policy both allow never fails, what both
deny never passes, and where they differ the new verdict holds as soon as the change is acknowledged. The changes move CIDRs between
prefix lengths, names between exact and wildcard, and both between rules; they swap ports; some can be made in place, most can't."""
import json
import subprocess
import time

import pytest

from internet import DNSMASQ, ODD
from load import CountedLoad, witness
from observe import until

CHANGES = 1000
HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{paths}]
  dns: {{resolvers: [{DNSMASQ}, {ODD}], search: []}}
"""
NARROW = """  allow:
    - {{name: exact, domains: [api.good.test], ports: [tcp/80]}}
    - {{name: narrow, cidrs: [198.51.100.40/32, 198.51.100.48/28, "2001:db8:80::28/128"], ports: [udp/9000, tcp/80]}}
    - {{name: web, cidrs: [198.51.100.200/32], ports: [tcp/80, tcp/443]}}
    - {{name: range, cidrs: [198.51.100.201/32], ports: [tcp/400-450]}}
    - {{name: serial, domains: [n{n}.odd.test], ports: [tcp/80]}}
  deny: [{{name: hole, cidrs: [198.51.100.61/32]}}]
"""
WIDE = """  allow:
    - {{name: serial, domains: [n{n}.odd.test], ports: [tcp/80]}}
    - {{name: range, cidrs: [198.51.100.201/32], ports: [tcp/80, tcp/440-500]}}
    - {{name: wild, domains: ["*.good.test"], ports: [tcp/80-81]}}
    - {{name: wide, cidrs: [198.51.100.32/27, "2001:db8:80::20/123"], ports: [udp/9000, tcp/80]}}
    - {{name: web, cidrs: [198.51.100.200/32], ports: [tcp/443, tcp/8080]}}
  deny: [{{name: hole, cidrs: [198.51.100.60/30]}}, {{name: names, domains: [blocked.good.test]}}]
"""
STEADY = """  allow: [{{name: other, domains: [other.test], ports: [tcp/80]}}]
  deny: [{{name: too, cidrs: [198.51.100.33/32]}}]
"""
OWN = """  deny: [{{name: hole, cidrs: [198.51.100.61/32]}}]
  allow:
    - {{name: base, domains: [api.good.test], cidrs: [198.51.100.40/32, "2001:db8:80::28/128"], ports: [udp/9000, tcp/80]}}
    - {{name: web, cidrs: [198.51.100.200/31], ports: [tcp/443]}}
"""
MORE = OWN + """    - {{name: more, domains: ["*.good.test", n{n}.odd.test], cidrs: [198.51.100.32/27], ports: [udp/9000, tcp/80]}}
"""
ALWAYS = [
    {"kind": "flood", "key": "flood", "address": "198.51.100.40", "port": 9000, "count": 10, "refused": False},
    {"kind": "ask", "key": "ask", "server": DNSMASQ, "name": "api.good.test", "addresses": ["198.51.100.10"]},
    {"kind": "echo", "key": "echo", "address": "198.51.100.40", "port": 9000, "octets": 100},
    {"kind": "echo", "key": "echo", "address": "2001:db8:80::28", "port": 9000, "octets": 100, "every": 2},
    {"kind": "connect", "key": "connect", "address": "198.51.100.10", "port": 80, "every": 4},
    {"kind": "connect", "key": "connect", "address": "198.51.100.200", "port": 443, "every": 4, "at": 1},
    {"kind": "connect", "key": "connect", "address": "198.51.100.201", "port": 443, "every": 4, "at": 2},
    {"kind": "connect", "key": "connect", "address": "198.51.100.40", "port": 80, "every": 4, "at": 3},
]
NEVER = [
    {"kind": "flood", "key": "flood refused", "address": "198.51.100.61", "port": 9000, "count": 20, "refused": True},
    {"kind": "refused", "key": "send", "address": "198.51.100.61", "port": 9000, "connect": True},
    {"kind": "refused", "key": "send", "address": "198.51.100.61", "port": 9000, "every": 2},
    {"kind": "refused", "key": "send", "address": "198.51.100.70", "port": 9000, "connect": True, "every": 2},
    {"kind": "refused", "key": "send", "address": "2001:db8:80::61", "port": 9000, "connect": True, "every": 2},
    {"kind": "refused_connect", "key": "refused", "address": "198.51.100.61", "port": 80, "every": 3},
    {"kind": "refused_connect", "key": "refused", "address": "198.51.100.200", "port": 8081, "every": 3, "at": 1},
    {"kind": "refused_connect", "key": "refused", "address": "198.51.100.201", "port": 8080, "every": 3, "at": 2},
    {"kind": "ask_denied", "key": "query", "server": DNSMASQ, "name": "evil.test"},
    {"kind": "ask_denied", "key": "query", "server": DNSMASQ, "name": "good.test", "every": 2},
]
BLOCKED = {"kind": "ask_denied", "key": "query", "server": DNSMASQ, "name": "blocked.good.test"}
KEPT = ["c633643d", "c6336446", "20010db8008000000000000000000061", b"\4evil\4test".hex(), b"\7blocked\4good".hex()]
MAPS = "names", "cidrs4", "cidrs6", "ports", "resolvers"


def allowed(answer: dict) -> bool:
    assert answer["error"] in (None, "EPERM"), answer
    return answer["error"] is None


class World:
    def __init__(self, lab):
        self.lab = lab
        self.c = {name: lab.container(name) for name in ("first", "second", "both", "own")}
        lab.daemon.start({"steady.yaml": self.text("steady", STEADY, 0, "both"), "shared.yaml": self.shared(NARROW, 0)})
        self.apply(OWN, 0)
        for container in self.c.values():
            assert container.probe("query", server=DNSMASQ, name="api.good.test")["addresses"] == ["198.51.100.10"]
            container.probe("hold", key="flow", family=2, type=2)
        self.loads = {name: CountedLoad(lab, container) for name, container in self.c.items()}
        self.witnesses = {name: witness(lab, container, *KEPT) for name, container in self.c.items()}

    def text(self, name: str, body: str, n: int, *containers: str) -> str:
        paths = ", ".join(f"{{cgroup: {self.c[c].path}}}" for c in containers)
        return (HEAD + body).format(name=name, paths=paths, n=n, DNSMASQ=DNSMASQ, ODD=ODD)

    def shared(self, body: str, n: int) -> str:
        return self.text("shared", body, n, "first", "second", "both")

    def reload(self, body: str, n: int) -> None:
        temporary = self.lab.daemon.policies / ".shared.new"
        temporary.write_text(self.shared(body, n))
        temporary.rename(self.lab.daemon.policies / "shared.yaml")
        self.lab.daemon.reload()

    def apply(self, body: str, n: int) -> None:
        status, answer = self.lab.daemon.request("POST", "/v1/policies", self.text("own", body, n, "own").encode())
        assert status == 200, answer

    def policy_id(self, name: str) -> int:
        """Of the kernel's: stays where a change was made in place."""
        slot = next(c["slot"] for c in self.lab.daemon.get("/v1/containers")["containers"] if c["cgroup"] == self.c[name].path)
        found = bpftool(self.lab, "slots", "lookup", "key", "hex", *(f"{octet:02x}" for octet in slot.to_bytes(4, "little")))
        return int(found["value"][0], 16) | int(found["value"][1], 16) << 8

    def entries(self) -> dict[str, int]:
        return {name: len(bpftool(self.lab, name, "dump")) for name in MAPS}


def bpftool(lab, name: str, *words: str):
    pin = lab.daemon.bpffs / "penstock" / "maps" / name
    run = subprocess.run(["bpftool", "-j", "map", words[0], "pinned", str(pin), *words[1:]], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def world(lab):
    return World(lab)


def check_shared(container, wide: bool, n: int) -> None:
    """Where the two policies differ, the one that was just acknowledged holds: for new flows and for one that was open."""
    got = container.probe("batch", ops=[
        {"op": "query", "server": DNSMASQ, "name": "new.good.test"}, {"op": "held_send", "key": "flow", "payload": "51",
                                                                      "address": "198.51.100.34", "port": 9000},
        {"op": "connect", "address": "198.51.100.200", "port": 8080}, {"op": "connect", "address": "198.51.100.200", "port": 80},
        {"op": "query", "server": ODD, "name": f"n{n}.odd.test"}, {"op": "query", "server": ODD, "name": f"n{n - 2}.odd.test"},
        {"op": "udp", "address": "198.51.100.33", "port": 9000}])["results"]
    both = container.name == "both"
    assert [allowed(one) for one in got] == [wide, wide, wide, not wide, True, False, wide and not both], (container.name, wide, n, got)


def check_own(container, more: bool, n: int) -> None:
    got = container.probe("batch", ops=[
        {"op": "query", "server": DNSMASQ, "name": "new.good.test"}, {"op": "query", "server": ODD, "name": f"n{n}.odd.test"},
        {"op": "held_send", "key": "flow", "payload": "51", "address": "198.51.100.33", "port": 9000}])["results"]
    assert [allowed(one) for one in got] == [more, more, more], (more, n, got)


def as_full_as(world, before: dict, names: tuple, because_of) -> None:
    because_of()
    try:
        until(lambda: all(world.entries()[name] == before[name] for name in names), 15, "the kernel's maps are as full as before", 0.3)
    except AssertionError:
        assert world.entries() == before
        raise


def test_a_thousand_changes_under_load_give_no_third_verdict(world):
    for name, load in world.loads.items():
        load.ask("download", address="198.51.100.10", port=80)
        load.ask("download", address="198.51.100.40", port=80)
        load.ask("start", rate=50, acts=ALWAYS + NEVER + ([] if name == "own" else [BLOCKED]))
    before = world.entries()
    began, changing, in_place, new_id = time.monotonic(), 0.0, 0, 0
    for n in range(CHANGES):
        own, wide = n % 2 == 1, n // 2 % 2 == 0
        looked_at = "own" if own else "first"
        old_id = world.policy_id(looked_at) if n < 40 else None
        start = time.monotonic()
        if own:
            world.apply(MORE if wide else OWN, n)
        else:
            world.reload(WIDE if wide else NARROW, n)
        changing += time.monotonic() - start
        if old_id is not None:
            kept = world.policy_id(looked_at) == old_id
            in_place, new_id = in_place + kept, new_id + (not kept)
        if own:
            check_own(world.c["own"], wide, n)
        else:
            check_shared(world.c[("first", "second", "both")[n // 2 % 3]], wide, n)
    took = time.monotonic() - began
    reports = {name: load.ask("stop") for name, load in world.loads.items()}
    tried = {key: sum(report["books"].get(key, [0])[0] for report in reports.values()) for key in reports["first"]["books"]}
    print(f"{CHANGES} changes in {took:.1f} s, {CHANGES / changing:.0f} changes/s while one is under way; meanwhile {tried}; "
          f"of the first 40, {in_place} in place and {new_id} under a new id")
    assert in_place >= 10 and new_id >= 10
    for name, report in reports.items():
        assert report["wrongs"] == 0, (name, report["wrong"])
        for octets, error in report["downloads"]:
            assert error is None and octets > 100_000, (name, report["downloads"])
        assert sum(row[0] for row in report["books"].values()) > 100 * took, "traffic flowed"
    for name, one in world.witnesses.items():
        outside = one.call(20, op="seen", contains="")
        assert outside["missed"] == 0 and outside["packets"] == [], (name, outside["packets"][:3])
    world.apply(OWN, 0)
    as_full_as(world, before, ("names", "cidrs4", "cidrs6", "resolvers"), because_of=lambda: world.reload(NARROW, 0))
    # The ports that a change in place left go with the next policy that is written.
    as_full_as(world, before, MAPS, because_of=lambda: (world.reload(WIDE, 1), world.reload(NARROW, 0)))
    lost = world.lab.daemon.get("/v1/status")["kernel"]
    assert {name: count for name, count in lost.items() if name != "events_lost" and count} == {}
