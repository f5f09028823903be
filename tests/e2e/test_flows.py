# SPDX-License-Identifier: Apache-2.0
"""The flow log (`flows: on`): what each flow carried, held against the cable and the counters; ends, names, rules and directions; a time
without a daemon; more flows than there is room for. When a long flow is told of: ../live/flow_rows_test.cpp, whose clock is its own.
"""
import json
from ipaddress import ip_address

import pytest

from cgroups import remove_empty
from internet import DNSMASQ
from load import tally
from observe import Counters, until

HEAD = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  flows: {flows}
"""
WEB, WEB6, SILENT, ECHO = "198.51.100.1", "2001:db8:80::1", "198.51.100.41", 9000
RULES = f"""  allow:
    - {{name: office, cidrs: [{WEB}, '{WEB6}', {SILENT}], ports: [tcp/80-81, udp/9000-9999]}}
    - {{name: api, domains: [api.good.test], ports: [tcp/80]}}
"""
SPECS = {"logged": "on", "named": "on", "silent": "off", "killed": "on", "crowded": "on", "audited": "on", "visited": "on", "reset": "on", "full": "on"}
FLOWS_OF_ONE = 4096


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in SPECS}
    texts = {f"{name}.yaml": HEAD.format(name=name, path=made[name].path, flows=flows, resolver=DNSMASQ) + RULES
             for name, flows in SPECS.items()}
    texts["audited.yaml"] += "  mode: audit\n"
    lab.daemon.start(texts)
    return made


def records(lab, container, **fields) -> list[dict]:
    status, body = lab.daemon.request("GET", f"/v1/flows?container={container.path}")
    assert status == 200, body
    rows = [json.loads(line) for line in body.splitlines() if line]
    return [row for row in rows if all(row[name] == value for name, value in fields.items())]


def ended(lab, container, count: int = 1, **fields) -> list[dict]:
    found = until(lambda: (rows := records(lab, container, **fields)) and len(rows) >= count and rows, 15, f"{count} records of {fields}", 0.2)
    assert len(found) == count, found
    return found


@pytest.mark.parametrize("address", [WEB, WEB6])
def test_a_connection_is_one_record_of_what_the_cable_saw(lab, world, address):
    logged, cable = world["logged"], tally(lab, world["logged"], address)
    seen = logged.probe("http", address=address, port=80)
    assert seen["status"] == 200, seen
    [flow] = ended(lab, logged, remote=address)
    wire = cable.call(5, op="read")
    cable.close()
    assert wire["missed"] == 0
    assert [flow["egress_packets"], flow["egress_bytes"]] == wire["egress"], (flow, wire)
    assert [flow["ingress_packets"], flow["ingress_bytes"]] == wire["ingress"], (flow, wire)
    assert flow["end"] == "closed" and flow["rule"] == "office" and flow["policy"] == "logged" and flow["container"] == logged.path
    assert (flow["protocol"], flow["remote_port"], flow["direction"], flow["verdict"], flow["reason"]) == ("tcp", 80, "egress", "allow", "cidr")
    assert ip_address(flow["local"]) == ip_address(logged.v6 if ":" in address else logged.v4)
    assert flow["name"] == "" and flow["begun"] <= flow["time"]


def test_a_learned_name_and_no_record_of_questions_denials_and_loopback(lab, world):
    named = world["named"]
    assert named.probe("resolve", name="api.good.test")["addresses"]
    assert named.probe("http", address="198.51.100.10", port=80, host="api.good.test")["status"] == 200
    assert named.probe("connect", address="198.51.100.32", port=80)["error"] == "EPERM"
    named.probe("udp", address="127.0.0.1", port=9, timeout=0.1)
    [flow] = ended(lab, named)
    assert flow["name"] == "api.good.test" and flow["rule"] == "api" and flow["reason"] == "learned", flow


def test_without_the_line_there_is_no_log(lab, world):
    silent, logged = world["silent"], world["logged"]
    for container in (silent, logged):
        assert container.probe("udp", address=WEB, port=ECHO)["error"] is None
    assert silent.probe("http", address=WEB, port=80)["status"] == 200
    assert logged.probe("http", address=WEB, port=80)["status"] == 200
    until(lambda: len(records(lab, logged, remote=WEB, end="closed")) >= 2, 15, "the logged container's record", 0.2)
    assert records(lab, silent) == []


def test_a_flow_that_begins_and_ends_without_a_daemon(lab, world):
    killed = world["killed"]
    lab.daemon.kill9()
    assert killed.probe("http", address=WEB, port=80)["status"] == 200
    lab.daemon.start()
    [flow] = ended(lab, killed)
    before = Counters(lab.daemon, killed.path)
    assert flow["end"] == "closed" and flow["rule"] == "office"
    assert flow["egress_packets"] == before.of(direction="egress", rule="office", verdict="allow"), flow


def test_a_connection_that_is_refused_ends_by_its_reset(lab, world):
    reset = world["reset"]
    assert reset.probe("connect", address=WEB, port=81)["error"] == "ECONNREFUSED"
    [flow] = ended(lab, reset)
    assert (flow["end"], flow["egress_packets"], flow["ingress_packets"]) == ("reset", 1, 1), flow


def test_a_connection_that_others_opened(lab, world):
    visited, visitor = world["visited"], lab.container("visitor")
    assert visited.probe("listen", port=8000)["error"] is None
    assert visitor.probe("http", address=visited.v4, port=8000)["status"] == 200
    [flow] = ended(lab, visited)
    assert (flow["direction"], flow["local_port"], flow["remote"], flow["rule"]) == ("ingress", 8000, visitor.v4, ""), flow
    assert flow["egress_packets"] > 0 and flow["ingress_packets"] > 0 and flow["end"] == "closed"


def test_audit_logs_what_it_lets_pass(lab, world):
    audited = world["audited"]
    assert audited.probe("http", address="198.51.100.11", port=80)["status"] == 200  # no rule names it
    [flow] = ended(lab, audited, remote="198.51.100.11")
    assert (flow["verdict"], flow["reason"], flow["rule"]) == ("would-deny", "no-rule", ""), flow
    assert flow["egress_packets"] > 0 and flow["ingress_packets"] > 0


def test_more_flows_than_there_is_room_for(lab, world):
    """Each datagram from a port of its own: rows for so many, and each further packet is counted as not logged. The sums hold."""
    crowded, count = world["crowded"], FLOWS_OF_ONE + 500
    sent = crowded.probe("scattered", deadline_s=60, address=SILENT, first=20000, count=count, octets=128)
    assert sent["outcomes"] == {"sent": count}, sent
    unlogged = Counters(lab.daemon, crowded.path).of(reason="flow-unlogged")
    assert unlogged == 500, unlogged
    crowded.close()
    remove_empty(crowded.cgroup)
    rows = until(lambda: (seen := all_of(lab, crowded.path)) and len(seen) == FLOWS_OF_ONE and seen, 20, "records of all", 0.5)
    assert sum(row["egress_packets"] for row in rows) + unlogged == count
    assert {row["end"] for row in rows} == {"gone"} and {row["egress_bytes"] for row in rows} == {128}


def unlogged(lab, container) -> dict[str, list[int]]:
    rows = [row for row in Counters(lab.daemon, container.path).rows if row["reason"] == "flow-unlogged"]
    return {row["direction"]: [row["packets"], row["bytes"]] for row in rows}


def test_an_open_flow_without_room_is_counted_until_there_is_some(lab, world):
    """Packets and octets of a connection and of connected UDP, both ways, as the cable saw them; then a row that ends makes room."""
    full = world["full"]
    open_connection(full, "first")
    sent = full.probe("scattered", deadline_s=60, address=SILENT, first=20000, count=FLOWS_OF_ONE - 1, octets=128)
    assert sent["outcomes"] == {"sent": FLOWS_OF_ONE - 1} and unlogged(lab, full) == {}, sent
    cable = tally(lab, full, WEB)
    open_connection(full, "later")
    full.probe("hold", key="udp", family=2, type=2)
    full.probe("held_connect", key="udp", address=WEB, port=ECHO)
    for n in range(100):
        assert full.probe("held_send", key="later", payload="47" * (n + 1))["error"] is None
        assert full.probe("held_send", key="udp", payload="55" * (n + 1))["error"] is None
        assert len(full.probe("held_receive", key="udp")["hex"]) == 2 * (n + 1)
    datagrams = [100, sum(n + 1 + 28 for n in range(100))]

    def is_all() -> bool:
        wire, counted = cable.call(5, op="read"), unlogged(lab, full)
        return wire["missed"] == 0 and all(counted[way] == [t + d for t, d in zip(wire[way], datagrams)] for way in ("egress", "ingress"))
    until(is_all, 5, "each packet on the cable is counted, and nothing else")
    cable.close()

    full.probe("held_close", key="first")
    ended(lab, full, remote_port=80, end="closed")
    until(lambda: row_is_there(lab, full, "later"), 15, "a row for the connection that had none", 0.2)
    for key in ("later", "udp"):
        full.probe("held_close", key=key)
    until(lambda: len(seen := records(lab, full, remote_port=80)) == 2 and {row["rule"] for row in seen} == {"office"}, 15, "its record", 0.2)
    full.close()
    remove_empty(full.cgroup)


def open_connection(container, key: str) -> None:
    container.probe("hold", key=key, family=2, type=1)
    assert container.probe("held_connect", key=key, address=WEB, port=80)["error"] is None


def row_is_there(lab, container, key: str) -> bool:
    before = unlogged(lab, container)
    assert container.probe("held_send", key=key, payload="47")["error"] is None
    return unlogged(lab, container)["egress"] == before["egress"]


def test_a_log_that_fills_is_told_of_before_it_is_full(lab, world):
    """All containers share its rows: seven of them with as many flows as each may have take 87 %."""
    crowd = [lab.container(f"crowd-{n}") for n in range(7)]
    lab.daemon.write({path.name: path.read_text() for path in lab.daemon.policies.iterdir()}
                     | {"crowd.yaml": HEAD.format(name="crowd", path=lab.path("crowd-*"), flows="on", resolver=DNSMASQ) + RULES})
    lab.daemon.reload()
    for container in crowd:
        sent = container.probe("scattered", deadline_s=60, address=SILENT, first=20000, count=FLOWS_OF_ONE, octets=128)
        assert sent["outcomes"] == {"sent": FLOWS_OF_ONE}, sent
    event = until(lambda: next(iter(pressure(lab)), None), 30, "an event of the map", 0.5)
    assert event["name"] == "flow_ids" and 80 <= event["length"] < 95, event
    assert "map flow_ids is 8" in lab.daemon.cli("events").stdout


def test_what_people_see(lab, world):
    named = world["named"]
    assert named.probe("resolve", name="api.good.test")["addresses"]
    assert named.probe("http", address="198.51.100.10", port=80, host="api.good.test")["status"] == 200
    shown = until(lambda: (seen := lab.daemon.cli("flows", "--container", named.path)).stdout and seen, 15, "a line", 0.2)
    assert shown.returncode == 0 and "api.good.test" in shown.stdout and "(named/api)" in shown.stdout, shown
    assert "  closed  " in shown.stdout and "> 198.51.100.10:80" in shown.stdout, shown
    as_json = lab.daemon.cli("flows", "-o", "json")
    assert as_json.returncode == 0 and all(json.loads(line)["kind"] in ("flow", "lost") for line in as_json.stdout.splitlines())


def pressure(lab) -> list[dict]:
    status, body = lab.daemon.request("GET", "/v1/events")
    assert status == 200
    return [event for event in map(json.loads, filter(None, body.splitlines())) if event["kind"] == "pressure"]


def all_of(lab, path: str) -> list[dict]:
    status, body = lab.daemon.request("GET", "/v1/flows")
    assert status == 200
    return [row for row in map(json.loads, filter(None, body.splitlines())) if row["kind"] == "flow" and row["container"] == path]
