# SPDX-License-Identifier: Apache-2.0
"""A change of policy that moves the container itself: an open flow is judged by the row that stands now, at once."""
import pytest

from observe import Counters, until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  allow: [{{name: web, cidrs: [{cidr}], ports: [tcp/80]}}]
"""
OPEN, CLOSED, SERVER = "198.51.100.0/24", "203.0.113.0/24", "198.51.100.1"


@pytest.fixture(scope="module")
def inner(lab):
    made = lab.container("inner", "outer")
    lab.daemon.start({"p.yaml": POLICY.format(name="outer", path=lab.path("outer"), cidr=OPEN)})
    return made


def change(lab, text: str | None) -> None:
    lab.daemon.write({"p.yaml": text} if text else {})
    lab.daemon.reload()


def octets(container) -> int:
    return container.probe("stream_status", key="flow")["octets"]


def opened(container) -> None:
    assert container.probe("stream_open", key="flow", address=SERVER, port=80)["error"] is None
    goes_on(container)


def goes_on(container) -> None:
    start = octets(container)
    until(lambda: octets(container) > start + 100_000, 10, "the download flows")


def test_a_deeper_row_takes_the_flows_that_are_open(lab, inner):
    opened(inner)
    change(lab, POLICY.format(name="inner", path=inner.path, cidr=CLOSED))
    until(lambda: Counters(lab.daemon, inner.path).of(direction="egress", verdict="deny", reason="no-rule") > 0, 5,
          "the open flow's packets are denied by the new row")
    assert inner.probe("connect", address=SERVER, port=80)["error"] == "EPERM"


def test_what_no_policy_selects_any_more_goes_on_unfiltered(lab, inner):
    change(lab, POLICY.format(name="inner", path=inner.path, cidr=OPEN))
    opened(inner)
    denied = Counters(lab.daemon, inner.path).of(verdict="deny")
    change(lab, None)
    goes_on(inner)
    assert inner.probe("connect", address="198.51.100.32", port=80)["error"] is None
    assert sum(row["packets"] for row in lab.daemon.get("/v1/counters")["counters"] if row["verdict"] == "deny") <= denied
