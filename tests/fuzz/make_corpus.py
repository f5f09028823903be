# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of corpus/ that are made by hand: one small input a shape that a parser knows. Inputs in corpus/*/found-*
came out of runs and are kept as they are.

usage: make_corpus.py [CORPUS]
"""
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


# ---- packets: an octet of control, then the packet ----

def v4(protocol, payload, flags=0x4000, first=0x45, source="0a000001", destination="c0000207"):
    return (struct.pack("!BBHHHBBH", first, 0, 20 + len(payload), 1, flags, 64, protocol, 0)
            + bytes.fromhex(source + destination) + payload)


def v6(headers, payload):
    """headers: types, the last is L4; each extension header has 8 octets."""
    chain = b"".join(bytes([following, 0, 1, 4, 0, 0, 0, 0]) for following in headers[1:])
    return (struct.pack("!IHBB", 0x60000000, len(chain) + len(payload), headers[0], 64)
            + bytes.fromhex("fd000000000000000000000000000001" "20010db8000000000000000000000007") + chain + payload)


def udp(payload=b"hello", destination=53):
    return struct.pack("!HHHH", 40000, destination, 8 + len(payload), 0) + payload


def tcp(payload=b"", offset=5, flags=0x02):
    return struct.pack("!HHIIBBHHH", 40000, 443, 1, 0, offset << 4, flags, 64240, 0, 0) + bytes(max(0, offset - 5) * 4) + payload


def packets():
    shapes = {
        "v4-udp": v4(17, udp()), "v4-tcp-syn": v4(6, tcp()), "v4-tcp-data": v4(6, tcp(b"GET /", flags=0x18)),
        "v4-tcp-options": v4(6, tcp(b"x", offset=10)), "v4-tcp-offset-4": v4(6, tcp(offset=4)), "v4-icmp": v4(1, b"\x08\0\0\0\0\1\0\1"),
        "v4-fragment-first": v4(17, udp(), 0x2000), "v4-fragment-later": v4(17, udp(), 0x0010),
        "v4-options": v4(17, b"\x94\4\0\0" + udp(), first=0x46), "v4-gre": v4(47, b"\0\0\x08\0"), "v4-udp-cut": v4(17, udp()[:7]),
        "v6-udp": v6([17], udp()), "v6-tcp": v6([6], tcp(b"x")), "v6-icmp": v6([58], b"\x80\0\0\0\0\1\0\1"),
        "v6-options-udp": v6([0, 60, 17], udp()), "v6-fragment": v6([44, 17], udp()), "v6-routing": v6([43, 17], udp()),
        "v6-options-fragment": v6([60, 44, 17], udp()), "v6-seven": v6([60] * 7 + [17], udp()), "v6-eight": v6([60] * 8 + [17], udp()),
        "v6-ah": v6([51, 17], udp()), "v6-cut": v6([0], b"\x11"), "version-5": b"\x50" + bytes(30), "empty": b"",
    }
    for name, packet in shapes.items():
        yield name, b"\0" + packet
    yield "ingress-v6-udp", b"\1" + v6([17], udp())
    yield "three-segments-v4-tcp", b"\6" + v4(6, tcp(bytes(90)))
    yield "three-segments-v6-tcp", b"\7" + v6([0, 6], tcp(bytes(90)))


# ---- DNS messages ----

def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name="example.com", flags=0x0100, counts=(1, 0, 0, 0), kind=1, cls=1, raw=None, tail=b""):
    return struct.pack("!HH4H", 0x1234, flags, *counts) + (wire(name) if raw is None else raw) + struct.pack("!HH", kind, cls) + tail


EDNS = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
COOKIE = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 12) + struct.pack("!HH", 10, 8) + b"12345678"
LONG = ".".join(["a" * 63] * 3) + "." + "b" * 61


def queries():
    yield "plain", query()
    yield "aaaa", query("www.example.com", kind=28)
    yield "mixed-case", query("wWw.eXample.COM")
    yield "root", query("", kind=2)
    yield "edns", query(counts=(1, 0, 0, 1), tail=EDNS)
    yield "edns-cookie", query(counts=(1, 0, 0, 1), tail=COOKIE)
    yield "trailing", query(tail=b"x")
    yield "two-questions", query(counts=(2, 0, 0, 0))
    yield "answer-in-query", query(counts=(1, 1, 0, 0))
    yield "response", query(flags=0x8180)
    yield "update", query(flags=0x2800)
    yield "chaos", query("version.bind", kind=16, cls=3)
    yield "pointer", query(raw=b"\3www\xc0\x0c")
    yield "dot-in-label", query(raw=b"\3a.b\3com\0")
    yield "longest", query(LONG)
    yield "too-long", query(LONG + "b")
    yield "many-labels", query(".".join("a" * 127))
    yield "reverse-v4", query("7.2.0.192.in-addr.arpa", kind=12)
    yield "reverse-v6", query(".".join("7" + "0" * 23 + "8bd01002") + ".ip6.arpa", kind=12)
    for number, name in enumerate(("256.2.0.192", "07.2.0.192", "7.2.0", "255.255.255.255", "1.7.2.0.192")):
        yield f"reverse-v4-{number}", query(name + ".in-addr.arpa", kind=12)
    yield "below-a-pattern", query("x.a.b.c")
    yield "cut", query()[:20]


def record(kind, data, owner=b"\xc0\x0c", cls=1, ttl=300):
    return owner + struct.pack("!HHIH", kind, cls, ttl, len(data)) + data


def answers():
    def answer(records, count=None, flags=0x8180, **more):
        return query(flags=flags, counts=(1, len(records) if count is None else count, 0, 0), tail=b"".join(records), **more)
    a, aaaa = record(1, b"\xc0\0\2\7"), record(28, bytes(15) + b"\1")
    shapes = {
        "a": answer([a]), "aaaa": answer([aaaa], kind=28), "cname-a": answer([record(5, wire("x.example.net")), record(1, b"\1\2\3\4", wire("x.example.net"))]),
        "nothing": answer([]), "nxdomain": answer([], flags=0x8183), "truncated": answer([a], flags=0x8380), "too-few": answer([a], 3),
        "chaos-record": answer([record(1, b"\1\2\3\4", cls=3)]), "ttl-max": answer([record(1, b"\1\2\3\4", ttl=0xffffffff)]),
        "record-cut": answer([a])[:-2], "bad-owner": answer([record(1, b"\1\2\3\4", b"\x80x")]), "not-an-answer": query(),
        "with-edns": answer([a]) + EDNS, "eight": answer([a] * 8), "root-owner": answer([record(1, b"\1\2\3\4", b"\0")]),
    }
    for name, message in shapes.items():
        yield name, struct.pack("!H", len(query())) + message
    yield "long", struct.pack("!H", 4090) + answer([record(16, bytes(200))] * 21)


# ---- policy text ----

YAML = {
    "all-fields": """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {name: p}
