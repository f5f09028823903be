# SPDX-License-Identifier: Apache-2.0
"""Whose an event is: the process that asked, the policy and the rule that judged, and of which generation they were."""
import os
import sys
from pathlib import Path

import pytest

from internet import DNSMASQ
from observe import events, learned, until

HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
"""
CLOSED, OTHER, NAMED = "198.51.100.41", "198.51.100.32", "198.51.100.10"  # by a deny rule, by none, api.good.test
FIRST = f"""  dns: {{resolvers: [{DNSMASQ}], search: []}}
  allow: [{{name: names, domains: [api.good.test], ports: [tcp/80]}}]
"""
SECOND = f"""  deny:
    - {{name: closed, cidrs: [{CLOSED}]}}
    - {{name: closed-port, domains: [api.good.test], ports: [tcp/443]}}
"""
INET, RAW = 2, 3
# What a process does, and the hook that knows who it is.
ACTS = {"connect": {"op": "connect", "address": OTHER, "port": 80}, "sendmsg": {"op": "udp", "address": OTHER, "port": 9000},
        "sock-create": {"op": "make_socket", "family": INET, "type": RAW, "protocol": 1}}
NAME = 'o"d\\d \'n%s\t!'  # at most 15 octets
CHILD = f"""import os, socket, sys
open("/proc/self/comm", "w").write(sys.argv[1])
try:
    socket.create_connection(({OTHER!r}, 81), 3)
except PermissionError:
    print(os.getpid())
"""


def texts(container, second: str = SECOND) -> dict[str, str]:
    return {f"{name}.yaml": HEAD.format(name=name, path=container.path) + spec for name, spec in (("first", FIRST), ("second", second))}


@pytest.fixture(scope="module")
def container(lab):
    made = lab.container("asker")
    lab.daemon.start(texts(made))
    return made


def told(lab, container, seen: int, **fields) -> dict:
    """The one event with these fields that came after the first `seen`."""
    found = until(lambda: [e for e in events(lab.daemon, container.path)[seen:] if e.items() >= fields.items()], 5, f"an event {fields}")
    assert len(found) == 1, found
    return found[0]


def seen_so_far(lab, container) -> int:
    return len(events(lab.daemon, container.path))


def denied(lab, container, **request) -> dict:
    """The event of one denial of the agent's."""
    before = seen_so_far(lab, container)
    got = container.probe(**request)
    assert got["error"] == "EPERM", got
    return told(lab, container, before, kind="denied")


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().removesuffix("\n")


@pytest.mark.parametrize("hook", ACTS)
def test_the_event_names_the_process_that_asked(lab, container, hook):
    """Red when pid is not what the host calls the process, or comm not what it calls itself."""
    event, pid = denied(lab, container, **ACTS[hook]), container.agent().process.pid
    assert str(container.cgroup).endswith(Path(f"/proc/{pid}/cgroup").read_text().rpartition("0::")[2].strip()), "it is the agent"
    assert (event["hook"], event["pid"], event["comm"]) == (hook, pid, comm(pid)), event


def test_two_processes_of_a_container_are_told_apart(lab, container):
    """Red when pid or comm is of the container's first process, or a name that needs quoting is not told as it is."""
    before = seen_so_far(lab, container)
    child = container.probe("program", words=[sys.executable, "-I", "-c", CHILD, NAME])
    assert child["code"] == 0, child
    event = told(lab, container, before, kind="denied", remote=OTHER, remote_port=81)
    assert (event["pid"], event["comm"]) == (int(child["output"]), NAME) and event["pid"] != container.agent().process.pid, event


def test_a_thread_is_told_as_its_process(lab, container):
    """Red when pid is a thread's."""
    before, pid = seen_so_far(lab, container), container.agent().process.pid
    assert container.probe("load_start", key="thread", ops=[[ACTS["connect"] | {"port": 82}, "EPERM"]], pause=0.05)["error"] is None
    event = until(lambda: [e for e in events(lab.daemon, container.path)[before:] if e["remote_port"] == 82], 5, "of the thread")[0]
    assert container.probe("load_stop", key="thread")["wrong"] == [] and event["pid"] == pid, event


def test_a_packet_has_no_process(lab, container):
    """Red when an event blames whoever happened to run: the egress hook of a packet does not know who sent it."""
    event = denied(lab, container, op="query", server=DNSMASQ, name="evil.test")
    assert {name: event[name] for name in ("hook", "pid", "comm", "name", "query_type")} == {
        "hook": "egress", "pid": 0, "comm": "", "name": "evil.test", "query_type": "A"}


def test_the_event_names_policy_and_rule(lab, container):
    """Red when a denial is told of another policy or rule than the one that decided; where none did, of all that hold the container."""
    assert container.probe("query", server=DNSMASQ, name="api.good.test")["addresses"] == [NAMED]
    assert learned(lab.daemon, container.path)[NAMED] == ["api.good.test"]
    for address, port, policy, rule, reason in ((OTHER, 80, "first+second", "", "no-rule"), (CLOSED, 80, "second", "closed", "deny-rule"),
                                                (NAMED, 443, "second", "closed-port", "deny-rule")):
        event = denied(lab, container, op="connect", address=address, port=port)
        expected = {"container": container.path, "cgroup_id": hex(os.stat(container.cgroup).st_ino), "policy": policy, "rule": rule,
                    "hook": "connect", "direction": "egress", "verdict": "deny", "reason": reason, "protocol": "tcp", "remote": address,
                    "remote_port": port, "name": "", "query_type": ""}
        assert event.items() >= expected.items(), event


def reload(lab, container, rule: str) -> int:
    """The rule that closes gets another name: the container's new generation."""
    before = generation(lab, container)
    lab.daemon.write(texts(container, SECOND.replace("closed,", f"{rule},")))
    answer = lab.daemon.reload()
    now = generation(lab, container)
    assert before < now <= answer["generation"], (before, now, answer)
    return now


def generation(lab, container) -> int:
    return next(row["generation"] for row in lab.daemon.get("/v1/containers")["containers"] if row["cgroup"] == container.path)


def test_after_a_reload_the_next_denial_is_told_of_the_new_rules(lab, container):
    """Red when an event is told of the rules that were."""
    for rule in ("renamed", "closed"):
        reload(lab, container, rule)
        event = denied(lab, container, op="connect", address=CLOSED, port=80)
        assert (event["policy"], event["rule"]) == ("second", rule), event


def test_an_event_carries_the_generation_that_judged(lab, container):
    """Red when the event's generation is not what /v1/containers shows, before and after a reload."""
    for rule in ("again", "closed"):
        now = reload(lab, container, rule)
        assert denied(lab, container, op="connect", address=CLOSED, port=80)["generation"] == now
