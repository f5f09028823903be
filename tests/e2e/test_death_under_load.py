# SPDX-License-Identifier: Apache-2.0
"""Issue 3 c: kill -9 under load: more than 1,000 look-ups a second, downloads whose every octet is compared, 30 seconds without a
daemon, then a restart. Nothing allowed is lost, nothing denied leaves, new names are learned, and the counters after the restart are
what the clients counted, packet by packet and octet by octet. Two phases without death come first: without the gate, and with it."""
import time

import pytest

import dns
from internet import DNSMASQ, DNSMASQ6, ODD, ODD6, ODD_OTHER, UNBOUND, UNBOUND6
from load import CountedLoad, grown, witness

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
PHASES = {"no gate": 3, "daemon alive": 5, "daemon dead": 30, "restarted": 4}
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
REACH = [{"kind": "reach", "key": "fresh", "server": ODD, "suffix": "odd.test", "port": 80, "before": "attempt"}]
RATES = {"asker-1": 550, "asker-2": 550, "loader": 25}
DOWNLOADS = "198.51.100.10", "2001:db8:80::a", "101.255.0.1"
# key of the books: rule, verdict and reason of the counter; whether the gate saw a packet, with its octets
EGRESS = {"fresh": ("fresh", "allow", "dns-query", True), "lookups": ("lookups", "allow", "dns-query", True),
          "echo": ("echo", "allow", "cidr", True), "name": ("", "deny", "name-not-allowed", True),
          "denied name": ("closed-name", "deny", "name-denied", True), "packet": ("", "deny", "no-rule", True),
          "attempt": ("", "deny", "no-rule", False), "closed": ("closed", "deny", "deny-rule", False),
          "resolver": ("", "deny", "resolver", False)}


class World:
    """The whole story, told once; the tests below look at it."""

    def __init__(self, lab):
        self.lab, self.reports, self.seconds = lab, {}, {}
        made = {name: lab.container(name) for name in RATES}
        self.loads = {name: CountedLoad(lab, container) for name, container in made.items()}
        self.witnesses = {name: witness(lab, container, *KEPT) for name, container in made.items()}
        for name, load in self.loads.items():
            load.ask("start", rate=RATES[name], acts=ALLOWED)
        self.phase("no gate")
        self.baseline = {name: load.ask("stop") for name, load in self.loads.items()}
        resolvers = ", ".join(f'"{address}"' for address in (DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6, ODD, ODD6))
        lab.daemon.start({f"{name}.yaml": POLICY.format(name=name, path=container.path, resolvers=resolvers)
                          for name, container in made.items()})
        for name in ("api.good.test", f"run-{255 << 16 | 1}.odd.test"):
            for qtype in (dns.A, dns.AAAA):
                made["loader"].probe("query", server=ODD if "odd" in name else DNSMASQ, name=name, type=qtype)
        self.before = self.counters()
        for name, load in self.loads.items():
            load.ask("start", rate=RATES[name], acts=REACH if name == "loader" else ALLOWED + REFUSED, first=1_000_000)
        for address in DOWNLOADS:
            self.loads["loader"].ask("download", address=address, port=80)
        self.phase("daemon alive")
        lab.daemon.kill9()
        self.phase("daemon dead")
        lab.daemon.start()
        self.phase("restarted")
        self.final = {name: load.ask("stop") for name, load in self.loads.items()}
        self.after = self.counters()

    def phase(self, name: str) -> None:
        """The load goes on for the seconds of the phase; this is its length, nothing waits for anything."""
        start = {who: load.ask("report") for who, load in self.loads.items()}
        time.sleep(PHASES[name])
        self.reports[name] = start, {who: load.ask("report") for who, load in self.loads.items()}

    def counters(self) -> dict[str, list[dict]]:
        return {name: self.lab.daemon.get(f"/v1/counters?container={load.container.path}")["counters"] for name, load in self.loads.items()}

    def booked(self, phase: str, who: str, key: str) -> list[int]:
        start, end = (report[who]["books"].get(key, [0, 0, 0, 0]) for report in self.reports[phase])
        return [after - before for before, after in zip(start, end)]


