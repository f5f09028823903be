# SPDX-License-Identifier: Apache-2.0
"""Issue 4 e: as many denials as the machine can make for ten seconds. Events delivered and events counted as untold are what happened;
the daemon's memory stays bounded; a reader that never reads harms nobody. Once with the budget of events that each container has, once
without, so that the ring itself overflows.
"""
import statistics
import time
from contextlib import closing

import pytest

from client_places import report
from event_reader import EventReader, IdleReader
from loads import Programs, end
from observe import Counters, until
from pinned import Gate
from sums import Reading

SECONDS, STORMERS = 10, 4
LEAST = 200_000 * SECONDS  # denials, all stormers together: else it was no storm
SLOWEST_S = 10  # a request to the daemon, on a machine whose processors all make denials
MOST_GROWN = 20_000_000  # octets of the daemon's memory
DENIED, QUIET_DENIED, ALLOWED = "198.51.100.70", "198.51.100.71", "198.51.100.40"
QUIET_PAUSE_S = 0.05  # 20 a second: well within a budget of 100
POLICY = f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{{{name: {{name}}}}}}
spec:
  select: [{{{{cgroup: {{path}}}}}}]
  allow: [{{{{name: echo, cidrs: [{ALLOWED}/32], ports: [udp/9000]}}}}]
"""
LINES: list[str] = []


@pytest.fixture(scope="module")
def started(lab):
    made = {name: lab.container(name) for name in ("storm", "quiet")}
    lab.daemon.start({f"{name}.yaml": POLICY.format(name=name, path=c.path) for name, c in made.items()})
    return lab


def memory(lab) -> int:
    """Octets that the daemon holds."""
    with open(f"/proc/{lab.daemon.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


class Storm:
    """The whole story, told once with a budget and once without; the tests below look at it."""

    def __init__(self, lab, budget: bool):
        self.lab, self.daemon, self.budget = lab, lab.daemon, budget
        self.storm, self.quiet = lab.containers["storm"], lab.containers["quiet"]
        if not budget:
            Gate(self.daemon.bpffs / "penstock/maps/gate").tell_all_events()
        only_quiet = f"&container={self.quiet.path}"
        with (closing(IdleReader(self.daemon)), closing(EventReader(self.daemon)) as self.reader,
              closing(EventReader(self.daemon, keep=self.quiet.path, query=only_quiet)) as self.other):
            self.settle()
            self.before = self.state()
            self.rage()
            self.settle()
            self.after = self.state()

    def state(self) -> dict:
        return {"storm": Counters(self.daemon, self.storm.path), "quiet": Counters(self.daemon, self.quiet.path),
                "told": self.reader.sum(), "ring": self.daemon.get("/v1/status")["kernel"]["events_lost"],
                "kept": len(self.other.kept), "memory": memory(self.lab)}

    def settle(self) -> None:
        """The readers were told of all there was: nothing comes for longer than the daemon takes to tell of a full ring (1 s)."""
        last, since = -1, time.monotonic()

        def is_quiet() -> bool:
            nonlocal last, since
            if (now := self.reader.sum() + len(self.other.kept)) != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > 1.5
        until(is_quiet, 60, "the readers have read all")

    def rage(self) -> None:
        programs = Programs(self.lab)
        agents = [programs.start(self.storm, "flood", "attempts", DENIED, 9, -1) for _ in range(STORMERS)]
        begun, self.most, self.asked, self.refused, self.echoed = time.monotonic(), 0, [], [], 0
        while time.monotonic() - begun < SECONDS:
            self.most = max(self.most, memory(self.lab))
            self.look_around(len(self.refused))
            time.sleep(QUIET_PAUSE_S)  # a rate, nothing is waited for
        self.books = end(*agents)
        self.seconds = max(book["seconds"] for book in self.books)
        self.happened = sum(book["refused"] for book in self.books)

    def look_around(self, number: int) -> None:
        """A denial of the neighbour's, each to a port of its own, an exchange that is allowed, and a question to the daemon."""
        port = 1024 + number
        got = self.quiet.probe("exchange", server=QUIET_DENIED, port=port, message="55", wait=False)
        self.refused.append((port, got["error"]))
        self.echoed += self.quiet.probe("udp", address=ALLOWED, port=9000)["answered"]
        for page in ("/healthz", "/v1/status"):
            asked = time.monotonic()
            assert self.daemon.request("GET", page, timeout=30)[0] == 200, page
            self.asked.append(time.monotonic() - asked)

    def grown(self, who: str, **fields) -> int:
        return self.after[who].of(**fields) - self.before[who].of(**fields)


