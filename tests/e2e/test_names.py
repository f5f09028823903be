# SPDX-License-Identifier: Apache-2.0
"""Issue letter b: names at the kernel. Each case is a query on the wire from a container: what sendto said, the counter, the reason."""
import pytest

import dns
from internet import ODD
from scenes import refused_at_once

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: names}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: [svc.cluster.test]}}
  allow:
    - {{name: exact, domains: [example.test, "bücher.test", _srv.exact.test]}}
    - {{name: below, domains: ["*.wild.test", "*.w.t", "*.mix.test", ok.dd.test]}}
  deny:
    - {{name: never, domains: [bad.mix.test, "*.dd.test"]}}
"""
EVERY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: every}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow: [{{name: all, domains: ["*"]}}]
  deny: [{{name: never, domains: ["*.secret.test"]}}]
"""


def wire(*labels: bytes | str) -> bytes:
    """A name from labels, whatever is in them; lengths are true."""
    raw = [label.encode() if isinstance(label, str) else label for label in labels]
    return b"".join(bytes([len(label)]) + label for label in raw) + b"\0"


def padded(total: int, *tail: str) -> bytes:
    """A name of `total` octets as text that ends in the labels of `tail`."""
    left, labels = total - len(".".join(tail)), []
    while left > 0:
        length = min(62, left - 1) if left != 64 + 1 else 61
        if left - (length + 1) == 1:
            length -= 1
        labels.append("a" * length)
        left -= length + 1
    name = wire(*labels, *tail)
    assert len(name) == total + 2
    return name


OK, NOT, DENIED, LABEL, LONG = "dns-query", "name-not-allowed", "name-denied", "dns-label", "dns-name-long"
CASES = {
    "one octet label": (wire("a", "wild", "test"), OK),
    "63 octet label": (wire("a" * 63, "wild", "test"), OK),
    "64 octet label": (b"\x40" + b"a" * 64 + wire("wild", "test"), LABEL),
    "253 octet name": (padded(253, "wild", "test"), OK),
    "254 octet name": (padded(254, "wild", "test"), LONG),
    "127 labels": (wire(*["a"] * 125, "w", "t"), OK),
    "128 labels": (wire(*["a"] * 126, "w", "t"), LONG),
    "exact": (wire("example", "test"), OK),
    "case is folded": (wire("ExAMPle", "TEST"), OK),
    "below an exact name": (wire("sub", "example", "test"), NOT),
    "longer label than the exact name": (wire("notexample", "test"), NOT),
    "the exact name as a prefix": (wire("example", "test", "evil"), NOT),
    "underscore": (wire("_srv", "exact", "test"), OK),
    "underscore below": (wire("_acme-challenge", "wild", "test"), OK),
    "A-label of a U-label": (wire("xn--bcher-kva", "test"), OK),
    "xn-- below": (wire("xn--bcher-kva", "wild", "test"), OK),
    "raw UTF-8": (wire("bücher", "test"), LABEL),
    "empty label": (b"\x01a\x00" + wire("wild", "test"), "dns-class"),
    "root": (wire(), NOT),
    "* as a label is a name like others": (wire("*", "wild", "test"), OK),
    "apex of the wildcard": (wire("wild", "test"), NOT),
    "several labels below": (wire("a", "b", "c", "wild", "test"), OK),
    "longer label than the wildcard's": (wire("notwild", "test"), NOT),
    "the wildcard in the middle": (wire("a", "wild", "test", "evil"), NOT),
    "a dot inside a label": (wire("a.wild", "test"), LABEL),
    "a dot inside a label, looking allowed": (wire("example.test"), LABEL),
    "a space": (wire("a b", "wild", "test"), LABEL),
    "a NUL": (wire(b"a\0b", "wild", "test"), LABEL),
    "a DEL": (wire(b"a\x7f", "wild", "test"), LABEL),
    "compressed": (b"\x01a\xc0\x0c", LABEL),
    "deny under allow": (wire("bad", "mix", "test"), DENIED),
    "beside the denied one": (wire("good", "mix", "test"), OK),
    "below the denied one": (wire("x", "bad", "mix", "test"), OK),
    "allow under deny": (wire("ok", "dd", "test"), DENIED),
    "search suffix of an allowed name": (wire("example", "test", "svc", "cluster", "test"), OK),
    "search suffix of an allowed wildcard": (wire("a", "wild", "test", "svc", "cluster", "test"), OK),
    "search suffix of a denied name": (wire("bad", "mix", "test", "svc", "cluster", "test"), DENIED),
    "search suffix of another name": (wire("evil", "test", "svc", "cluster", "test"), NOT),
    "the search suffix alone": (wire("svc", "cluster", "test"), NOT),
}
EVERY_CASES = {
    "any name": (wire("what", "ever"), OK),
    "a top level name": (wire("com"), OK),
    "the root": (wire(), OK),
    "denied all the same": (wire("a", "secret", "test"), DENIED),
    "apex of the denied ones": (wire("secret", "test"), OK),
}


@pytest.fixture(scope="module")
def containers(lab):
    named, every = lab.container("named"), lab.container("every")
    lab.daemon.start({"names.yaml": POLICY.format(path=named.path, resolver=ODD),
                      "every.yaml": EVERY.format(path=every.path, resolver=ODD)})
    return {"named": named, "every": every}


def judge(container, watch, name: bytes, reason: str) -> None:
    message = dns.header(77, dns.RD) + name + b"\0\1\0\1"
    with watch(container) as seen:
        got = container.probe("exchange", server=ODD, message=message.hex())
    if reason == OK:
        assert got["error"] is None and got["replies"], got
        seen.counted(direction="egress", verdict="allow", reason=OK)
        assert seen.grown(verdict="deny") == 0
    else:
        assert got["error"] == "EPERM", got
        seen.counted(direction="egress", verdict="deny", reason=reason)
        assert seen.grown(direction="egress", verdict="allow") == 0
        seen.reported(kind="denied", reason=reason, remote=ODD, remote_port=53)
        refused_at_once(container, "EPERM", "exchange", server=ODD, message=message.hex())


@pytest.mark.parametrize("case", CASES)
def test_a_name_is_judged(containers, watch, case):
    judge(containers["named"], watch, *CASES[case])


@pytest.mark.parametrize("case", EVERY_CASES)
def test_a_name_is_judged_where_every_name_is_allowed(containers, watch, case):
    judge(containers["every"], watch, *EVERY_CASES[case])


def test_a_final_dot_of_an_application_changes_nothing(containers):
    containers["named"].use_resolvers(ODD)
    assert containers["named"].probe("resolve", name="example.test.")["error"] is None
    assert containers["named"].probe("resolve", name="evil.test.")["error"] == "EAI_AGAIN"


def test_the_event_of_a_denied_name_says_the_name(containers, watch):
    container = containers["named"]
    with watch(container) as seen:
        container.probe("query", server=ODD, name="Tell.Me.Evil.test", type=dns.AAAA)
    event = seen.reported(kind="denied", name="tell.me.evil.test")
    assert (event["verdict"], event["reason"], event["hook"], event["protocol"], event["query_type"]) == (
        "deny", "name-not-allowed", "egress", "udp", "AAAA"), event
