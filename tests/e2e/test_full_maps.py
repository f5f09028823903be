# SPDX-License-Identifier: Apache-2.0
"""Issue letter e, full maps: a container that fills its share loses its own oldest rows, is counted, and harms nobody else."""
import json
import socket
import subprocess

import pytest

import dns
from internet import ODD
from observe import Counters, learned

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  inbound: {inbound}
  allow: [{{name: all, domains: ["*.odd.test"], ports: [tcp/80, udp/9000]}}]
"""


@pytest.fixture(scope="module")
def pair(lab):
    made = [lab.container(name) for name in ("flooder", "victim", "exact", "asker")]
    lab.daemon.start({f"{c.name}.yaml": POLICY.format(name=c.name, path=c.path, resolver=ODD,
                                                      inbound="deny" if c.name == "victim" else "allow") for c in made})
    return made[0], made[1]


LEARNED_CAP = 1024  # of one container


def run(n: int) -> str:
    """The address of run-<n>.odd.test."""
    return f"101.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


def test_the_oldest_is_usable_when_it_is_asked_for_again(lab, pair):
    """With a full ring it is the one that would make room: not for itself."""
    exact = lab.containers["exact"]
    got = exact.probe("race", server=ODD, count=LEARNED_CAP, first=1, port=0, deadline_s=120)
    assert got["outcomes"] == {"None": LEARNED_CAP}, got
    assert exact.probe("query", server=ODD, name="run-1.odd.test")["addresses"] == [run(1)]
    assert exact.probe("connect", address=run(1), port=80)["error"] is None, "what an answer just gave is good"
    now = Counters(lab.daemon, exact.path)
    assert [now.of(reason=reason) for reason in ("learned-evicted", "learned-full", "domain-evicted")] == [0, 0, 0], now.rows
    assert now.of(reason="learned-refresh") == 1
    files = {file.name: file.read_text() for file in lab.daemon.policies.iterdir()}
    lab.daemon.write({**files, "exact.yaml": files["exact.yaml"].replace('"*.odd.test"', '"*.odd.test", more.test')})
    lab.daemon.reload()
    assert exact.probe("connect", address=run(1), port=80)["error"] is None, "its name's text is still there, too"
    assert exact.probe("query", server=ODD, name="run-2000.odd.test")["addresses"] == [run(2000)]
    now = Counters(lab.daemon, exact.path)
    assert now.of(reason="learned-evicted") == 1, "the ring is full, and the one that is now the oldest made room"
    assert exact.probe("connect", address=run(2), port=80)["error"] == "EPERM"
    assert exact.probe("connect", address=run(1), port=80)["error"] is None


def cells(lab, slot: int) -> list[list[int]]:
    """(slot, position, kind) of a container's cells in the kernel's `rings`: no API tells them."""
    pin = lab.daemon.bpffs / "penstock" / "maps" / "rings"
    dump = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", str(pin)], capture_output=True, text=True, check=True)
    found = []
    for entry in json.loads(dump.stdout):
        key = bytes(int(octet, 16) for octet in entry["key"])
        found.append([int.from_bytes(key[at:at + 4], "little") for at in (0, 4, 8)])
    return [cell for cell in found if cell[0] == slot]


def test_answered_queries_hold_no_places(lab, pair):
    """Else every container that ever asked some hundred times would hold its share of `rings` for good."""
    learned_ring, queries_ring = 1, 2
    asker = lab.containers["asker"]
    slot = next(c["slot"] for c in lab.daemon.get("/v1/containers")["containers"] if c["cgroup"] == asker.path)
    got = asker.probe("race", server=ODD, count=400, first=1, port=0, deadline_s=120)
    assert got["outcomes"] == {"None": 400}, got
    kinds = [kind for _, _, kind in cells(lab, slot)]
    assert kinds.count(learned_ring) == 400, "the dump is of this container"
    assert kinds.count(queries_ring) == 0
    assert asker.probe("query", server=ODD, name="silent.odd.test", wait=False)["error"] is None
    assert [kind for _, _, kind in cells(lab, slot)].count(queries_ring) == 1, "an unanswered one holds a place"


def learn(container, octet: int) -> str:
    address = f"198.51.100.{octet}"
    got = container.probe("query", server=ODD, name=f"plain.198-51-100-{octet}.odd.test")
    assert got["addresses"] == [address] and container.probe("connect", address=address, port=80)["error"] is None, got
    return address


def test_learned_addresses_are_capped_per_container(lab, pair):
    flooder, victim = pair
    theirs, first, before = learn(victim, 100), learn(flooder, 101), Counters(lab.daemon, victim.path)
    last = 0
    while Counters(lab.daemon, flooder.path).of(reason="learned-evicted") == 0:
        got = flooder.probe("race", server=ODD, count=1000, first=last, port=0, deadline_s=120)
        assert got["outcomes"] == {"None": 1000}, got
        last += 1000
        assert last <= 20_000, "no cap"
    held = learned(lab.daemon, flooder.path)
    print(f"cap: {len(held)} addresses after {last}")
    assert len(held) < last and first not in held
    assert flooder.probe("connect", address=first, port=80)["error"] == "EPERM", "the oldest made room: denied"
    assert flooder.probe("connect", address=run(last - 1), port=80)["error"] is None
    assert victim.probe("connect", address=theirs, port=80)["error"] is None
    assert theirs in learned(lab.daemon, victim.path)
    after = Counters(lab.daemon, victim.path)
    assert after.of(reason="learned-evicted") == before.of(reason="learned-evicted") == 0
    assert after.of(verdict="deny") == before.of(verdict="deny")


def test_outstanding_queries_are_capped_per_container(lab, pair):
    flooder, victim = pair
    ops = [{"op": "query", "server": ODD, "name": f"silent.q{n}.odd.test", "id": n & 0xFFFF, "wait": False} for n in range(1000)]
    sent = 0
    while Counters(lab.daemon, flooder.path).of(reason="query-evicted") == 0:
        results = flooder.probe("batch", ops=ops, deadline_s=120)["results"]
        assert all(result["error"] is None for result in results)
        sent += len(ops)
        assert sent <= 20_000, "no cap"
    print(f"evicting after {sent} queries")
    learn(victim, 102)
    assert Counters(lab.daemon, victim.path).of(reason="query-evicted") == 0
    learn(flooder, 103)


def test_udp_conversations_are_capped_per_container(lab, pair):
    flooder, victim = pair
    cap, flood = 512, 700
    theirs = learn(victim, 105)
    victim.probe("hold", key="theirs", family=int(socket.AF_INET), type=int(socket.SOCK_DGRAM))
    assert victim.probe("held_send", key="theirs", payload="51", address=theirs, port=9000)["error"] is None
    assert victim.probe("held_receive", key="theirs")["from"] == theirs, "let in as an answer alone: its policy says inbound: deny"
    got = flooder.probe("race", server=ODD, count=flood, first=50_000, port=0, deadline_s=120)
    assert got["outcomes"] == {"None": flood}, got
    before = Counters(lab.daemon, flooder.path)
    ops = [{"op": "send_on", "type": int(socket.SOCK_DGRAM), "protocol": 0, "address": run(50_000 + n), "port": 9000} for n in range(flood)]
    results = flooder.probe("batch", ops=ops, deadline_s=120)["results"]
    assert [result["error"] for result in results] == [None] * flood
    evicted = Counters(lab.daemon, flooder.path).of(reason="udp-peer-evicted") - before.of(reason="udp-peer-evicted")
    assert flood - cap <= evicted <= flood, evicted
    assert Counters(lab.daemon, victim.path).of(reason="udp-peer-evicted") == 0
    assert victim.probe("held_send", key="theirs", payload="52", address=theirs, port=9000)["error"] is None
    assert victim.probe("held_receive", key="theirs")["from"] == theirs


def test_names_that_share_an_address_are_capped(lab, pair):
    flooder, _ = pair
    before = Counters(lab.daemon, flooder.path)
    for n in range(9):
        flooder.probe("query", server=ODD, name=f"shared{n}.198-51-100-104.odd.test")
    assert Counters(lab.daemon, flooder.path).of(reason="names-evicted") - before.of(reason="names-evicted") == 1
    assert len(learned(lab.daemon, flooder.path)["198.51.100.104"]) == 8
    assert flooder.probe("connect", address="198.51.100.104", port=80)["error"] is None


def test_a_policy_that_does_not_fit_is_refused_whole(lab, pair):
    """The names map holds 4 million entries: a policy whose search list multiplies beyond that leaves the old one in force."""
    flooder, victim = pair
    names = ", ".join(f"n{n}.big.test" for n in range(100_000))
    suffixes = ", ".join(f"s{n}.test" for n in range(50))
    text = POLICY.format(name="flooder", path=flooder.path, resolver=ODD, inbound="allow")
    text = text.replace('"*.odd.test"', f'"*.odd.test", {names}').replace("search: []", f"search: [{suffixes}]")
    files = {file.name: file.read_text() for file in lab.daemon.policies.iterdir()}
    lab.daemon.write({**files, "flooder.yaml": text})
    status, body = lab.daemon.request("POST", "/v1/reload", b"", timeout=300)
    assert status == 500 and b"map names is full" in body, (status, body[:500])
    reload = lab.daemon.get("/v1/status")["last_reload"]
    assert not reload["ok"] and "map names is full" in str(reload), reload
    for container in (flooder, victim):
        assert container.probe("query", server=ODD, name="plain.odd.test")["error"] is None
        assert container.probe("query", server=ODD, name="n1.big.test")["error"] == "EPERM"
    lab.daemon.write(files)
    lab.daemon.reload(timeout=120)
    assert lab.daemon.get("/v1/status")["last_reload"]["ok"]
    assert flooder.probe("query", server=ODD, name="plain.odd.test", type=dns.A)["error"] is None
