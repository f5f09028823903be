# SPDX-License-Identifier: Apache-2.0
"""DNS queries in pages that their sender can write again after they were judged: sendfile, splice, vmsplice, MSG_ZEROCOPY and io_uring's
send_zc send the container's own pages by reference. Whatever is in them, none leaves to port 53; ordinary queries do.

Red when gate__query judges such a packet by what it holds at that moment (bpf/lib/gates.h gate__may_change, bpf/lib/kernel.h): then the
resolver answers for the denied name.
"""
import json
import secrets
import sys

import pytest

import dns
from clients import Dig
from container import HERE
from internet import DNSMASQ, UNBOUND
from observe import until
from outside import AT_ONCE_US, fence

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: pages}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{DNSMASQ}, {UNBOUND}], search: []}}
  allow:
    - {{name: web, domains: ["*.good.test"], ports: [tcp/80]}}
    - {{name: fence, cidrs: [198.51.100.50/32], ports: [udp/9000]}}
"""
PROGRAM = HERE / "hostile_programs" / "changed_pages.py"
WAYS = ("sendfile", "splice", "vmsplice", "zerocopy", "uring")
TRIES = 5


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("pages")
    made.drop_to_docker()
    lab.daemon.start({"pages.yaml": POLICY.format(path=made.path, DNSMASQ=DNSMASQ, UNBOUND=UNBOUND)})
    made.watch_cable()
    return made


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("server", [DNSMASQ, UNBOUND], ids=["dnsmasq", "unbound"])
def test_no_query_leaves_in_pages_that_may_change(container, watch, server, protocol, way):
    unique = secrets.token_hex(4)
    good, evil = f"a{unique}.good.test", f"x{unique}.evil.test"
    with watch(container) as seen:
        run = container.run(sys.executable, "-I", str(PROGRAM), server, good, evil, protocol, way, str(TRIES), str(HERE))
        assert run.returncode == 0, run.stderr
        got = json.loads(run.stdout)
        if got.get("disabled"):
            pytest.skip("no io_uring here")
        assert got["evil"] == 0, got
        assert got["us"] < AT_ONCE_US, "the call itself never waits"
        # UDP's sender is told; TCP's octets are taken, and never go.
        assert got["errors"] == ({"EPERM": TRIES} if protocol == "udp" else {"timeout": TRIES}), got
    if protocol == "udp":
        seen.counted(TRIES, direction="egress", verdict="deny", reason="dns-shared-pages")
    assert seen.grown(direction="egress", verdict="deny", reason="dns-shared-pages") >= TRIES
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") == 0
    seen.reported(kind="denied", hook="egress", reason="dns-shared-pages", remote=server)
    fence(container)
    for name in (good, evil):
        assert not container.arrived(contains=dns.wire_name(name).hex()), name


@pytest.mark.parametrize("server", [DNSMASQ, UNBOUND], ids=["dnsmasq", "unbound"])
def test_ordinary_queries_leave(container, watch, server):
    """By a datagram, connected or not, and by a stream: in one write, and two messages in one segment."""
    message = dns.query(9, "api.good.test")
    framed = (len(message).to_bytes(2, "big") + message).hex()
    with watch(container) as seen:
        for connect in (False, True):
            assert container.probe("query", server=server, name="api.good.test", connect=connect)["addresses"] == ["198.51.100.10"]
        assert container.probe("query_tcp", server=server, segments=[framed])["addresses"] == ["198.51.100.10"]
        assert container.probe("query_tcp", server=server, segments=[framed + framed])["addresses"] == ["198.51.100.10"]
    seen.counted(4, direction="egress", verdict="allow", reason="dns-query")
    assert seen.grown(verdict="deny") == 0


@pytest.mark.parametrize("server", [DNSMASQ, UNBOUND], ids=["dnsmasq", "unbound"])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_dig_is_answered(container, watch, server, tcp):
    with watch(container) as seen:
        run = container.run(*Dig().words("api.good.test", 1, server, tcp))
        assert (run.returncode, run.stdout.split()) == (0, ["198.51.100.10"]), run
    seen.counted(direction="egress", verdict="allow", reason="dns-query")
    assert seen.grown(verdict="deny") == 0


@pytest.mark.parametrize("server", [DNSMASQ, UNBOUND], ids=["dnsmasq", "unbound"])
@pytest.mark.parametrize("options", ["", "use-vc"])
def test_glibc_is_answered(container, watch, server, options):
    container.use_resolvers(server, options=f"timeout:3 attempts:1 {options}")
    with watch(container) as seen:
        got = until(lambda: container.probe("resolve", name="api.good.test"), 5, "answered")
        assert got["error"] is None and got["addresses"] == ["198.51.100.10", "2001:db8:80::a"], got
    assert seen.grown(direction="egress", verdict="allow", reason="dns-query") >= 1
    assert seen.grown(verdict="deny") == 0
