# SPDX-License-Identifier: Apache-2.0
"""Two threads on one UDP socket: what the socket remembers of one flow never mixes with what it remembers of another.

Red when a packet is known by several words that two CPUs write one after the other (bpf/lib/known.h: `flow` is one word): then the
denied address and port are sent to after a second or so. Also shown: of what is sent so, every datagram is counted, and charged to its own
rule.
"""
import json
import re
import shutil
import subprocess

import pytest

from clients import tool
from container import HERE

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [203.0.113.53], search: []}}
  allow:
    - {{name: one, cidrs: [198.51.100.1/32], ports: [udp/9000]{limits}}}
    - {{name: two, cidrs: [198.51.100.2/32], ports: [udp/443]}}
"""
SECONDS, PACKET, QUOTA = 5, 29, 50_000  # octets of a datagram; datagrams
LIMITS = {"threads": "", "limited": f", limits: {{quota: {QUOTA * PACKET}B/24h egress}}"}
# A sniffer would miss some of so many: the observer at the cable is a counter.
OBSERVER = """table ip seen {{
  chain to_{0} {{
    type filter hook prerouting priority -300;
    ip daddr 198.51.100.1 udp dport {0} counter
  }}
}}
"""


@pytest.fixture(scope="module")
def containers(lab):
    made = {name: lab.container(name) for name in LIMITS}
    for container in made.values():
        container.drop_to_docker()
    lab.daemon.start({f"{name}.yaml": POLICY.format(name=name, path=made[name].path, limits=LIMITS[name]) for name in LIMITS})
    return made


@pytest.fixture(scope="module")
def program(lab):
    built = lab.directory / "two_threads"
    subprocess.run([tool("gcc"), "-O2", "-pthread", "-o", str(built), str(HERE / "hostile_programs" / "two_threads.c")], check=True)
    return str(built)


def observe(lab, port: int):
    """Gives a function that says how many datagrams to that port of ONE have come out of containers since now."""
    nft = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    file = lab.directory / f"observer-{port}.nft"
    file.write_text(OBSERVER.format(port))
    lab.internet.netns.run(nft, "-f", str(file))
    return lambda: int(re.search(r"packets (\d+)", lab.internet.netns.run(nft, "list", "chain", "ip", "seen", f"to_{port}"))[1])


@pytest.fixture(scope="module")
def outside(lab) -> dict:
    return {port: observe(lab, port) for port in (443, 9000)}


def run_in(container, program: str) -> dict:
    run = container.run(program, "198.51.100.1", "198.51.100.2", str(SECONDS), timeout=60)
    assert run.returncode == 0, run
    print(run.stdout)
    return json.loads(run.stdout)


def test_two_allowed_flows_of_one_socket_make_no_third(containers, program, outside, watch):
    before = outside[443](), outside[9000]()
    with watch(containers["threads"]) as seen:
        got = run_in(containers["threads"], program)
        assert (got["direct"], got["passed"], got["other"]) == (1, 0, 0), got
        assert got["tries"] > 1000 and got["two"] > 1000, "both threads ran"
    seen.counted(got["tries"] + 1, direction="egress", verdict="deny", reason="no-rule")
    seen.counted(got["one"] + got["two"], direction="egress", verdict="allow", reason="cidr")
    assert (outside[443](), outside[9000]()) == (before[0], before[1] + got["one"]), "seen outside"


def test_each_of_two_flows_of_one_socket_is_charged_to_its_own_rule(containers, program, outside, watch):
    """Red, now and then, when of two threads that write the socket's memory one leaves its flow's word over the other's charges."""
    before = outside[9000]()
    with watch(containers["limited"]) as seen:
        got = run_in(containers["limited"], program)
        assert got["one"] == QUOTA and got["two"] > 1000 and got["passed"] == 0, got
    assert outside[9000]() == before + QUOTA
    seen.counted(got["one"] + got["two"], direction="egress", verdict="allow", reason="cidr")
    seen.counted(got["other"], direction="egress", verdict="deny", reason="quota")
