# SPDX-License-Identifier: Apache-2.0
"""Issue letter e, full maps: a container that fills its share loses its own oldest rows, is counted, and harms nobody else."""
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
  allow: [{{name: all, domains: ["*.odd.test"], ports: [tcp/80]}}]
"""


@pytest.fixture(scope="module")
def pair(lab):
    flooder, victim = lab.container("flooder"), lab.container("victim")
    lab.daemon.start({f"{c.name}.yaml": POLICY.format(name=c.name, path=c.path, resolver=ODD) for c in (flooder, victim)})
    return flooder, victim


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
    newest = f"101.0.{(last - 1) >> 8 & 255}.{(last - 1) & 255}"
    assert flooder.probe("connect", address=newest, port=80)["error"] is None
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
    flooder, _ = pair
    names = ", ".join(f"n{n}.big.test" for n in range(100_000))
    suffixes = ", ".join(f"s{n}.test" for n in range(50))
    text = POLICY.format(name="flooder", path=flooder.path, resolver=ODD)
    text = text.replace('"*.odd.test"', f'"*.odd.test", {names}').replace("search: []", f"search: [{suffixes}]")
    files = {file.name: file.read_text() for file in lab.daemon.policies.iterdir()}
    lab.daemon.write({**files, "flooder.yaml": text})
    status, body = lab.daemon.request("POST", "/v1/reload", b"", timeout=300)
    assert status in (422, 500), (status, body[:500])
    assert flooder.probe("query", server=ODD, name="plain.odd.test")["error"] is None
    assert flooder.probe("query", server=ODD, name="n1.big.test")["error"] == "EPERM"
    lab.daemon.write(files)
    assert lab.daemon.request("POST", "/v1/reload", b"", timeout=120)[0] == 200
    event = flooder.probe("query", server=ODD, name="plain.odd.test", type=dns.A)
    assert event["error"] is None
