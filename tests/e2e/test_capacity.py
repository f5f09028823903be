# SPDX-License-Identifier: Apache-2.0
"""As many containers as there are slots (the test takes the free ones away): who has a slot follows its policy; who comes without one is
denied, is told of, and gets one when one is free.

Red when `Rows::make` takes a slot before it looks for the row: then no change of policy reaches anybody, and the reload says 200.
"""
import pytest

from observe import until
from pinned import Stack

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: full}}
spec:
  select: [{{cgroup: {first}}}, {{cgroup: {late}}}, {{cgroup: {gone}}}]
  dns: {{resolvers: [203.0.113.53], search: []}}
  allow: [{{name: web, cidrs: [{address}/32], ports: [udp/9000]}}]
"""
OLD, NEW = "198.51.100.1", "198.51.100.2"


class World:
    def __init__(self, lab):
        self.lab = lab
        self.first, self.gone = lab.container("first"), lab.container("gone")
        lab.daemon.start({"full.yaml": self.text(OLD)})
        self.sends(self.first, OLD, None)
        self.sends(self.gone, OLD, None)
        self.slots = Stack(lab.daemon.bpffs / "penstock" / "maps" / "free_slots")
        self.taken = self.slots.take_all()
        self.late = lab.container("late")

    def text(self, address: str) -> str:
        return POLICY.format(first=self.first.path, gone=self.gone.path, late=self.lab.path("late"), address=address)

    def reload(self, address: str) -> None:
        self.lab.daemon.write({"full.yaml": self.text(address)})
        self.lab.daemon.reload()

    def sends(self, container, address: str, error: str | None) -> None:
        got = container.probe("udp", address=address, port=9000)
        assert got["error"] == error, (container.name, address, got)

    def warning(self) -> str:
        return " ".join(text for text in self.lab.daemon.get("/v1/status").get("warnings", []) if self.late.path in text)


@pytest.fixture(scope="module")
def world(lab):
    return World(lab)


def test_a_change_of_policy_reaches_who_has_a_slot(world):
    assert len(world.taken) > 16_000
    world.reload(NEW)
    for container in (world.first, world.gone):
        world.sends(container, OLD, "EPERM")
        world.sends(container, NEW, None)


def test_who_comes_without_a_free_slot_is_denied_and_told_of(world):
    world.sends(world.late, NEW, "EPERM")
    assert "no free slot" in until(world.warning, 5, "a warning")


def test_it_gets_a_slot_when_one_is_given_back(world):
    """By a container that ends: nobody has to change a policy for that."""
    world.gone.close()
    until(lambda: not (world.gone.cgroup / "cgroup.procs").read_text(), 5, "its processes end")
    world.gone.cgroup.rmdir()
    until(lambda: world.late.probe("udp", address=NEW, port=9000)["error"] is None, 20, "the late one has its policy", 0.2)
    world.sends(world.late, OLD, "EPERM")
    assert world.warning() == ""
    for slot in world.taken:
        world.slots.give(slot)
