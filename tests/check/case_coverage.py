# SPDX-License-Identifier: Apache-2.0
"""What the enforcement tests must cover, and whether they do: every (hook, rule kind, address family, protocol) that the design
supports. The hooks are read from the BPF programs and the reasons from bpf/reason.h, so that a new one without cases is a fault.

A test says what it covers: @pytest.mark.covers(hook="egress", rule="allow-cidr", family="v4 v6", protocol="tcp udp"), every pair of
the product, as often as there are. A marker that names no pair of the matrix is a fault too.

usage: case_coverage.py ROOT: prints every fault, or how many pairs are covered; exit 1 if there is a fault.
"""
import io
import itertools
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

EVERY, PLAIN, NO_FAMILY = "v4 v6 mapped", "v4 v6", "none"  # mapped: ::ffff:a.b.c.d on a v6 socket

# program section: (hook, families its cases must have)
PROGRAMS = {
    "cgroup_skb/egress": ("egress", EVERY), "cgroup_skb/ingress": ("ingress", EVERY),
    "cgroup/connect4": ("connect", "v4"), "cgroup/connect6": ("connect", "v6 mapped"),
    "cgroup/sendmsg4": ("sendmsg", "v4 mapped"), "cgroup/sendmsg6": ("sendmsg", "v6"),
    "cgroup/sock_create": ("sock-create", PLAIN), "cgroup/setsockopt": ("setsockopt", PLAIN),
    "lsm_cgroup/socket_create": ("lsm", NO_FAMILY), "sockops": ("sockops", EVERY),
    "raw_tp/cgroup_mkdir": ("birth", PLAIN), "raw_tp/cgroup_rmdir": ("death", NO_FAMILY), "raw_tp/cgroup_release": ("death", NO_FAMILY),
}

NO_HOOKS = ("retire.bpf.c",)  # programs that the daemon runs, and no packet meets

# rule kind: the reasons (bpf/reason.h) by which it decides
RULES = {
    "default-deny": "NO_RULE", "allow-cidr": "CIDR", "deny-cidr": "DENY_RULE", "allow-domain": "LEARNED", "deny-domain": "DENY_RULE",
    "port-range": "CIDR NO_RULE", "any-port": "CIDR",
    "dns-query": "DNS_QUERY NAME_NOT_ALLOWED NAME_DENIED", "reverse-query": "REVERSE_QUERY REVERSE_NOT_ALLOWED",
    "resolver": "DNS_SESSION RESOLVER", "dns-answer": "DNS_ANSWER",
    "dns-form": "DNS_GSO DNS_SHORT DNS_RESPONSE DNS_OPCODE DNS_QDCOUNT DNS_COUNTS DNS_LABEL DNS_NAME_LONG DNS_TRAILING DNS_FRAMING DNS_CLASS"
                " DNS_SHARED",
    "loopback": "LOOPBACK LOOPBACK_DENIED", "inbound": "INBOUND INBOUND_DENIED", "reply": "REPLY REPLY_DENIED",
    "protocol": "PROTOCOL", "hidden": "FRAGMENT IP_OPTIONS EXTENSION_HEADER", "source": "SOURCE_PORT SOURCE_ADDRESS",
    "raw-socket": "RAW_SOCKET", "socket-family": "SOCKET_FAMILY", "birth": "BIRTH OPEN", "row": "",
    "rate": "EGRESS_RATE INGRESS_RATE PACKET_RATE", "quota": "QUOTA", "connections": "CONNECTION_RATE", "queries": "QUERY_RATE",
}

# What arrives over loopback is allowed whatever `inbound` is, and counted as allowed by it.
INGRESS_RULES = RULES | {"loopback": "INBOUND"}

# Reasons that no rule kind gives and no ordinary traffic reaches, with the test that does.
UNREACHED = {
    "TRUNCATED": "the kernel sends no such packet but for raw sockets: bpf_host/packet_test", "NOT_IP": "as TRUNCATED",
    "UNBOUND": "a row without a policy, only between two writes of the daemon: live/rows_test",
    "SCRATCH": "programs nested deeper than PS_SCRATCH_SLOTS", "QUERY_STORE": "the kernel out of memory",
    "BUDGET_STORE": "65,536 budgets taken, or the kernel out of memory",
}

BY_ADDRESS = {"default-deny", "allow-cidr", "deny-cidr", "allow-domain", "deny-domain"}
BY_PORT = {"port-range", "any-port"}
# hook: [(rule kinds, protocols, families)]
MATRIX = {
    "egress": [(BY_ADDRESS | BY_PORT, "tcp udp", EVERY), (BY_ADDRESS | {"loopback"}, "icmp", PLAIN),
               ({"dns-query", "reverse-query", "resolver", "dns-form", "loopback", "reply"}, "tcp udp", EVERY),
               ({"hidden"}, "tcp udp", PLAIN), ({"source"}, "udp", EVERY), ({"source"}, "tcp", PLAIN),
               ({"protocol", "raw-socket"}, "other", PLAIN), ({"rate", "quota", "queries", "connections"}, "tcp udp", PLAIN),
               ({"rate", "quota"}, "icmp", PLAIN)],
    "ingress": [({"inbound", "dns-answer"}, "tcp udp", EVERY), ({"loopback"}, "tcp udp", PLAIN), ({"rate", "quota"}, "tcp udp", PLAIN)],
    "connect": [(BY_ADDRESS | BY_PORT | {"resolver", "loopback", "connections"}, "tcp", EVERY), ({"quota"}, "tcp", PLAIN)],
    "sendmsg": [(BY_ADDRESS | BY_PORT | {"resolver", "loopback", "reply"}, "udp", EVERY)],
    "sock-create": [({"raw-socket"}, "other", PLAIN)],
    "setsockopt": [({"source"}, "tcp udp", PLAIN)],
    "lsm": [({"socket-family"}, "other", NO_FAMILY)],
    "sockops": [({"reply"}, "tcp", EVERY)],
    "birth": [({"birth"}, "tcp udp", PLAIN)],
    "death": [({"row"}, "other", NO_FAMILY)],
}

