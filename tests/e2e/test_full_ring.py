# SPDX-License-Identifier: Apache-2.0
"""Nobody reads the ring of events, and it is full: the quotas' marks that it swallows are counted; that the denials are is in
test_denial_storm.py. Verdicts stay what they are, and what is told later is of later windows.
"""
import pytest

from limits import HEAD, PACKET, TWO, spend
from observe import Counters, events, until
from pinned import Gate
from quotas import OWN, RULE, TEN, quota

ECHO, ECHO_PORT = "198.51.100.40", 9000
SPECS = {"loud": OWN, "own": OWN, "rule": RULE, "turning": OWN.replace("24h", "4s"),
         "in": f"  allow: [{{name: echo, cidrs: [{ECHO}/32], ports: [udp/{ECHO_PORT}]}}]\n  limits: {{quota: {TEN}/24h ingress}}\n"}
MORE_THAN_FIT = 20_000  # events in 4 MiB


@pytest.fixture(scope="module")
def full(lab):
    """The containers, when the ring is full and the daemon dead."""
    made = {name: lab.container(name) for name in SPECS}
    lab.daemon.start({f"{name}.yaml": HEAD.format(name=name, path=made[name].path) + spec for name, spec in SPECS.items()})
    Gate(lab.daemon.bpffs / "penstock/maps/gate").tell_all_events()
    lab.daemon.kill9()
    assert spend(made["loud"], MORE_THAN_FIT, address=TWO) == {"EPERM": MORE_THAN_FIT}
    return made


def untold(lab, container) -> dict[tuple, int]:
    return {key: count for key, count in Counters(lab.daemon, container.path).packets.items() if key[2] == "untold"}


def told(lab, container) -> list[int]:
    return [event["length"] for event in events(lab.daemon, container.path, kind="quota")]


def test_marks_that_a_full_ring_swallows_are_counted(lab, full):
    for name in ("own", "rule"):
        assert spend(full[name], 14) == {"sent": 10, "EPERM": 4}
    for _ in range(9):
        assert full["in"].probe("udp", address=ECHO, port=ECHO_PORT, octets=PACKET - 28)["answered"]
    assert spend(full["turning"], 14) == {"sent": 10, "EPERM": 4}
    until(lambda: spend(full["turning"], 1) == {"sent": 1}, 6, "the window turns")
    assert spend(full["turning"], 8) == {"sent": 8}

    lab.daemon.start()
    assert untold(lab, full["own"])["", "egress", "untold", "quota-mark"] == 2, "80 and 100 %"
    assert untold(lab, full["rule"])["out", "egress", "untold", "quota-mark"] == 2
    assert untold(lab, full["in"]) == {("", "ingress", "untold", "quota-mark"): 1}
    assert untold(lab, full["turning"])["", "egress", "untold", "quota-mark"] == 3, "80 and 100 %, then 80 %"
    assert (denials := untold(lab, full["loud"])["", "egress", "untold", "no-rule"]) > 0
    for name, unrecorded in (("loud", denials), ("in", 0)):
        suggested = lab.daemon.get(f"/v1/suggest?container={full[name].path}")
        assert suggested["unrecorded"] >= unrecorded if unrecorded else suggested["unrecorded"] == 0, "marks are no denials"
    assert all(told(lab, full[name]) == [] for name in ("own", "rule", "in", "turning"))


def test_the_marks_of_later_windows_are_told(lab, full):
    container = full["turning"]
    lost = untold(lab, container)
    until(lambda: quota(lab, container)["spent_bytes"] == 0, 6, "the window turns")
    assert spend(container, 15) == {"sent": 10, "EPERM": 5}
    until(lambda: told(lab, container) == [80, 100], 3, "both marks")
    assert untold(lab, container) == lost
    assert told(lab, full["own"]) == [], "nothing of a window is told twice, nor late"
