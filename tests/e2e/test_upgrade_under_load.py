# SPDX-License-Identifier: Apache-2.0
"""Issue 3 e: a daemon that starts puts its own programs in place of the old ones, in their links (bpf_link_update), and so does every
restart. Up to fifteen restarts under a flood: nothing allowed fails, nothing denied leaves, and not one packet misses in the counters. The
same with thousands of replacements and exact counts of arrivals: tests/live/upgrade_test.cpp."""
import time

from load import ALLOWED, KEPT, REFUSED, CountedLoad, counters_of, grown, policy, witness
from observe import until
from pinned import programs

RESTARTS, AT_LEAST, PATIENCE_S = 15, 3, 25  # a restart takes 0.3 s, on a machine with nothing to spare ten times that
FLOOD = [{"kind": "flood", "key": "packet", "address": address, "port": 9000, "count": 100, "refused": True}
         for address in ("198.51.100.32", "2001:db8:80::20")]


def counters(lab, container) -> list[dict]:
    return lab.daemon.get(f"/v1/counters?container={container.path}")["counters"]


def test_programs_are_replaced_under_load(lab):
    containers = [lab.container(name) for name in ("steady", "flood")]
    lab.daemon.start({f"{c.name}.yaml": policy(c) for c in containers})
    loads = [CountedLoad(lab, container) for container in containers]
    witnesses = [witness(lab, container, *KEPT) for container in containers]
    before = [counters(lab, container) for container in containers]
    for load, rate, acts in zip(loads, (200, 50), (ALLOWED + REFUSED, FLOOD + ALLOWED)):
        load.ask("start", rate=rate, acts=acts)
    start, restarts = time.monotonic(), 0
    while restarts < RESTARTS and (restarts < AT_LEAST or time.monotonic() - start < PATIENCE_S):
        old, restarts = programs(lab), restarts + 1
        assert lab.daemon.stop() == 0
        lab.daemon.start()
        new = programs(lab)
        assert new.keys() == old.keys() and not set(new.values()) & set(old.values()), "each link has a new program"
    took = time.monotonic() - start
    until(lambda: all(len(load.ask("report")["books"]) >= 3 for load in loads), 10, "the loads have run")
    reports = [load.ask("stop") for load in loads]
    sent = sum(row[0] for report in reports for row in report["books"].values())
    print(f"{restarts} restarts in {took:.1f} s under {sent / took:.0f} packets and attempts a second")
    for container, report, was, one in zip(containers, reports, before, witnesses):
        assert report["wrongs"] == 0, report["wrong"]
        assert {key for key, row in report["books"].items() if key in ("fresh", "lookups", "echo") and row[0] != row[2]} == set()
        told = grown(was, counters(lab, container))
        assert {key: counts for key, counts in told.items() if key[2] not in ("none", "untold")} == counters_of(report["books"])
        outside = one.call(20, op="seen", contains="")
        assert outside["missed"] == 0 and outside["packets"] == [], outside["packets"][:3]
    assert sent > 1000 * took