Pair = tuple[str, str, str, str]


def pairs_of(hook: str, rule: str, family: str, protocol: str) -> set[Pair]:
    return set(itertools.product(hook.split(), rule.split(), family.split(), protocol.split()))


def all_pairs(matrix: dict = MATRIX) -> set[Pair]:
    return {pair for hook, rows in matrix.items() for rules, protocols, families in rows
            for rule in rules for pair in pairs_of(hook, rule, families, protocols)}


def programs_of(root: Path) -> dict[str, str]:
    """Section to file of every BPF program."""
    found = {}
    for path in sorted((root / "bpf").glob("*.bpf.c")):
        if path.name in NO_HOOKS:
            continue
        for section in re.findall(r'^SEC\("([^"]+)"\)\s*\n\s*int ', path.read_text(), re.M):
            found[section] = path.name
    return found


def reasons_of(root: Path) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^\s*PS_R_(\w+) = (\d+),", (root / "bpf/reason.h").read_text(), re.M)}


def texts_of(root: Path) -> dict[str, str]:
    """Reason to its text name, as counters give it."""
    return dict(re.findall(r'X\((\w+), "([^"]+)"\)', (root / "bpf/reason.h").read_text()))


def check_design(root: Path, pairs: set[Pair]) -> list[str]:
    """Is the matrix itself what the kernel's programs and reasons are?"""
    faults, programs, reasons = [], programs_of(root), reasons_of(root)
    for section, file in programs.items():
        if section not in PROGRAMS:
            faults.append(f"bpf/{file}: SEC(\"{section}\") is in no row of tests/check/case_coverage.py: no test is known to cover it")
            continue
        hook, families = PROGRAMS[section]
        faults += [f"bpf/{file}: SEC(\"{section}\") has no pair of hook {hook} and family {family}" for family in families.split()
                   if not any(pair[0] == hook and pair[2] == family for pair in pairs)]
    faults += [f"tests/check/case_coverage.py: there is no program SEC(\"{section}\")" for section in PROGRAMS if section not in programs]
    known = set(" ".join(RULES.values()).split()) | set(UNREACHED)
    judged = {name for name, number in reasons.items() if 0 < number < 100}
    faults += [f"bpf/reason.h: reason {name} is of no rule kind in tests/check/case_coverage.py" for name in sorted(judged - known)]
    faults += [f"tests/check/case_coverage.py: there is no reason {name}" for name in sorted(known - judged)]
    used = {pair[1] for pair in pairs}
    return faults + [f"tests/check/case_coverage.py: rule kind {rule} is in no row, or not in RULES" for rule in sorted(used ^ set(RULES))]


def check_cases(pairs: set[Pair], cases: dict[Pair, list[str]]) -> list[str]:
    """`cases`: what the markers claim, and which tests do."""
    show = "(hook {}, rule {}, family {}, protocol {})".format
    faults = [f"no test covers {show(*pair)}" for pair in sorted(pairs - set(cases))]
    return faults + [f"{cases[pair][0]}: covers {show(*pair)}, which is no pair" for pair in sorted(set(cases) - pairs)]


class Collector:
    """A pytest plugin: what the collected tests' markers claim. A test that is never run (skip, xfail) covers nothing."""

    def __init__(self):
        self.cases: dict[Pair, list[str]] = {}

    def pytest_collection_modifyitems(self, items) -> None:
        for item in items:
            if any(item.iter_markers("skip")) or any(item.iter_markers("xfail")):
                continue
            for marker in item.iter_markers("covers"):
                for pair in pairs_of(**marker.kwargs):
                    self.cases.setdefault(pair, []).append(item.nodeid)


def collect(*folders: Path) -> dict[Pair, list[str]]:
    collector, said = Collector(), io.StringIO()
    with redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *map(str, folders)], plugins=[collector])
    if code != 0:
        raise SystemExit(f"pytest can't collect the tests:\n{said.getvalue()}")
    return collector.cases


def main() -> int:
    root = Path(sys.argv[1]).resolve()
    pairs, cases = all_pairs(), collect(root / "tests/e2e")
    faults = check_design(root, pairs) + check_cases(pairs, cases)
    for fault in faults:
        print(fault)
    print(f"{len(pairs & set(cases))} of {len(pairs)} pairs covered by {len({test for tests in cases.values() for test in tests})} tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
