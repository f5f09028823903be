# SPDX-License-Identifier: Apache-2.0
"""A container whose network namespace was made inside its cgroup, as Docker's runtime does: there the kernel's own sockets, by which it
finds neighbours and resets connections, are of that cgroup, too. They are no way out for the container.
"""
import pytest

from observe import Counters

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: inside}}
spec:
  select: [{{cgroup: {path}}}]
  allow: [{{name: web, cidrs: [198.51.100.1, '2001:db8:80::1'], ports: [tcp/80]}}]
"""


@pytest.fixture(scope="module")
def inside(lab):
    made = lab.container("inside", makes_netns=True)
    lab.daemon.start({"inside.yaml": POLICY.format(path=made.path)})
    return made


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:80::1"])
def test_neighbours_are_found(lab, inside, address):
    inside.netns.ip("neighbour", "flush", "all")
    seen = inside.probe("http", address=address, port=80)
    assert seen["status"] == 200, seen
    counters = Counters(lab.daemon, inside.path)
    assert counters.of(reason="raw-socket") == 0, counters.packets
    assert counters.of(rule="web", direction="egress", verdict="allow") > 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_closed_port_is_refused_and_not_silent(lab, inside, family):
    """By a reset, which the kernel sends of itself."""
    outside = lab.container(f"outside-{family}")
    seen = outside.probe("connect", address=inside.v4 if family == 4 else inside.v6, port=81)
    assert seen["error"] == "ECONNREFUSED", seen


@pytest.mark.parametrize("address", ["198.51.100.2", "2001:db8:80::2"])
def test_the_container_itself_gains_nothing(lab, inside, address):
    before = Counters(lab.daemon, inside.path)
    assert inside.probe("connect", address=address, port=80)["error"] == "EPERM"
    assert inside.probe("make_socket", family=10 if ":" in address else 2, type=3, protocol=58 if ":" in address else 1)["error"] == "EPERM"
    grown = Counters(lab.daemon, inside.path).since(before)
    assert sum(grown.values()) == 2 and all(verdict == "deny" for _, _, verdict, _ in grown), grown
