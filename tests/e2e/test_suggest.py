# SPDX-License-Identifier: Apache-2.0
"""From watching to enforcing: a container in audit mode does what it does, `penstock suggest` writes a policy, and under that policy
the same things work and others do not.
"""
import json

import pytest

from internet import DNSMASQ
from observe import until

BASE = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: base}}
spec:
  select: [{{cgroup: {path}}}]
  mode: audit
  dns: {{resolvers: [{resolver}], search: []}}
  allow:
    - {{name: known, domains: [good.test], ports: [tcp/80]}}
  deny:
    - {{name: never, domains: [blocked.good.test]}}
"""
NAMED, BARE, ECHO = "198.51.100.10", "198.51.100.30", "198.51.100.50"  # api.good.test; nobody asks for it; an echo server
UDP, RAW, V4 = 2, 3, 2


def do_its_work(container) -> None:
    assert container.probe("resolve", name="good.test", family=4)["addresses"] == ["198.51.100.13"]
    assert container.probe("resolve", name="api.good.test", family=4)["addresses"] == [NAMED]
    for address in ("198.51.100.13", NAMED, BARE):
        assert container.probe("http", address=address, port=80)["error"] is None, address
    assert container.probe("udp", address=ECHO, port=9000)["answered"]


def suggested(lab, container, *words: str) -> dict:
    done = lab.daemon.cli("suggest", "-c", container.path, "-o", "json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(lab):
    container = lab.container("web")
    lab.daemon.start({"base.yaml": BASE.format(path=container.path, resolver=DNSMASQ)})
    do_its_work(container)
    container.probe("resolve", name="blocked.good.test", family=4)
    container.probe("make_socket", family=V4, type=RAW, protocol=255)
    return container


def flat(rules: list[dict], field: str) -> set[tuple]:
    return {(value, port) for rule in rules for value in rule[field] for port in rule["ports"]}


def test_what_was_done_is_suggested_and_survives_a_restart(lab, world):
    seen = until(lambda: (now := suggested(lab, world)) and len(now["rules"]) >= 2 and now["recorded"] >= 6 and now, 5, "all is recorded")
    for _ in range(2):
        assert seen["container"] == world.path and seen["policies"] == ["base"] and seen["mode"] == "audit"
        assert flat(seen["rules"], "domains") == {("api.good.test", "tcp/80")}
        assert flat(seen["rules"], "cidrs") == {(f"{BARE}/32", "tcp/80"), (f"{ECHO}/32", "udp/9000")}
        blocked = {entry["name"]: entry["why"] for entry in seen["blocked"]}
        assert blocked["blocked.good.test"] == "deny rule base/never holds it"
        assert blocked["raw-socket"] == "no policy can allow it"
        lab.daemon.stop()
        lab.daemon.start()
        seen = suggested(lab, world)


def test_the_text_is_a_policy_that_enforces_just_that(lab, world, tmp_path):
    done = lab.daemon.cli("suggest", "-c", world.path)
    assert done.returncode == 0 and "no name known" in done.stdout, done
    file = tmp_path / "web.yaml"
    file.write_text(done.stdout)
    assert lab.daemon.cli("policy", "check", str(file)).returncode == 0
    file.write_text(done.stdout.replace("mode: audit", "mode: enforce"))
    applied = lab.daemon.cli("policy", "apply", str(file))
    assert applied.returncode == 0, applied.stderr
    do_its_work(world)
    assert world.probe("resolve", name="evil.test", family=4)["error"] is not None
    for address, port in (("198.51.100.32", 80), (BARE, 8080), (NAMED, 8080)):
        assert world.probe("connect", address=address, port=port)["error"] == "EPERM", (address, port)
    again = suggested(lab, world)
    assert again["rules"] == [] and again["allowed_already"] >= 4, again


def test_what_cannot_be_answered_is_refused(lab, world):
    for query, status in (("", 400), ("?container=nobody", 404), (f"?container={world.path}&fold=1", 400), (f"?container={world.path}&fold=x", 400)):
        assert lab.daemon.request("GET", f"/v1/suggest{query}")[0] == status, query
    assert lab.daemon.cli("suggest").returncode == 2
    assert lab.daemon.cli("suggest", "-c", world.path, "--fold", "1").returncode == 2