@pytest.fixture(scope="module", params=["budget", "no budget"])
def storm(started, request):
    return Storm(started, request.param == "budget")


def test_the_storm_was_one(storm):
    """Red when fewer than 200,000 denials a second were made, or when nothing had to be swallowed."""
    rate, lost = storm.happened / storm.seconds, storm.after["ring"] - storm.before["ring"]
    untold, told = storm.grown("storm", verdict="untold"), storm.reader.told["denied", storm.storm.path]
    LINES.append(f"{'budget' if storm.budget else 'no budget'}: {storm.happened:,} denials in {storm.seconds:.1f} s ({rate:,.0f}/s): "
                 f"{untold:,} untold ({lost:,} by a full ring), {told:,} read, {storm.reader.missing:,} known to be missing; daemon's RSS "
                 f"{storm.before['memory'] / 1e6:.1f} MB, then at most {storm.most / 1e6:.1f} MB; {len(storm.asked)} requests to it took "
                 f"{statistics.mean(storm.asked) * 1000:.1f} ms, at most {max(storm.asked) * 1000:.0f} ms")
    report("denial_storm", LINES)
    assert storm.happened > LEAST and untold > 0
    assert storm.budget == (lost == 0), "the ring overflows where there is no budget, and only there"


def test_every_verdict_is_the_same(storm):
    assert all((book["done"], book["failed"]) == (0, 0) for book in storm.books), storm.books
    assert {error for _, error in storm.refused} == {"EPERM"} and len(storm.refused) > 20
    assert storm.echoed == len(storm.refused), "what is allowed goes on"


def test_the_daemon_answers_all_the_time(storm):
    assert len(storm.asked) > 40 and max(storm.asked) < SLOWEST_S, max(storm.asked)


def test_the_counter_of_denials_is_what_the_application_saw(storm):
    assert storm.grown("storm", verdict="deny", reason="no-rule") == storm.happened
    assert storm.grown("storm", verdict="deny") == storm.happened
    assert storm.grown("quiet", verdict="deny") == len(storm.refused)


def test_delivered_and_counted_is_what_happened(storm):
    """A reader was told of each event, or that it is missing; those that a full ring lost it is told of as missing, and they are
    counted as untold, too."""
    untold = storm.grown("storm", verdict="untold") + storm.grown("quiet", verdict="untold")
    lost = storm.after["ring"] - storm.before["ring"]
    told = storm.after["told"] - storm.before["told"]
    assert (told - lost) + untold == storm.happened + len(storm.refused)
    assert storm.reader.error is None and storm.other.error is None


def test_events_within_the_budget_are_all_delivered(storm):
    """The neighbour's: each of them, once, where the storm has a budget. Where it has none they share the ring: none is told twice."""
    seen = [event["remote_port"] for event in storm.other.kept[storm.before["kept"]:]]
    expected, untold = [port for port, _ in storm.refused], storm.grown("quiet", verdict="untold")
    assert set(seen) <= set(expected) and len(seen) == len(set(seen))
    if storm.budget:
        assert seen == expected and untold == 0
        events = storm.happened - storm.grown("storm", verdict="untold")
        assert 1000 <= events <= 1000 + 100 * (storm.seconds + 2), "a burst of 1,000 and 100 a second"


def test_the_daemons_memory_is_bounded(storm):
    assert storm.most - storm.before["memory"] < MOST_GROWN, (storm.before["memory"], storm.most)
    assert storm.after["memory"] - storm.before["memory"] < MOST_GROWN


def test_the_page_of_metrics_counts_the_same(storm):
    text = storm.daemon.request("GET", "/metrics")[1].decode()
    untold = {labels["container"]: value for labels, value in Reading.metric(text, "penstock_events_untold_total")}
    now = Counters(storm.daemon, storm.storm.path)
    assert untold[storm.storm.path] == now.of(verdict="untold")
    assert Reading.metric(text, "penstock_events_lost_total")[0][1] == storm.after["ring"]
