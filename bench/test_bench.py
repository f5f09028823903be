# SPDX-License-Identifier: Apache-2.0
"""The benchmark works and leaves nothing out: a quick run has every row and valid JSON. No figure is judged here; that an
over-budget figure is told is shown on made-up rows.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import traffic  # noqa: E402
from figures import Row, table  # noqa: E402

LIMITS = ["none", "egress rate of the container", "packet rate of the container", "quota of the container", "all of the container",
          "all of container and rule", "none, counted by learned name", "all of container and rule, counted by learned name",
          "none, flow log", "all of container and rule, counted by learned name, flow log"]
VERDICT = [f"real packet {way} an established TCP flow, {family}" for way in ("out of", "into") for family in ("v4", "v6")] + [
    "new flow, TCP SYN, CIDR, v4", "new flow, TCP SYN, CIDR, v6", "new flow, TCP SYN, learned address, v4",
    "new flow, TCP SYN, learned address, v4; 10000 containers", "unmanaged packet out, rows at 1 depth",
    *[f"DNS query, 30 octets, {n} domains" for n in (1, 1000, 100000)], *[f"DNS query, {n} octets, 1000 domains" for n in (10, 100, 253)],
    "100000 domains over 1000, totals: DNS query, 30 octets", "DNS query, 30 octets, 1000 domains; 10000 containers",
    "10000 containers over 1, totals: DNS query, 30 octets, 1000 domains",
    "DNS answer, 4 addresses, first time, one run each", "DNS answer, 4 addresses, refresh, one run each",
    "DNS answer, 4 addresses, first time, one run each; 10000 containers",
    *[f"real {what}, limits: {limits}" for what in ("TCP packet out", "TCP packet in", "TCP round trip", "UDP datagram out", "UDP datagram in")
      for limits in LIMITS], "the kernel's clock, read once",
    *[f"new flow, TCP SYN, {what}" for what in ("1 limited rule", "1 limited rule; 10000 containers", "1000 limited rules",
                                                "1000 limited rules; 64 containers")]]
TRAFFIC = [f"{called}: {traffic.NAMES[place]}" for kind, _, called, _ in traffic.KINDS for place in traffic.NAMES if traffic.can(place, kind)]
SCALE = ["policy with 10000 domains: reload to in force", "policy with 10000 domains: one domain added, reload to in force",
         "policy with 10000 domains: one domain added, map elements written", "daemon, 100 containers, 1000 rules: memory (RSS)",
         "daemon, 100 containers, 1000 rules: idle", "daemon, 976 quotas in 16 containers: idle",
         "daemon, 976 quotas in 16 containers, all spent of each second", "container start to enforced, beside 100 containers, 1000 rules: slowest"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[subprocess.CompletedProcess, dict]:
    output = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, str(HERE / "run"), os.environ["PENSTOCK_BUILD"], "--quick", "--output", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180)
    return run, json.loads(output.read_text())


def test_a_quick_run_measures_every_row(quick):
    run, written = quick
    assert run.returncode == 0, run.stdout + run.stderr
    measured = {row["what"] for row in written["rows"] if row["measured"] is not None and row["measured"] > 0}
    assert [what for what in VERDICT + TRAFFIC + SCALE if what not in measured] == []


def test_the_table_shows_every_row_of_the_json(quick):
    run, written = quick
    assert [row["what"] for row in written["rows"] if row["what"] not in run.stdout] == []


@pytest.mark.parametrize("row, over", [
    (Row("x", 100, "ns", 30, net=70, ratio=3.3, most_net=60), True), (Row("x", 80, "ns", 30, net=50, ratio=2.7, most_net=60), False),
    (Row("x", 96, "/s", 100, ratio=0.96, least_ratio=0.97), True), (Row("x", 98, "/s", 100, ratio=0.98, least_ratio=0.97), False),
    (Row("x", 5.1, "ms", most=5), True), (Row("x", 4.9, "ms", most=5), False), (Row("x", 5, "ms"), None)])
def test_a_figure_over_its_budget_is_told(row, over):
    assert row.over is over
    assert ("OVER" in table([row])) is (over is True)
