# SPDX-License-Identifier: Apache-2.0
"""What the tests of quotas share: policies with a quota of ten packets, and a way to ask for it."""
from limits import ONE, PACKET, PORT

OUT = f"cidrs: [{ONE}], ports: [udp/{PORT}]"
TEN = f"{10 * PACKET}B"
RULE = f"  allow: [{{name: out, {OUT}, limits: {{quota: {TEN}/24h egress}}}}]\n"
OWN = f"  allow: [{{name: out, {OUT}}}]\n  limits: {{quota: {TEN}/24h egress}}\n"


def quota(lab, container) -> dict:
    rows = lab.daemon.get(f"/v1/quotas?container={container.path}")["quotas"]
    assert len(rows) == 1, rows
    return rows[0]
