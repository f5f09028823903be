# SPDX-License-Identifier: Apache-2.0
"""Issue letter f: kill -9 and restart of the daemon under light load, three times. The load runs the whole time and never sees a
wrong answer; new names are learned meanwhile; what was learned and counted is there afterwards."""
import pytest

from internet import DNSMASQ, ODD, UNBOUND
from observe import Counters, learned, until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{DNSMASQ}, {UNBOUND}, {ODD}], search: []}}
  allow: [{{name: good, domains: [{domains}], ports: [tcp/80]}}]
"""
LOAD = [
    ({"op": "query", "server": DNSMASQ, "name": "api.good.test"}, None),
    ({"op": "resolve", "name": "www.good.test"}, None),
    ({"op": "http", "address": "198.51.100.10", "port": 80}, None),
    ({"op": "http", "address": "2001:db8:80::a", "port": 80, "path": "/bytes/50000"}, None),
    ({"op": "query", "server": DNSMASQ, "name": "evil.test"}, "EPERM"),
    ({"op": "resolve", "name": "evil.test"}, "EAI_AGAIN"),
    ({"op": "connect", "address": "198.51.100.32", "port": 80}, "EPERM"),
    ({"op": "connect", "address": "2001:db8:80::20", "port": 80}, "EPERM"),
    ({"op": "udp", "address": "198.51.100.10", "port": 9000}, "EPERM"),
]


@pytest.fixture(scope="module")
def world(lab):
    busy, other = lab.container("busy"), lab.container("other")
    files = {f"{c.name}.yaml": POLICY.format(name=c.name, path=c.path, DNSMASQ=DNSMASQ, UNBOUND=UNBOUND, ODD=ODD, domains=domains)
             for c, domains in ((busy, '"*.good.test", "*.odd.test"'), (other, "other.test"))}
    lab.daemon.start(files)
    for name in ("api.good.test", "www.good.test"):
        assert busy.probe("resolve", name=name)["error"] is None
    return lab, busy, other


def active_features(lab) -> dict[str, bool]:
    return {feature["name"]: feature["active"] for feature in lab.daemon.get("/v1/features")["features"]}


def test_features_are_the_same_after_a_restart(world):
    lab, _, _ = world
    before = active_features(lab)
    lab.daemon.kill9()
    lab.daemon.start()
    assert active_features(lab) == before
    assert before["birth"] and sum(before.values()) >= len(before) - 1, "all but lsm work on every kernel that we support"


def test_kill_and_restart_under_load(world):
    lab, busy, other = world
    assert busy.probe("stream_open", key="download", address="198.51.100.10", port=80)["error"] is None
    before = Counters(lab.daemon, busy.path)
    known = set(learned(lab.daemon, busy.path))
    busy.probe("load_start", key="load", ops=LOAD)
    for round_number in range(3):
        address = f"198.51.100.{200 + round_number}"
        lab.daemon.kill9()
        octets = busy.probe("stream_status", key="download")["octets"]
        assert busy.probe("connect", address=address, port=80)["error"] == "EPERM"
        got = busy.probe("query", server=ODD, name=f"plain.198-51-100-{200 + round_number}.odd.test")
        assert got["addresses"] == [address], got
        assert busy.probe("connect", address=address, port=80)["error"] is None, "learned without a daemon"
        assert other.probe("connect", address=address, port=80)["error"] == "EPERM", "another container's"
        assert other.probe("query", server=DNSMASQ, name="api.good.test")["error"] == "EPERM"
        until(lambda: busy.probe("stream_status", key="download")["octets"] > octets + 50_000, 15, "the download goes on")
        lab.daemon.start()
        after = Counters(lab.daemon, busy.path)
        lost = {key: count for key, count in before.packets.items() if after.packets.get(key, 0) < count}
        assert not lost, f"counters went back: {lost}"
        now = set(learned(lab.daemon, busy.path))
        assert known <= now and address in now, known - now
        assert busy.probe("connect", address=address, port=80)["error"] is None
        before, known = after, now
    load = busy.probe("load_stop", key="load")
    assert load["rounds"] > 20 and load["wrong"] == [], load
    assert busy.probe("stream_status", key="download")["error"] is None


def test_a_reload_under_load_gives_no_third_verdict(world):
    """The policy is changed back and forth by a name that the load does not use: the load never sees a wrong answer."""
    lab, busy, _ = world
    busy.probe("load_start", key="load", ops=LOAD, pause=0)
    text = (lab.daemon.policies / "busy.yaml").read_text()
    for n in range(20):
        (lab.daemon.policies / "busy.yaml").write_text(text.replace('"*.odd.test"', f'"*.odd.test", extra{n}.test'))
        lab.daemon.reload()
        assert busy.probe("query", server=ODD, name=f"extra{n}.test")["error"] is None
        assert busy.probe("query", server=ODD, name=f"extra{n + 1}.test")["error"] == "EPERM"
    load = busy.probe("load_stop", key="load")
    assert load["rounds"] > 5 and load["wrong"] == [], load


def test_detach_all_takes_enforcement_off(world):
    lab, busy, _ = world
    lab.daemon.stop()
    assert busy.probe("connect", address="198.51.100.32", port=80)["error"] == "EPERM", "a stopped daemon leaves enforcement on"
    done = lab.daemon.detach_all()
    assert done.returncode == 0, done
    assert busy.probe("connect", address="198.51.100.32", port=80)["error"] is None
    assert not any((lab.daemon.bpffs / "penstock").rglob("*")), "pins are left"