@pytest.fixture(scope="module")
def world(lab):
    return World(lab)


@pytest.mark.parametrize("phase", PHASES)
def test_the_load_is_what_it_says(world, phase):
    start, end = world.reports[phase]
    took = end["asker-1"]["time"] - start["asker-1"]["time"]
    sums = {key: sum(world.booked(phase, who, key)[0] for who in RATES) / took for key in EGRESS}
    lookups = sums["fresh"] + sums["lookups"]
    denied = sum(rate for key, rate in sums.items() if EGRESS[key][1] == "deny")
    octets = sum(b[0] - a[0] for a, b in zip(start["loader"]["downloads"], end["loader"]["downloads"]))
    print(f"{phase}: {took:.1f} s, {lookups:.0f} look-ups/s answered, {denied:.0f} denials/s, {sums['echo']:.0f} echoes/s, "
          f"{octets / took / 1e6:.2f} MB/s of downloads")
    assert lookups >= 1000 and (phase == "no gate" or denied >= 300)


@pytest.mark.parametrize("who", RATES)
def test_no_allowed_look_up_is_lost_and_nothing_denied_is_done(world, who):
    for report in (world.baseline[who], world.final[who]):
        assert report["wrongs"] == 0, report["wrong"]
        for key in ("fresh", "lookups", "echo"):
            sent, _, came, _ = report["books"].get(key, [0, 0, 0, 0])
            assert sent == came, (key, report["books"])


def test_no_octet_of_the_downloads_is_lost(world):
    for phase in ("daemon alive", "daemon dead", "restarted"):
        start, end = (report["loader"]["downloads"] for report in world.reports[phase])
        for before, after in zip(start, end):
            assert after[1] is None, after
            assert after[0] - before[0] > 0.5 * 8192 * 100 * PHASES[phase], (phase, before, after)


@pytest.mark.parametrize("who", RATES)
def test_nothing_denied_was_seen_outside(world, who):
    gated = world.witnesses[who].call(20, op="seen", contains="")
    assert gated["missed"] == 0
    assert gated["packets"] == [], gated["packets"][:3]


def test_names_are_learned_while_the_daemon_is_dead(world):
    """Each was refused before its name was asked for, and reached at once when it was answered: else there were wrongs."""
    sent = world.booked("daemon dead", "loader", "fresh")[0]
    print(f"{sent} new names learned and reached without a daemon")
    assert sent > 20 * PHASES["daemon dead"]


@pytest.mark.parametrize("who", RATES)
def test_the_counters_after_the_restart_are_what_the_clients_counted(world, who):
    books, told = world.final[who]["books"], grown(world.before[who], world.after[who])
    expected: dict[tuple, list[int]] = {}
    for key, (rule, verdict, reason, is_packet) in EGRESS.items():
        sent, octets, _, _ = books.get(key, [0, 0, 0, 0])
        row = expected.setdefault((rule, "egress", verdict, reason), [0, 0])
        row[0], row[1] = row[0] + sent, row[1] + (octets if is_packet else 0)
    answers = [sum(books.get(key, [0, 0, 0, 0])[n] for key in ("fresh", "lookups")) for n in (2, 3)]
    expected["", "ingress", "allow", "dns-answer"] = answers
    if who != "loader":
        expected["", "ingress", "allow", "inbound"] = books["echo"][2:]
    # Things noticed, and the packets of TCP, which nobody booked.
    told = {key: counts for key, counts in told.items() if key[2] != "none" and not (who == "loader" and key[3] in ("learned", "inbound"))}
    assert told == {key: tuple(row) for key, row in expected.items() if row != [0, 0]}
    lost = world.lab.daemon.get("/v1/status")["kernel"]
    assert {name: count for name, count in lost.items() if name != "events_lost" and count} == {}, "events are told or counted, no more"
