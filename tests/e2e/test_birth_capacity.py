# SPDX-License-Identifier: Apache-2.0
"""More selected paths than the birth programs can know beforehand (8,192): those of the policies before make room, and none of theirs stays
behind to give a container a policy that is gone. The births are without a daemon: nobody mends them.

Red when an update that finds no room ends the change of the birth map before its stale entries are erased.
"""
import pytest

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{select}]
  dns: {{resolvers: [203.0.113.53], search: []}}
  allow: [{{name: web, cidrs: [198.51.100.1/32], ports: [udp/9000]}}]
"""
DENIED = "198.51.100.2"
PATHS = 4500


def reload(lab, name: str, count: int) -> None:
    paths = ", ".join(f"{{cgroup: {lab.path(f'{name}{n}')}}}" for n in range(count))
    lab.daemon.write({f"{name}.yaml": POLICY.format(name=name, select=paths)})
    if not lab.daemon.starts:
        lab.daemon.start()
        return
    lab.daemon.reload(timeout=60)


def outcome(lab, name: str) -> str | None:
    return lab.container(name).probe("udp", address=DENIED, port=9000)["error"]


@pytest.fixture(scope="module")
def world(lab):
    """The second set does not fit beside the first."""
    reload(lab, "a", PATHS)
    reload(lab, "b", PATHS)
    lab.daemon.kill9()
    return lab


@pytest.mark.parametrize("number", [0, PATHS - 1])
def test_the_policy_in_force_is_known_at_birth(world, number):
    assert outcome(world, f"b{number}") == "EPERM"


@pytest.mark.parametrize("number", [0, PATHS - 1])
def test_a_path_that_nothing_selects_any_more_has_no_policy(world, number):
    assert outcome(world, f"a{number}") is None
