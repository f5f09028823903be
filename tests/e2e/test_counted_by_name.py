# SPDX-License-Identifier: Apache-2.0
"""Connections and questions are counted one by one, by rule and by name; and what has passed so is what `policy diff` tells of when a text
would deny it.
"""
import json
from collections import Counter

import pytest

from internet import ODD

ECHO, ECHO_PORT, CONVERSATIONS = "198.51.100.40", 9000, 4
HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: counted}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
"""
RULES = f"""  allow:
    - {{name: names, domains: ["*.odd.test"], ports: [tcp/80]}}
    - {{name: echo, cidrs: [{ECHO}/32], ports: [udp/{ECHO_PORT}]}}
"""
FEWER = '  allow: [{name: names, domains: [run-1.odd.test], ports: [tcp/80]}]\n'
VISITS = {1: 1, 2: 3, 3: 5}  # of run-N.odd.test, which has the address 101.0.0.N
QUESTIONS = {n: count + 1 for n, count in VISITS.items()}


def text(container, rules: str) -> str:
    return HEAD.format(path=container.path, resolver=ODD) + rules


@pytest.fixture(scope="module")
def busy(lab):
    container = lab.container("counted", resolvers=(ODD,))
    lab.daemon.start({"counted.yaml": text(container, RULES)})
    ops = [{"op": "query", "server": ODD, "name": f"run-{n}.odd.test", "id": 100 * n + i}
           for n, count in QUESTIONS.items() for i in range(count)]
    ops += [{"op": "http", "address": f"101.0.0.{n}", "port": 80} for n, count in VISITS.items() for _ in range(count)]
    ops += [{"op": "udp", "address": ECHO, "port": ECHO_PORT}] * CONVERSATIONS
    done = container.probe("batch", deadline_s=60, ops=ops)
    assert [seen["error"] for seen in done["results"]] == [None] * len(ops), done
    assert container.probe("connect", address="101.0.0.9", port=80)["error"] == "EPERM"  # nobody asked for it
    assert container.probe("query", server=ODD, name="run-1.evil.test")["error"] == "EPERM"
    return container


def counted(lab, container, verdict: str, reason: str) -> Counter:
    found = Counter()
    for row in lab.daemon.get(f"/v1/counters?container={container.path}")["counters"]:
        if (row["verdict"], row["reason"]) == (verdict, reason):
            found[row["rule"], row["domain"]] += row["packets"]
    return found


def test_connections_are_counted_by_rule_and_name(lab, busy):
    by_name = {("names", f"run-{n}.odd.test"): count for n, count in VISITS.items()}
    assert counted(lab, busy, "none", "connection") == by_name | {("echo", ""): CONVERSATIONS}


def test_questions_are_counted_by_rule_and_name(lab, busy):
    """The first of each name is of none yet: it was not learned."""
    by_name = {("names", f"run-{n}.odd.test"): count - 1 for n, count in QUESTIONS.items()}
    assert counted(lab, busy, "allow", "dns-query") == by_name | {("names", ""): len(QUESTIONS)}
    assert counted(lab, busy, "deny", "name-not-allowed") == {("", ""): 1}


def test_what_passed_and_would_be_denied_is_told_by_diff(lab, busy, tmp_path):
    """Red when the counters do not reach the judgement, by name or by address."""
    lost = [("echo", "", "no-rule"), ("names", "run-2.odd.test", "name-not-allowed"), ("names", "run-3.odd.test", "name-not-allowed")]
    for rules, expected in ((FEWER, lost), (RULES, [])):
        path = tmp_path / "wanted.yaml"
        path.write_text(text(busy, rules))
        status, body = lab.daemon.request("POST", "/v1/policies/diff", path.read_bytes())
        assert status == 200, body
        assert sorted((row["rule"], row["domain"], row["reason"]) for row in json.loads(body)["would_deny"]) == expected
        said = lab.daemon.cli("policy", "diff", str(path)).stdout
        for rule, domain, reason in lost:
            assert (f"{domain or 'without a name'} ({reason})" in said and f"counted/{rule}" in said) == bool(expected), said
