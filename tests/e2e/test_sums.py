# SPDX-License-Identifier: Apache-2.0
"""Issue 4 c: ten million packets of eight senders, the daemon killed and restarted meanwhile: what the counters say is what the senders
say and what nftables counted at the cable, packet by packet and octet by octet; and no reading is below one before it.

Ten million with eight containers, and some more with the eight senders in one. UDP leaves in buffers of up to 64 packets, to addresses,
v6, and more learned names than a container has rows for; some singly; some is denied; and a TCP stream takes what is left.
"""
import json
import time
from collections import Counter

import pytest

import dns
from cable_counts import DATAGRAMS, CableCounts
from client_places import report
from internet import ODD
from loads import Programs, end
from observe import until
from sums import Reading, added, by_key

PACKETS = {"eight": 10_000_000, "one": 3_000_000}  # containers: how many of them at least
SENDERS = 8
MOVED = 100_000  # packets between two acts of the restarts
RESTARTS = ("kill9", "stop") * 2
NAMES = 150  # with a row for what was asked and one for what was sent each: more than the 256 a container has
ONE, ONE6, OTHER, SINK, CLOSED, FIRST_NAME = ("198.51.100.60", "2001:db8:80::3c", "198.51.100.61", "198.51.100.62", "198.51.100.63",
                                              "101.0.0.1")
POLICY = f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{{{name: sums-{{name}}}}}}
spec:
  select: [{{{{cgroup: {{path}}}}}}]
  dns: {{{{resolvers: [{ODD}], search: [], minTTL: 1h}}}}
  allow:
    - {{{{name: one, cidrs: [{ONE}/32, "{ONE6}/128"], ports: [udp/9001]}}}}
    - {{{{name: other, cidrs: [{OTHER}/32], ports: [udp/9001]}}}}
    - {{{{name: stream, cidrs: [{SINK}/32], ports: [tcp/9009]}}}}
    - {{{{name: named, domains: ["*.odd.test"], ports: [udp/9001]}}}}
  deny:
    - {{{{name: closed, cidrs: [{CLOSED}/32]}}}}
