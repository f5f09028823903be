# SPDX-License-Identifier: Apache-2.0
"""Limits that hold at once, and are spent by two CPUs at once: rules and their container, a rate under a flood, and quotas while their
windows change length or all programs are replaced. What is asserted is what came out of the cable, to the octet.
"""
import json
import subprocess
import threading

import pytest

from limits import HEAD, ONE, PACKET, PORT, TWO, left, octets_of, spend
from observe import Counters, until
from pinned import programs

RATE, BURST, FLOOD_S = 4_000_000, 2_000_000, 3  # half a second's worth, so that a busy machine loses none of the rate
ALL = f"  allow: [{{name: out, cidrs: [198.51.100.0/24], ports: [udp/{PORT}]}}]\n"
PACKETS, OF_ONE, OF_TWO, OF_BOTH = 15_000, 3_000, 4_000, 5_000


def rules(one: int, two: int, both: int) -> str:
    """Quotas of packets to ONE, to TWO, and of the container."""
    return f"""  allow:
    - {{name: one, cidrs: [{ONE}], ports: [udp/{PORT}], limits: {{quota: {one * PACKET}B/24h egress}}}}
    - {{name: two, cidrs: [{TWO}], ports: [udp/{PORT}], limits: {{quota: {two * PACKET}B/24h egress}}}}
  limits: {{quota: {both * PACKET}B/24h egress}}
"""


def quota_of(window: str) -> str:
    return ALL.replace("]}]", f"], limits: {{quota: {PACKETS * PACKET}B/{window} egress}}}}]")


SPECS = {"flood": ALL + f"  limits: {{egress: {RATE}B/s burst {BURST}B}}\n", "three": rules(20, 30, 40),
         "crowd": rules(OF_ONE, OF_TWO, OF_BOTH), "lengths": quota_of("24h"), "upgraded": quota_of("24h"),
         "gone": rules(10, 20, 30).replace(f"quota: {10 * PACKET}B/24h egress", "packets: 1000/s burst 100", 1)}


def policies(lab, **changed: str) -> dict[str, str]:
    return {f"{name}.yaml": HEAD.format(name=name, path=lab.containers[name].path) + changed.get(name, spec) for name, spec in SPECS.items()}


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in SPECS}
    for container in made.values():
        container.watch_cable()
    lab.daemon.start(policies(lab))
    return made


def sender(address: str = ONE, **rest) -> dict:
    return {"address": address, "port": PORT, "octets": PACKET, **rest}


def spent(lab, container) -> dict[str, int]:
    """Octets by rule; of the container as a whole by "" """
    return {row["rule"]: row["spent_bytes"] for row in lab.daemon.get(f"/v1/quotas?container={container.path}")["quotas"]}


# ---- a rate ----

@pytest.mark.covers(hook="egress", rule="rate", family="v4", protocol="udp")
def test_two_cpus_flood_at_the_rate_and_the_burst_and_never_more(lab, world, watch):
    container = world["flood"]
    with watch(container) as seen:
        flood = container.probe("side_by_side", senders=[sender(ONE, seconds=FLOOD_S), sender(TWO, seconds=FLOOD_S)])
    sent = [outcomes.pop("sent") for outcomes in flood["each"]]
    assert flood["each"] == [{}, {}], "over its rate UDP is dropped and told nothing"
    until(lambda: seen.grown(direction="egress") >= sum(sent), 10, "all counted")
    packets, octets = left(container, seen.grown(direction="egress", verdict="allow"), port=PORT)
    allowed = RATE * flood["seconds"] + BURST
    print(f"{flood['cpus']} CPUs: {octets} of {sum(sent) * PACKET} octets in {flood['seconds']:.3f} s; {octets / allowed:.4f} of what is allowed")
    assert min(sent) * PACKET > 0.1 * allowed and sum(sent) * PACKET > 1.5 * allowed, "the flood was no flood of two"
    assert 0.97 * allowed <= octets <= allowed, (octets, allowed)
    seen.counted(packets, direction="egress", verdict="allow", reason="cidr")
    seen.counted(sum(sent) - packets, direction="egress", verdict="deny", reason="egress-rate")


# ---- quotas of two rules and the container ----

def test_what_the_container_does_not_hold_is_not_charged_to_the_rule(lab, world, watch):
    container = world["three"]
    with watch(container) as seen:
        assert spend(container, 15) == {"sent": 15}
        assert spend(container, 35, address=TWO) == {"sent": 25, "EPERM": 10}, "the container has 40"
        assert spent(lab, container) == {"": 40 * PACKET, "one": 15 * PACKET, "two": 25 * PACKET}
        done = lab.daemon.cli("quota", "add", "--container", container.path, f"{15 * PACKET}B")
        assert done.returncode == 0, done
        assert spend(container, 10) == {"sent": 5, "EPERM": 5}, "its rule has 20"
        assert spend(container, 10, address=TWO) == {"sent": 5, "EPERM": 5}, "its rule has 30"
        seen.counted(20, direction="egress", verdict="deny", reason="quota")
    assert spent(lab, container) == {"": 50 * PACKET, "one": 20 * PACKET, "two": 30 * PACKET}
    assert left(container, 20, destination=ONE) == (20, 20 * PACKET)
    assert left(container, 30, destination=TWO) == (30, 30 * PACKET)