spec:
  select:
    - {cgroup: /a/**, runtime: docker, name: "n*", image: i, namespace: ns, pod: p, unit: u, labels: {a: "b?"}}
  mode: audit
  dns: {resolvers: [10.0.0.2, "fd00::2"], search: [svc.cluster.local], queries: 50/s burst 100, minTTL: 5m, private: allow}
  allow:
    - {name: a, domains: [x.com, "*.x.com"], cidrs: [10.1.0.0/16, "2001:db8::/32"], ports: [tcp/443, udp/80-90, icmp, tcp], private: deny}
    - {domains: ["*"], ports: [udp], limits: {egress: 10MiB/s burst 20MiB, quota: 1GiB/24h, connections: 120/min burst 20}}
  deny:
    - {name: d, cidrs: [169.254.169.254]}
  limits: {egress: 1KB/s, ingress: 2TB/h, packets: 5/2d}
  inbound: deny
  loopback: deny
""",
    "two-documents": "---\napiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: a}\nspec: {select: [{unit: x}]}\n---\n# b\n"
                     "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: b}\nspec: {select: [{pod: x}], dns: {resolvers: any}}\n...\n",
    "anchors-and-tags": "a: &x !!str b\nc: *x\n? [d]\n: |\n  text\ne: >-\n  more\n",
    "u-labels": "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: u}\nspec:\n  select: [{cgroup: /u}]\n"
                "  allow: [{domains: [b\u00fccher.example, \"*.stra\u00dfe.example\", XN--bcher-kva.example.]}]\n",
    "escapes": 'a: "\\x41\\u00e9\\U0001F600\\0\\n"\nb: \'it\'\'s\'\n',
    "flow-unclosed": "spec: {select: [{cgroup: /a\n---\nkind: x\n",
    "empty": "# nothing\n---\n",
}
JSON = {
    "all-fields": """{"apiVersion": "penstock/v1", "kind": "EgressPolicy", "metadata": {"name": "p"}, "spec": {
 "select": [{"cgroup": "/a/**", "labels": {"a": "b?", "": ""}}], "mode": "audit",
 "dns": {"resolvers": ["10.0.0.2"], "search": [], "queries": "50/s burst 100", "minTTL": "5m", "private": "allow"},
 "allow": [{"name": "a", "domains": ["x.com", "*.x.com"], "cidrs": ["10.1.0.0/16"], "ports": ["tcp/443", "icmp"]}],
 "deny": [{"domains": ["b.x.com"], "ports": ["udp/53-60"]}], "limits": {"quota": "1GiB/24h"}, "inbound": "deny"}}""",
    "small": '{"apiVersion":"penstock/v1","kind":"EgressPolicy","metadata":{"name":"p"},"spec":{"select":[{"unit":"x"}],'
             '"allow":[{"domains":["a.b"]}]}}',
    "escapes": '{"metadata": {"name": "\\u0041\\ud83d\\ude00\\n\\\\"}, "x": [1, -2.5e3, true, null, {}]}',
    "twice": '{"kind": "a", "kind": "b"}', "behind": "{} x", "list": "[[],[]]", "cut": '{"spec": {"allow": [',
    "nested": "[" * 33 + "]" * 33,
}


def policies_yaml():
    yield from ((name, text.encode()) for name, text in YAML.items())
    for file in sorted((ROOT / "docs/examples").glob("*.yaml")):
        yield "example-" + file.stem, file.read_bytes()
    yield "ten-mistakes", (ROOT / "tests/unit/policy/fixtures/ten-mistakes.yaml").read_bytes()


def policies_json():
    yield from ((name, text.encode()) for name, text in JSON.items())


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def policies_protobuf():
    """Field numbers of policy/proto/policy.proto."""
    def policy(spec, name="p"):
        return field(1, field(1, "penstock/v1") + field(2, "EgressPolicy") + field(3, field(1, name)) + field(4, spec))
    select = field(1, field(1, "/a/**"))
    rule = field(1, "a") + field(2, "x.com") + field(2, "*.x.com") + field(3, "10.1.0.0/16") + field(4, "tcp/443") + field(5, "allow")
    dns = field(1, field(1, "10.0.0.2")) + field(2, field(1, "svc.local")) + field(3, "50/s burst 100") + field(4, "5m") + field(5, "deny")
    limits = field(1, "1KB/s") + field(2, "1MB/s") + field(3, "5/s") + field(4, "9/s") + field(5, "1GiB/24h")
    labels = field(1, field(8, field(1, "role") + field(2, "agent")))
    yield "small", policy(select)
    yield "rules", policy(select + labels + field(2, "audit") + field(3, dns) + field(4, rule) + field(5, field(3, "10.1.2.0/24")) + field(6, limits))
    yield "two", policy(select) + policy(select + field(7, "deny") + field(8, "deny"), "q")
    yield "unknown-field", policy(select + field(15, "x"))
    yield "empty", b""


# ---- single values, settings, request targets ----

VALUES = {0: ["example.com", "Example.COM.", "b\u00fccher.example", "xn--bcher-kva.de", "_dmarc.a-b.c", "a..b", "*.x", "1.2.3.4", "a b"],
          1: ["*", "*.x.com", "x.com", "a.*.b", "*."], 2: ["10.0.0.1", "fd00::1", "::ffff:1.2.3.4", "::", "1.2.3", "01.2.3.4", "1:2:3:4:5:6:7:8"],
          3: ["10.0.0.0/8", "2001:db8::/32", "10.0.0.1/8", "1.2.3.4", "::ffff:1.2.3.0/120", "::/0", "0.0.0.0/0"],
          4: ["tcp/443", "udp/80-90", "icmp", "tcp", "tcp/0", "80", "udp/9-1"], 5: ["10MiB/s burst 20MiB", "120/min burst 20", "1GiB/24h", "30s", "1.5GiB/h"]}
CONFIGS = {
    "all": 'gate-root: /g\nstrict-root: [/p.slice/, /b=audit]\npolicies: /p\nstate-dir: /s\nrun-dir: /r\nbpffs: /b\napi-socket: /a.sock\n'
           'metrics-address: "[::1]:9464"\nresolv-conf: /c\nlog-level: debug\nlog-format: json\nbirth-verdict: audit\nbirth-name: [docker-, o=deny]\n'
           'birth-path: [/kubepods/]\n',
    "mistakes": "gate-root: relative\nunknown: 1\nlog-level: [a]\nrun-dir: {a: b}\nrun-dir: /x\nstrict-root: /x\nbirth-name: [[a], ~]\n",
    "two-documents": "run-dir: /a\n---\nrun-dir: /b\n", "list": "[1, 2]\n", "empty": "", "alias": "run-dir: &a /x\nstate-dir: *a\n", "unclosed": "a: [b",
    "odd-keys": "[a]: b\n? {c: d}\n: e\n~: f\n",
}
TARGETS = ["/v1/status", "/v1/containers/%2Fpenstock.slice%2Fa", "/v1/explain?container=%2Fa&ip=::1&port=tcp%2F443", "/v1/events?follow=true&denied=1",
           "/a?b=c+d&e=%zz", "/?=x", "*", "/a%00b", "/?a=1&a=2", "/v1//x?"]


def values():
    for which, texts in VALUES.items():
        for number, text in enumerate(texts):
            yield f"{which}-{number}", bytes([which]) + text.encode()


ALL = {
    "packet": packets, "dns_query": queries, "dns_answer": answers, "policy_yaml": policies_yaml, "policy_json": policies_json,
    "policy_protobuf": policies_protobuf, "value": values, "config": lambda: ((name, text.encode()) for name, text in CONFIGS.items()),
    "api_target": lambda: ((str(number), text.encode()) for number, text in enumerate(TARGETS)),
}


def main() -> int:
    corpus = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus"
    for target, seeds in ALL.items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            (folder / f"seed-{name}").write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