"""
CABLE = {"one": f"ip daddr {ONE} {DATAGRAMS}", "one6": f"ip6 daddr {ONE6} {DATAGRAMS}", "other": f"ip daddr {OTHER} {DATAGRAMS}",
         "named": f"ip daddr 101.0.0.0/8 {DATAGRAMS}", "closed": f"ip daddr {CLOSED} {DATAGRAMS}",
         "stream": f"ip daddr {SINK} tcp dport 9009", "dns": "udp dport 53"}
# What each sender does in turn (load_programs/sender.c), and what it is at the cable
ENTRIES = [("one", f"connected,{ONE},9001,700,8"), ("one6", f"connected,{ONE6},9001,300,64"), ("other", f"to,{OTHER},9001,100,64"),
           ("one", f"to,{ONE},9001,33"), ("one", f"connected,{ONE},9001,64"), ("named", f"to,{FIRST_NAME},9001,200,32,{NAMES}"),
           ("packet closed", f"connected,{CLOSED},9001,100,16"), ("attempt closed", f"to,{CLOSED},9001,50"),
           ("stream", f"tcp,{SINK},9009,65000")]
NAMED = 5  # of these
# Where the counters have each of these: rule, direction, verdict, reason
ROWS = {"one": ("one", "egress", "allow", "cidr"), "other": ("other", "egress", "allow", "cidr"),
        "named": ("named", "egress", "allow", "learned"), "closed": ("closed", "egress", "deny", "deny-rule"),
        "stream": ("stream", "egress", "allow", "cidr"), "stream in": ("stream", "ingress", "allow", "inbound"),
        "dns": ("named", "egress", "allow", "dns-query"), "dns in": ("", "ingress", "allow", "dns-answer")}
LINES: list[str] = []


class World:
    """The whole story, told once for each way to place the senders; the tests below look at it."""

    def __init__(self, lab, where: str):
        self.lab, self.where = lab, where
        self.containers = [lab.containers[f"{where}-{n}"] for n in range(SENDERS if where == "eight" else 1)]
        self.cable = CableCounts(lab, self.containers, CABLE)
        for container in self.containers:
            asked = container.probe("race", server=ODD, count=NAMES, first=1, port=0, deadline_s=120)
            assert asked["outcomes"] == {"None": NAMES}, asked
        programs, self.dropped = Programs(lab), self.cable.dropped()
        self.readings = [Reading(lab.daemon)]
        words = [words for _, words in ENTRIES]
        senders = [programs.start(self.containers[n % len(self.containers)], "sender", *words) for n in range(SENDERS)]
        begun = time.monotonic()
        self.restart()
        until(lambda: self.at_cable() >= PACKETS[where], 300, "so many packets at the cable", pause_s=0.2)
        books = end(*senders)
        self.seconds = time.monotonic() - begun
        self.books = {container.name: books[n::len(self.containers)] for n, container in enumerate(self.containers)}
        self.dropped = self.cable.dropped() - self.dropped
        self.read()

    def read(self) -> None:
        """Once all of it has been counted: what is on the cable may still be on its way through the other CPU."""
        self.seen = {}

        def is_still() -> bool:
            before, self.seen = self.seen, self.cable.read()
            return self.seen == before
        until(is_still, 10, "nothing moves any more", pause_s=0.2)
        self.last = Reading(self.lab.daemon)
        self.readings.append(self.last)

    def let_flow(self, what: str) -> None:
        before = self.at_cable()
        until(lambda: self.at_cable() > before + MOVED, 60, what)

    def restart(self) -> None:
        """While traffic flows."""
        for how in RESTARTS:
            self.let_flow("traffic flows")
            self.readings.append(Reading(self.lab.daemon))
            getattr(self.lab.daemon, how)()
            self.let_flow("traffic flows without a daemon")
            self.lab.daemon.start()
            self.readings.append(Reading(self.lab.daemon))

    def at_cable(self) -> int:
        return sum(packets for kinds in self.cable.read().values() for packets, _ in kinds.values())

    def sent(self, name: str) -> dict[str, tuple[int, int]]:
        """By the senders of a container, by kind. Of TCP they know no octets, of DNS nobody but the test."""
        books: Counter = Counter()
        for sender in self.books[name]:
            for (kind, _), entry in zip(ENTRIES, sender["entries"]):
                assert entry["failed"] == 0, (kind, entry)
                calls, packets, octets = entry["refused"]
                if "closed" in kind:
                    assert not any(sum(entry["sent"], [])), f"a denied packet was sent: {entry}"
                    books["closed", 0] += packets if kind == "packet closed" else calls
                    books["closed", 1] += octets if kind == "packet closed" else 0  # an attempt has no octets yet
                    continue
                assert not packets, f"an allowed packet was refused: {kind} {entry}"
                for n in (0, 1):
                    books[kind, n] += sum(row[n] for row in entry["sent"])
                books["stream in", 0] += entry.get("came", 0)
        books["one", 0], books["one", 1] = (books["one", n] + books.pop(("one6", n)) for n in (0, 1))
        queries = [dns.query(0, f"run-{n}.odd.test") for n in range(1, NAMES + 1)]
        books["dns", 0], books["dns", 1] = NAMES, sum(28 + len(query) for query in queries)
        return {kind: (books[kind, 0], books[kind, 1]) for kind in ROWS if kind != "dns in"}

    def at_the_cable(self, name: str) -> dict[str, tuple[int, int]]:
        seen = dict(self.seen[name])
        seen["one"] = added([seen["one"], seen.pop("one6")])
        return seen


@pytest.fixture(scope="module")
def ready(lab):
    made = [lab.container(f"{where}-{n}") for where, count in (("eight", SENDERS), ("one", 1)) for n in range(count)]
    lab.internet.start_sink(9009)
    lab.daemon.start({f"{c.name}.yaml": POLICY.format(name=c.name, path=c.path) for c in made})
    return lab


@pytest.fixture(scope="module", params=PACKETS)
def world(ready, request):
    return World(ready, request.param)


def test_so_many_packets_crossed_the_cable(world):
    total = added(counts for kinds in world.seen.values() for counts in kinds.values())
    LINES.append(f"{world.where} container(s), {SENDERS} senders: {total[0]:,} packets, {total[1]:,} IP octets at the cable "
                 f"in {world.seconds:.1f} s; {RESTARTS.count('kill9')} kill -9, {RESTARTS.count('stop')} restarts; {world.dropped} lost by the cable")
    report("sums", LINES)
    assert total[0] >= PACKETS[world.where]
    assert world.dropped == 0, "the cable lost some: nothing can be compared"


def test_the_counters_are_what_the_senders_say(world):
    for container in world.containers:
        told, sent = by_key(world.last.of(container.path)), world.sent(container.name)
        for kind, counts in sent.items():
            count = slice(0, 1 if kind.startswith("stream") else 2)
            assert told[ROWS[kind]][count] == counts[count], (container.name, kind)


def test_the_counters_are_what_was_seen_at_the_cable(world):
    for container in world.containers:
        told, seen = by_key(world.last.of(container.path)), world.at_the_cable(container.name)
        assert seen.pop("closed") == (0, 0), "something denied left"
        assert {kind: told[ROWS[kind]] for kind in seen} == seen, container.name


def test_nothing_else_was_counted(world):
    """So the sum of all that was allowed is the sum of all that was seen."""
    allowed = added((row["packets"], row["bytes"]) for c in world.containers for row in world.last.of(c.path) if row["verdict"] == "allow")
    assert allowed == added(counts for kinds in world.seen.values() for counts in kinds.values())
    for container in world.containers:
        keys = {key for key in by_key(world.last.of(container.path)) if key[2] in ("allow", "deny")}
        assert keys == set(ROWS.values()), container.name
    status = world.lab.daemon.get("/v1/status")["kernel"]
    assert {name: status[name] for name in ("counters_lost", "scratch_lost")} == {"counters_lost": 0, "scratch_lost": 0}


def test_each_learned_name_has_its_own_sum(world):
    """Or a part of it, where it was idle and made room for others: the rest is of "(other)"."""
    for container in world.containers:
        rows = [row for row in world.last.of(container.path) if (row["rule"], row["reason"]) == ("named", "learned")]
        told = {row["domain"]: (row["packets"], row["bytes"]) for row in rows}
        by_name = zip(*(sender["entries"][NAMED]["sent"] for sender in world.books[container.name]))
        sent = {f"run-{n}.odd.test": added(counts) for n, counts in enumerate(by_name, 1)}
        other = told.pop("(other)")
        assert len(told) > 20 and all(a <= b for name in told for a, b in zip(told[name], sent[name])), container.name
        assert added([other, *told.values()]) == added(sent.values()), container.name


def test_no_counter_goes_back(world):
    """Of each rule, names that made room included, and of those alone."""
    assert len(world.readings) == 2 * len(RESTARTS) + 2
    sums = [{container.path: by_key(reading.of(container.path)) | {
        (row["rule"], "(other)"): (row["packets"], row["bytes"]) for row in reading.of(container.path)
        if (row["domain"], row["reason"]) == ("(other)", "learned")} for container in world.containers} for reading in world.readings]
    for before, after in zip(sums, sums[1:]):
        fallen = {(path, *key): (counts, after[path].get(key)) for path, rows in before.items() for key, counts in rows.items()
                  if any(a > b for a, b in zip(counts, after[path].get(key, (0, 0))))}
        assert not fallen, fallen
    grown = [sum(b[0] for b in r.rows.values()) for r in world.readings]
    assert grown[-1] - grown[0] >= PACKETS[world.where]


def test_the_page_of_metrics_says_the_same(world):
    text = world.lab.daemon.request("GET", "/metrics")[1].decode()
    for n, metric in enumerate(("penstock_packets_total", "penstock_bytes_total")):
        told: Counter = Counter()
        for labels, value in Reading.metric(text, metric):
            told[labels["container"], labels["rule"], labels["direction"], labels["verdict"], labels["reason"]] += value
        for container in world.containers:
            rows = {key: counts[n] for key, counts in by_key(world.last.of(container.path)).items() if key[2] in ("allow", "deny")}
            assert {key: told[(container.path, *key)] for key in rows} == rows, (container.name, metric)


def test_the_command_line_says_the_same(world):
    said = json.loads(world.lab.daemon.cli("counters", "-o", "json").stdout)["counters"]
    assert by_key(said) == by_key(world.last.all)
