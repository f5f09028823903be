# SPDX-License-Identifier: Apache-2.0
"""Which connections an egress limit slows down (bpf/sock.bpf.c): those that a limit in force holds, from when it holds them and no longer;
opened by the container or by others; and none faster than its application wants. Octets a second are IP's, as the kernel counts them.

Red when a container under audit is paced, when a limit that is lifted goes on or a new one is left to drops alone, when a socket's own
SO_MAX_PACING_RATE is overwritten or forgotten.
"""
import sys
import time
from pathlib import Path

import pytest

from observe import Counters
from pinned import Budgets

SINKS, SINK_PORT, OWN_PORT = ("198.51.100.60", "2001:db8:80::60"), 9009, 9010
TRIFLE, SLOW, WANTED, FAST, PACKETS = 100_000, 1_000_000, 400_000, 20_000_000, 10_000
NAMES = "changes audited quota wanting listening packets trifle"
POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  mode: {mode}
  select: [{{cgroup: {path}}}]
  allow: [{{name: out, cidrs: [198.51.100.0/24, "2001:db8:80::/64"], ports: [tcp/9009]}}]
  limits: {{{limits}}}
"""
TEXTS: dict[str, str] = {}


def put(lab, name: str, limits: str, mode: str = "enforce") -> None:
    TEXTS[f"{name}.yaml"] = POLICY.format(name=name, path=lab.containers[name].path, limits=limits, mode=mode)
    lab.daemon.write(TEXTS)
    if lab.daemon.starts:
        lab.daemon.reload()


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in NAMES.split()}
    lab.internet.start_sink(SINK_PORT)
    for name, limits, mode in (("changes", f"egress: {SLOW}B/s", "enforce"), ("audited", f"egress: {SLOW}B/s", "audit"),
                               ("quota", "quota: 1TiB/24h", "enforce"), ("wanting", f"egress: {SLOW}B/s", "enforce"),
                               ("listening", f"egress: {FAST}B/s", "enforce"), ("packets", f"packets: {PACKETS}/s", "enforce"),
                               ("trifle", f"egress: {TRIFLE}B/s", "enforce")):
        put(lab, name, limits, mode)
    lab.daemon.start()
    return made


def opened(container, sink: str = SINKS[0], flows: int = 1, congestion: str = "cubic", **pace) -> None:
    assert container.probe("open_streams", address=sink, port=SINK_PORT, flows=flows, congestion=congestion, **pace)["error"] is None


def speed(lab, container, seconds: float = 2) -> float:
    """Octets a second that the kernel let out while all streams had something to send."""
    def out() -> tuple[int, float]:
        rows = Counters(lab.daemon, container.path).rows
        return sum(row["bytes"] for row in rows if row["direction"] == "egress" and row["verdict"] in ("allow", "would-deny")), time.monotonic()
    (before, begun), seen, (after, ended) = out(), container.probe("feed_streams", seconds=seconds), out()
    assert seen["stall_ms"] <= 200, seen
    return (after - before) / (ended - begun)


def paces(container) -> list:
    return container.probe("paces")["paces"]


def test_a_limit_that_is_lifted_and_one_that_is_new_hold_open_connections(lab, world):
    container = world["changes"]
    opened(container)
    container.probe("feed_streams", seconds=1)
    assert 0.97 <= speed(lab, container) / SLOW <= 1.03
    assert paces(container)[0] < SLOW * 1.1
    for mode, limits in (("enforce", "connections: 100/s"), ("enforce", f"egress: {SLOW}B/s"), ("audit", f"egress: {SLOW}B/s"),
                         ("enforce", f"egress: {SLOW}B/s"), ("enforce", f"egress: {FAST}B/s")):
        put(lab, "changes", limits, mode)
        rate = {f"egress: {SLOW}B/s": SLOW, f"egress: {FAST}B/s": FAST}.get(limits) if mode == "enforce" else None
        container.probe("feed_streams", seconds=2)  # so long it may take
        if rate:
            assert 0.97 <= speed(lab, container, 3) / rate <= 1.03, limits
            assert paces(container)[0] < rate * 1.1
        else:
            assert speed(lab, container) > 2 * FAST, limits
            assert paces(container) == [None], limits
    container.probe("close_streams")


@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
def test_a_small_share_has_a_small_window_and_no_longer_than_that(lab, world, congestion):
    """Else the kernel hands over up to 64 KiB at once, and then the connection is silent for 600 ms (bpf/lib/pace.h)."""
    container, needed = world["trifle"], 3 + TRIFLE // 16 // 1448 + 1
    opened(container, congestion=congestion)
    container.probe("feed_streams", seconds=1)
    assert 0.97 <= speed(lab, container) / TRIFLE <= 1.1  # of the burst there is more than in 3 %
    assert container.probe("windows")["windows"][0] <= needed
    put(lab, "trifle", "connections: 100/s")
    container.probe("feed_streams", seconds=2)
    assert container.probe("windows")["windows"][0] > 2 * needed, "the limit is gone"
    put(lab, "trifle", f"egress: {TRIFLE}B/s")
    container.probe("feed_streams", seconds=2)
    assert 0.97 <= speed(lab, container, 3) / TRIFLE <= 1.1
    container.probe("close_streams")


@pytest.mark.parametrize("flows", [1, 4])
def test_connections_that_were_open_before_a_policy_selected_their_container(lab, world, flows):
    container = lab.container(f"late-{flows}")
    opened(container, flows=flows)
    container.probe("feed_streams", seconds=1)
    assert paces(container) == [None] * flows, "no policy holds it"
    put(lab, container.name, f"egress: {FAST}B/s")
    container.probe("feed_streams", seconds=2)  # so long it may take
    with_drops = Counters(lab.daemon, container.path)
    assert 0.97 <= speed(lab, container, 3) / FAST <= 1.03
    assert sum(paces(container)) < FAST * 1.1
    assert Counters(lab.daemon, container.path).of(verdict="deny") == with_drops.of(verdict="deny")
    container.probe("close_streams")


def test_audit_slows_nobody_down_and_counts_what_it_would_deny(lab, world):
    container = world["audited"]
    opened(container)
    assert speed(lab, container) > 2 * FAST
    assert paces(container) == [None]
    assert Counters(lab.daemon, container.path).of(verdict="would-deny", reason="egress-rate") > 1000
    container.probe("close_streams")


def test_who_has_no_egress_limit_is_left_alone(lab, world):
    container = world["quota"]
    opened(container, pace=WANTED)
    assert speed(lab, container) / WANTED < 1.1
    assert paces(container) == [WANTED]
    container.probe("pace_streams", pace=(1 << 32) - 1)
    assert speed(lab, container) > 2 * FAST
    container.probe("close_streams")


@pytest.mark.parametrize("before", [True, False], ids=["asked before connect", "asked later"])
def test_what_the_application_wants_is_the_most_and_stays_when_the_limit_goes(lab, world, before):
    container = world["wanting"]
    put(lab, "wanting", f"egress: {SLOW}B/s")
    opened(container, **({"pace": WANTED} if before else {}))
    container.probe("feed_streams", seconds=1)
    if not before:
        assert 0.97 <= speed(lab, container) / SLOW <= 1.03
        container.probe("pace_streams", pace=WANTED)
    container.probe("feed_streams", seconds=1)
    assert 0.9 < speed(lab, container) / WANTED < 1.1
    assert paces(container) == [WANTED]
    container.probe("pace_streams", pace=10 * SLOW)
    container.probe("feed_streams", seconds=1)
    assert 0.97 <= speed(lab, container) / SLOW <= 1.03
    put(lab, "wanting", "connections: 100/s")
    container.probe("feed_streams", seconds=1)
    assert paces(container) == [10 * SLOW]
    container.probe("close_streams")


@pytest.mark.parametrize("flows", [1, 4])
@pytest.mark.parametrize("family", ["v4", "v6"])
def test_connections_that_others_opened_send_at_the_rate(lab, world, family, flows):
    container = world["listening"]
    assert container.probe("listen_streams", port=OWN_PORT, congestion="cubic")["error"] is None
    lab.internet.start(f"reader-{family}-{flows}", sys.executable, "-I", str(Path(__file__).parents[1] / "lab/sink.py"), str(OWN_PORT),
                       getattr(container, family), str(flows))
    assert container.probe("accept_streams", flows=flows)["error"] is None
    container.probe("feed_streams", seconds=2)
    assert 0.97 <= speed(lab, container, 3) / FAST <= 1.03
    assert sum(paces(container)) < FAST * 1.1
    container.probe("close_streams")


@pytest.mark.parametrize("flows", [1, 4])
def test_connections_over_ipv6_send_at_the_rate(lab, world, flows):
    container = world["listening"]
    opened(container, SINKS[1], flows)
    container.probe("feed_streams", seconds=2)
    assert 0.97 <= speed(lab, container, 3) / FAST <= 1.03
    container.probe("close_streams")


@pytest.mark.parametrize("windows", [40_000, 65_000], ids=["89 minutes", "145 minutes"])
def test_connections_after_a_rest_have_the_rate(lab, world, windows):
    """A window's number has 16 bits where connections are counted; red when a rest of so many of them is taken for none."""
    container = world["changes"]
    put(lab, "changes", f"egress: {FAST}B/s")
    for rest in (0, windows):
        Budgets(lab.daemon.bpffs / "penstock/maps/budgets").rest(rest)
        opened(container, flows=4)
        container.probe("feed_streams", seconds=2)
        assert 0.97 <= speed(lab, container, 3) / FAST <= 1.03
        container.probe("close_streams")


@pytest.mark.parametrize("flows", [1, 4])
def test_a_rate_of_packets_paces_too(lab, world, flows):
    """As many segments as leave room for an acknowledgement of every other; red when drops alone hold it, where they hit one connection."""
    container = world["packets"]
    opened(container, flows=flows)
    container.probe("feed_streams", seconds=2)
    assert 0.55 <= speed(lab, container, 3) / (PACKETS * 1500) <= 1.03
    container.probe("close_streams")
