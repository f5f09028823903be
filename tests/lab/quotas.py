# SPDX-License-Identifier: Apache-2.0
"""What the tests of quotas share: policies with a quota of ten packets, ways to spend it and to ask for it."""
HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
"""
ONE, PORT, PACKET = "198.51.100.41", 9001, 1028  # nothing listens there
OUT = f"cidrs: [{ONE}], ports: [udp/{PORT}]"
TEN = f"{10 * PACKET}B"
RULE = f"  allow: [{{name: out, {OUT}, limits: {{quota: {TEN}/24h egress}}}}]\n"
OWN = f"  allow: [{{name: out, {OUT}}}]\n  limits: {{quota: {TEN}/24h egress}}\n"


def spend(container, count: int, octets: int = PACKET) -> dict[str, int]:
    return container.probe("datagrams", address=ONE, port=PORT, octets=octets, count=count)["outcomes"]


def quota(lab, container) -> dict:
    rows = lab.daemon.get(f"/v1/quotas?container={container.path}")["quotas"]
    assert len(rows) == 1, rows
    return rows[0]
