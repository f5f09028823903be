# SPDX-License-Identifier: Apache-2.0
"""TCP under an egress limit: as fast as it may be, without stalls, whatever the congestion control and the number of connections.
Rates are of IP octets, as the kernel counts them; the cable has an MTU of 1,500.
"""
import sys
import time
from pathlib import Path

import pytest

from client_places import report
from observe import Counters

SINK, SINK_PORT = "198.51.100.60", 9009
SETTLE_S, MEASURE_S, ATTEMPTS = 2, 5, 3
RATES = {"slow": 1_000_000, "medium": 20_000_000, "fast": 200_000_000}
POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  allow: [{{name: out, cidrs: [{sink}], ports: [tcp/{port}]{of_rule}}}]
{of_container}"""


def policy(lab, name: str, rate: int, of_rule: bool) -> str:
    limits = f"limits: {{egress: {rate}B/s}}"
    return POLICY.format(name=name, path=lab.containers[name].path, sink=SINK, port=SINK_PORT, of_rule=f", {limits}" if of_rule else "",
                         of_container="" if of_rule else f"  {limits}\n")


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in (*RATES, "free")}
    lab.internet.start("sink", sys.executable, "-I", str(Path(__file__).parents[1] / "lab/sink.py"), str(SINK_PORT))
    lab.internet.wait_for("sink", f"{SINK}:{SINK_PORT}")
    texts = {f"{name}.yaml": policy(lab, name, rate, name == "medium") for name, rate in RATES.items()}
    lab.daemon.start(texts | {"free.yaml": POLICY.format(name="free", path=made["free"].path, sink=SINK, port=SINK_PORT, of_rule="",
                                                         of_container="")})
    return made


def counted(lab, container) -> tuple[int, int, float]:
    """IP octets let out, packets over the rate, and when that was."""
    rows = [row for row in Counters(lab.daemon, container.path).rows if row["direction"] == "egress"]
    return (sum(row["bytes"] for row in rows if row["verdict"] == "allow"),
            sum(row["packets"] for row in rows if row["reason"] == "egress-rate" and row["verdict"] == "deny"), time.monotonic())


# Where others use the CPUs, too, bbr stays some per cent below its own pace.
FLOORS = {("fast", flows, "bbr"): 0.85 for flows in (1, 4, 64)}
LINES: list[str] = []


@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
@pytest.mark.parametrize("flows", [1, 4, 64])
@pytest.mark.parametrize("name", RATES)
def test_streams_send_at_the_rate(lab, world, name, flows, congestion):
    """The best of three: two CPUs that others use, too, do not always get 200 MB/s through the lab."""
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    if congestion not in available:
        pytest.skip(f"this kernel has no congestion control {congestion}")
    floor = FLOORS.get((name, flows, congestion), 0.97)
    if name == "fast":  # half of what the machine can do at all, where that is less
        unlimited, _, line = measured(lab, world["free"], RATES[name], flows, congestion)
        floor = min(floor, unlimited / 2)
    for attempt in range(ATTEMPTS):
        got, stall_ms, line = measured(lab, world[name], RATES[name], flows, congestion)
        if floor <= got <= 1.03 and stall_ms <= 200:
            break
    LINES.append(line + (f"  (attempt {attempt + 1})" if attempt else ""))
    report("pace", LINES)
    assert got <= 1.03, line
    assert got >= floor and stall_ms <= 200, line


def measured(lab, container, rate: int, flows: int, congestion: str) -> tuple[float, float, str]:
    """Part of the rate, longest stall, and all of it for people."""
    assert container.probe("open_streams", address=SINK, port=SINK_PORT, flows=flows, congestion=congestion)["error"] is None
    container.probe("feed_streams", seconds=SETTLE_S)
    octets, dropped, begun = counted(lab, container)
    seen = container.probe("feed_streams", seconds=MEASURE_S)
    octets_after, dropped_after, ended = counted(lab, container)
    container.probe("close_streams")
    got = (octets_after - octets) / (ended - begun) / rate
    return got, seen["stall_ms"], (f"{rate / 1e6:5.0f} MB/s  {flows:2} x {congestion:5}  {got:7.4f} of the rate  longest stall "
                                   f"{seen['stall_ms']:4.0f} ms  {dropped_after - dropped:6} dropped  {seen['retransmitted']:5} sent again")
