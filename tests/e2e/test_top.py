# SPDX-License-Identifier: Apache-2.0
"""`penstock top`: the rates of real traffic as a script gets them, and the live table in a terminal that is as before afterwards."""
import json
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest

from internet import DNSMASQ
from observe import until
from terminal import Terminal

LAB = Path(__file__).parent.parent / "lab"
HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow: [{{domains: [good.test]}}, {{cidrs: [198.51.100.41/32], ports: [udp/9001]}}]
"""
ALLOWED, DENIED, PORT, OCTETS = "198.51.100.41", "198.51.100.42", 9001, 1028  # nothing listens there
SECONDS, INTERVAL = 7, 2


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in ("busy", "denied", "limited", "asking", "idle")}
    texts = {f"{name}.yaml": HEAD.format(name=name, path=container.path, resolver=DNSMASQ) for name, container in made.items()}
    texts["limited.yaml"] += "  limits: {packets: 50/s burst 64}\n"
    lab.daemon.start(texts)
    return made


def ask_for(container, seconds: float) -> int:
    """Queries and UDP conversations, one of each after the other, for so long."""
    asked, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        container.probe("query", server=DNSMASQ, name="good.test")
        container.probe("datagrams", address=ALLOWED, port=PORT, octets=OCTETS, count=1)
        asked += 1
    return asked


def test_the_rates_are_those_of_the_traffic(lab, world):
    """Over one interval in the middle of steady traffic: about what the senders made in all, and exact among themselves."""
    def send(name: str, address: str) -> float:
        done = world[name].probe("datagrams", address=address, port=PORT, octets=OCTETS, seconds=SECONDS, pause_s=0.005)
        return sum(done["outcomes"].values()) / done["seconds"]

    with ThreadPoolExecutor(4) as pool:
        sending = {name: pool.submit(send, name, address)
                   for name, address in (("busy", ALLOWED), ("denied", DENIED), ("limited", ALLOWED))}
        asking = pool.submit(ask_for, world["asking"], SECONDS)
        until(lambda: lab.daemon.get(f"/v1/containers/{world['limited'].name}")["totals"]["egress"]["deny"]["packets"] > 10, 5, "traffic flows")
        run = lab.daemon.cli("top", "--once", "--interval", f"{INTERVAL}s", "-o", "json")
        per_s, asked = {name: one.result() for name, one in sending.items()}, asking.result()
    assert run.returncode == 0 and not run.stderr, run
    answer = json.loads(run.stdout)
    rows = {row["container"]: row for row in answer["containers"]}
    busy, denied, limited, asking, idle = (rows[world[name].path] for name in ("busy", "denied", "limited", "asking", "idle"))
    print(json.dumps([busy, denied, limited, asking, idle], indent=1), per_s, asked / SECONDS)
    assert INTERVAL <= answer["interval_s"] < INTERVAL + 1
    near = pytest.approx
    assert busy["packets_per_s"] == near(per_s["busy"], rel=0.5) and busy["egress_bytes_per_s"] == near(busy["packets_per_s"] * OCTETS, rel=0.01)
    assert busy["denials_per_s"] == busy["limit_hits_per_s"] == 0
    assert denied["denials_per_s"] == near(per_s["denied"], rel=0.5) and denied["egress_bytes_per_s"] == denied["limit_hits_per_s"] == 0
    assert limited["packets_per_s"] == near(50, rel=0.1)
    assert limited["limit_hits_per_s"] == limited["denials_per_s"] == near(per_s["limited"] - 50, rel=0.5)
    assert asking["queries_per_s"] == near(asked / SECONDS, rel=0.5)
    assert asking["connections_per_s"] == near(asking["queries_per_s"], rel=0.1)
    assert asking["ingress_bytes_per_s"] > 0, "the answers"
    assert all(row["idle_s"] == 0 for row in (busy, denied, limited, asking))
    assert not any(value for name, value in idle.items() if name.endswith("_per_s"))


def test_idle_time_is_from_the_last_activity_and_who_just_woke_is_awake(lab, world):
    """Each time one asks, the daemon looks (at most once a second): nobody is told idle who sent before the look."""
    one = world["idle"]

    def now() -> dict:
        return lab.daemon.get(f"/v1/containers/{one.name}")
    answer = until(lambda: (row := now())["idle_s"] is not None and row, 3, "looked at")
    assert answer["last_activity"] is None and answer["activity_as_of"]
    for _ in range(3):
        one.probe("datagrams", address=ALLOWED, port=PORT, octets=OCTETS, count=1)
        sent = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        seen = until(lambda: (row := now())["activity_as_of"] >= sent and row, 3, "the next look")
        assert seen["idle_s"] <= 1 and seen["last_activity"], seen
        later = until(lambda: (row := now())["idle_s"] >= 2 and row, 5, "idle time grows", 0.2)
        assert later["last_activity"] == seen["last_activity"]
    listed = next(row for row in lab.daemon.get("/v1/containers")["containers"] if row["cgroup"] == one.path)
    assert listed["activity_as_of"] >= later["activity_as_of"]
    assert one.name in lab.daemon.cli("ps").stdout and "IDLE" in lab.daemon.cli("ps").stdout


def top(lab, **size) -> Terminal:
    return Terminal(lab.daemon.program("penstock"), "top", "--interval", "200ms", "--api-socket", str(lab.daemon.socket), **size)


def first_line(part: str):
    return lambda screen: part in screen[0]


def test_the_table_is_live_and_keys_move_it(lab, world):
    with top(lab) as terminal:
        screen = terminal.until(lambda screen: len(screen) >= 3 + len(world), 5, "a row each")
        assert "by egress" in screen[0] and screen[2].startswith("CONTAINER") and max(map(len, screen)) <= 80
        terminal.press("n")
        screen = terminal.until(first_line("by name"), 5, "sorted by name")
        assert [line.split()[0][-4:] for line in screen[3:3 + len(world)]] == [path[-4:] for path in sorted(one.path for one in world.values())]
        terminal.press("\x1b[C")
        terminal.until(first_line("by egress"), 5, "the next column")
        world["busy"].probe("datagrams", address=ALLOWED, port=PORT, octets=OCTETS, seconds=1, pause_s=0.01)
        terminal.until(lambda screen: any("busy" in line and line.split()[1] != "0" for line in screen[3:]), 5, "a rate")
        terminal.resize(50, 6)
        screen = terminal.until(lambda screen: len(screen) == 6, 5, "six lines")
        assert max(map(len, screen)) <= 50
        terminal.press("q")
        assert terminal.wait(5) == 0
        assert terminal.mode() == terminal.before
        assert terminal.text.count("\x1b[?1049h") == 1 and terminal.text.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("end", ["^C", "TERM", "HUP"])
def test_signals_leave_the_terminal_as_it_was(lab, world, end):
    with top(lab) as terminal:
        terminal.until(lambda screen: len(screen) > 3, 5, "a table")
        assert terminal.mode() != terminal.before
        if end == "^C":
            terminal.press("\x03")
        else:
            terminal.process.send_signal(getattr(signal, f"SIG{end}"))
        assert terminal.wait(5) == 0
        assert terminal.mode() == terminal.before and terminal.text.endswith("\x1b[?1049l")


def test_in_the_background_it_stops_and_leaves_the_terminal_to_the_shell(lab, world):
    entering = "\x1b[?1049h"
    with Terminal(sys.executable, str(LAB / "job.py"), lab.daemon.program("penstock"), "top", "--interval", "200ms", "--api-socket",
                  str(lab.daemon.socket)) as terminal:
        terminal.until(lambda screen: len(screen) > 3, 5, "a table")
        terminal.press("\x1a")
        terminal.until(lambda _: "bg: " in terminal.text, 10, "what the shell sees")
        assert "bg: stopped, terminal as it was" in terminal.text
        terminal.until(lambda _: terminal.text.count(entering) == 2, 5, "the table again, in front")
        assert terminal.text.index("bg: ") < terminal.text.rindex(entering)
        terminal.press("q")
        assert terminal.wait(5) == 0 and terminal.mode() == terminal.before


def test_a_daemon_that_goes_and_comes_back_is_told_and_not_fatal(lab, world):
    with top(lab) as terminal:
        terminal.until(lambda screen: len(screen) > 3, 5, "a table")
        lab.daemon.kill9()
        screen = terminal.until(first_line("cannot connect"), 5, "what is wrong")
        assert len(screen) > 3, "the last rows stay"
        lab.daemon.start()
        terminal.until(first_line("per second"), 10, "goes on")
        lab.daemon.process.send_signal(signal.SIGSTOP)  # answers nobody
        try:
            terminal.press("q")
            assert terminal.wait(2) == 0 and terminal.mode() == terminal.before
        finally:
            lab.daemon.process.send_signal(signal.SIGCONT)


def test_metrics_have_the_work_by_their_own_names(lab, world):
    text = lab.daemon.request("GET", "/metrics")[1].decode()
    for name in ("penstock_connections_total", "penstock_dns_queries_total", "penstock_limit_hits_total", "penstock_events_untold_total"):
        assert f"# TYPE {name} counter\n" in text
    of_limited = re.escape(f'penstock_limit_hits_total{{container="{world["limited"].path}",policy="limited",')
    assert re.search(of_limited + 'rule="[^"]*",limit="packet-rate"} [1-9]', text), [line for line in text.splitlines() if "limit_hits" in line]
    assert f'penstock_dns_queries_total{{container="{world["asking"].path}"' in text
    assert "\npenstock_ready 1\n" in text