def test_two_rules_and_the_container_are_exact_under_two_cpus(lab, world, watch):
    container = world["crowd"]
    with watch(container) as seen:
        each = container.probe("side_by_side", senders=[sender(address, count=6_000) for address in (ONE, TWO)])["each"]
        seen.counted(2 * 6_000 - OF_BOTH, direction="egress", verdict="deny", reason="quota")
    assert sum(outcomes["sent"] for outcomes in each) == OF_BOTH, each
    assert each[0]["sent"] <= OF_ONE and each[1]["sent"] <= OF_TWO, each
    assert left(container, OF_BOTH, port=PORT) == (OF_BOTH, OF_BOTH * PACKET)
    for address, outcomes in zip((ONE, TWO), each):
        assert left(container, outcomes["sent"], destination=address) == (outcomes["sent"], outcomes["sent"] * PACKET)
    assert spent(lab, container)[""] == OF_BOTH * PACKET == octets_of(lab, container, direction="egress", verdict="allow")


# ---- quotas while something changes ----

def exact_during(container, change, at_least: int) -> int:
    """Two CPUs spend the quota while change() is done again and again; how often. Not a packet more than the quota came out."""
    done, changes = [], 0
    senders = [sender(count=PACKETS, pause_s=0.0002) for _ in range(2)]
    thread = threading.Thread(target=lambda: done.append(container.probe("side_by_side", 120, senders=senders)))
    thread.start()
    while thread.is_alive() or changes < at_least:
        change(changes)
        changes += 1
    thread.join()
    sums = {key: sum(outcomes.get(key, 0) for outcomes in done[0]["each"]) for key in ("sent", "EPERM")}
    assert sums == {"sent": PACKETS, "EPERM": PACKETS}, done
    assert left(container, PACKETS, port=PORT) == (PACKETS, PACKETS * PACKET)
    return changes


def test_another_length_of_window_loses_no_octet_under_two_cpus(lab, world):
    container = world["lengths"]

    def change(number: int) -> None:
        lab.daemon.write(policies(lab, lengths=quota_of("48h" if number % 2 == 0 else "24h")))
        lab.daemon.reload()
    changes = exact_during(container, change, 2)
    print(f"{changes} changes of the window's length while {PACKETS} packets were spent")
    assert spent(lab, container) == {"out": PACKETS * PACKET}


def test_an_upgrade_keeps_what_is_spent(lab, world):
    """Every start puts its own programs in the place of the old ones: tests/e2e/test_upgrade_under_load.py."""
    container = world["upgraded"]

    def change(_: int) -> None:
        before = programs(lab)
        assert lab.daemon.stop() == 0
        lab.daemon.start()
        assert not set(programs(lab).values()) & set(before.values()), "each link has a new program"
    upgrades = exact_during(container, change, 1)
    print(f"{upgrades} upgrades while {PACKETS} packets were spent")
    assert spent(lab, container) == {"out": PACKETS * PACKET}
    counted = Counters(lab.daemon, container.path).rows
    assert sum(row["packets"] for row in counted if row["reason"] == "quota" and row["verdict"] == "deny") == PACKETS


# ---- what nothing limits any more ----

def test_a_budget_goes_when_nothing_limits_its_rule_and_stays_while_it_says_something(lab, world):
    container, free = world["gone"], ALL.replace("name: out", "name: other")

    def budgets() -> int:
        pin = lab.daemon.bpffs / "penstock" / "maps" / "budget_ids"
        shown = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", str(pin)], capture_output=True, text=True, check=True)
        return len(json.loads(shown.stdout))

    def load(spec: str) -> None:
        lab.daemon.write(policies(lab, gone=spec))
        lab.daemon.reload()
    before = budgets()
    assert spend(container, 5) == spend(container, 5, address=TWO) == {"sent": 5}
    assert budgets() == before + 3, "two rules and the container"
    load(free)
    until(lambda: budgets() < before + 3, 40, "the packet rate's budget is given back")
    assert budgets() == before + 2, "octets of a window that is not over are kept"
    load(SPECS["gone"])
    assert spent(lab, container) == {"": 10 * PACKET, "two": 5 * PACKET}
    assert spend(container, 30, address=TWO) == {"sent": 15, "EPERM": 15}
