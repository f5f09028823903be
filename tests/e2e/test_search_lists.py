# SPDX-License-Identifier: Apache-2.0
"""Search lists as Kubernetes writes them (ndots:5), with glibc and real servers: suffixed questions first, then the name."""
import pytest

from internet import DNSMASQ, UNBOUND
from observe import learned
from scenes import refused_at_once

SUFFIXES = ["ns.svc.cluster.test", "svc.cluster.test", "cluster.test"]
POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{dnsmasq}, {unbound}], search: [{search}]}}
  allow:
    - {{name: good, domains: [api.good.test], ports: [tcp/80]}}
  deny:
    - {{name: blocked, domains: [blocked.good.test]}}
"""


@pytest.fixture(scope="module")
def world(lab):
    made = {"listed": lab.container("listed"), "unlisted": lab.container("unlisted")}
    lab.daemon.start({f"{name}.yaml": POLICY.format(name=name, path=container.path, dnsmasq=DNSMASQ, unbound=UNBOUND,
                                                    search=", ".join(SUFFIXES) if name == "listed" else "")
                      for name, container in made.items()})
    return made


@pytest.mark.parametrize("server", [DNSMASQ, UNBOUND])
def test_an_allowed_name_is_found_behind_its_suffixes(lab, world, watch, server):
    container = world["listed"]
    container.use_resolvers(server, search=" ".join(SUFFIXES), options="ndots:5 timeout:3 attempts:1")
    with watch(container) as seen:
        got = container.probe("resolve", name="api.good.test")
    assert got["addresses"] == ["198.51.100.10", "2001:db8:80::a"], got
    assert got["us"] < 1_000_000, got  # no question waited for its time-out
    seen.counted(direction="egress", verdict="allow", reason="dns-query", rule="good",
                 packets=2 * (len(SUFFIXES) + 1))  # A and AAAA of each suffix, then of the name itself
    assert seen.grown(direction="egress", verdict="deny") == 0
    assert "198.51.100.10" in learned(lab.daemon, container.path)
    assert container.probe("http", address="198.51.100.10", port=80, host="api.good.test")["status"] == 200


@pytest.mark.parametrize("name, reason", [("evil.test", "name-not-allowed"), ("blocked.good.test", "name-denied")])
def test_a_denied_name_fails_at_its_first_suffix(world, watch, name, reason):
    container = world["listed"]
    container.use_resolvers(DNSMASQ, search=" ".join(SUFFIXES), options="ndots:5 timeout:3 attempts:1")
    with watch(container) as seen:
        got = container.probe("resolve", name=name)
    assert got["error"] == "EAI_AGAIN", got
    assert seen.grown(direction="egress", verdict="deny", reason=reason) >= 1
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == 0
    refused_at_once(container, "EAI_AGAIN", "resolve", name=name)


def test_without_the_list_in_the_policy_glibc_gives_up_at_the_first_suffix(world, watch):
    """Why `search` exists: the suffixed name is not allowed, and glibc ends the whole look-up when that send fails."""
    container = world["unlisted"]
    container.use_resolvers(DNSMASQ, search=" ".join(SUFFIXES), options="ndots:5 timeout:3 attempts:1")
    with watch(container) as seen:
        got = container.probe("resolve", name="api.good.test")
    assert got["error"] == "EAI_AGAIN", got
    assert seen.grown(direction="egress", verdict="deny", reason="name-not-allowed") >= 1
    refused_at_once(container, "EAI_AGAIN", "resolve", name="api.good.test")
    container.use_resolvers(DNSMASQ, search=" ".join(SUFFIXES), options="ndots:1 timeout:3 attempts:1")
    assert container.probe("resolve", name="api.good.test")["addresses"]
