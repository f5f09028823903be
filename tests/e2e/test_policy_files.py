# SPDX-License-Identifier: Apache-2.0
"""Issue letter e: a file with ten mistakes gives ten diagnostics and the old policy stays; 100,000 domains load; limits are said loudly."""
import json
import time

import pytest

from internet import ODD

GOOD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: files}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow:
    - {{name: good, domains: [one.test], ports: [tcp/80]}}
"""
TEN_MISTAKES = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: files}}
spec:
  select: [{{cgroup: {path}}}]
  mode: enforced
  dns: {{resolvers: [not-an-address], search: [], minTTL: soon}}
  allow:
    - {{name: a, domains: ["exa mple.test"]}}
    - {{name: b, domains: ["www.*.test"]}}
    - {{name: c, cidrs: [10.0.0.1/8]}}
    - {{name: d, cidrs: [10.0.0.0/33]}}
    - {{name: e, cidrs: [192.0.2.0/24], ports: [tpc/443]}}
    - {{name: f, cidrs: [192.0.2.0/24], ports: [tcp/70000]}}
    - {{name: g, domain: [typo.test]}}
"""
TEN_LINES = [6, 7, 7, 9, 10, 11, 12, 13, 14, 15]


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("filed")
    lab.daemon.start({"files.yaml": GOOD.format(path=made.path, resolver=ODD)})
    return made


def judged(container, name: str) -> str | None:
    return container.probe("query", server=ODD, name=name)["error"]


def old_policy_is_in_force(container) -> None:
    assert judged(container, "one.test") is None
    assert judged(container, "two.test") == "EPERM"


def test_ten_mistakes_ten_diagnostics_and_the_old_policy_stays(lab, container):
    generation = lab.daemon.get("/v1/status")["generation"]
    lab.daemon.write({"files.yaml": TEN_MISTAKES.format(path=container.path)})
    status, body = lab.daemon.request("POST", "/v1/reload", b"")
    found = json.loads(body)["diagnostics"]
    assert status == 422, body
    assert [d["line"] for d in found if d["severity"] == "error"] == TEN_LINES, found
    assert all(d["file"].endswith("files.yaml") and d["column"] > 0 and d["message"] for d in found), found
    old_policy_is_in_force(container)
    now = lab.daemon.get("/v1/status")
    assert now["generation"] == generation and now["last_reload"]["ok"] is False and len(now["last_reload"]["diagnostics"]) == 10
    assert lab.daemon.request("GET", "/readyz")[0] == 200


def test_the_cli_says_all_ten_with_their_places(lab, container):
    file = lab.directory / "ten.yaml"
    file.write_text(TEN_MISTAKES.format(path=container.path))
    checked = lab.daemon.cli("policy", "check", str(file))
    assert checked.returncode == 1, checked
    places = [line for line in checked.stderr.splitlines() if f"{file}:" in line and "error" in line]
    assert [int(place.split(f"{file}:")[1].split(":")[0]) for place in places] == TEN_LINES, checked.stderr


@pytest.mark.parametrize("text, what", [
    ("apiVersion: penstock/v1\nkind: [", "broken YAML"), ("", "an empty file"), ("\x00\xff", "no text"),
    ("apiVersion: penstock/v2\nkind: EgressPolicy\nmetadata: {name: x}\nspec: {select: [{cgroup: /x}]}\n", "a version of tomorrow"),
    ("a: &a [*a, *a]\n", "aliases"), ("[" * 10000, "deep nesting"),
])
def test_bad_text_leaves_the_old_policy(lab, container, text, what):
    lab.daemon.write({"files.yaml": GOOD.format(path=container.path, resolver=ODD), "bad.yaml": text})
    status, body = lab.daemon.request("POST", "/v1/reload", b"")
    assert status == (200 if what == "an empty file" else 422), (what, body)
    old_policy_is_in_force(container)
    lab.daemon.write({"files.yaml": GOOD.format(path=container.path, resolver=ODD)})
    lab.daemon.reload()


def test_a_hundred_thousand_domains_load_and_one_more_is_cheap(lab, container):
    names = [f"n{n}.big.test" if n % 3 else f"'*.n{n}.big.test'" for n in range(100_000)]

    def load(domains: list[str]) -> float:
        text = GOOD.format(path=container.path, resolver=ODD).replace("domains: [one.test]", "domains: [one.test, " + ", ".join(domains) + "]")
        lab.daemon.write({"files.yaml": text})
        start = time.monotonic()
        lab.daemon.reload(timeout=120)
        return time.monotonic() - start

    took = load(names)
    print(f"100,000 domains: {took:.2f} s")
    assert judged(container, "n1.big.test") is None
    assert judged(container, "x.n99999.big.test") is None
    assert judged(container, "n99998.big.test") is None
    assert judged(container, "n99999.big.test") == "EPERM", "the apex of a wildcard"
    assert judged(container, "n100001.big.test") == "EPERM"
    assert judged(container, "one.test") is None
    print(f"one more: {load(names + ['n100001.big.test']):.2f} s")
    assert judged(container, "n100001.big.test") is None
    load([])
    assert judged(container, "n1.big.test") == "EPERM"
