# SPDX-License-Identifier: Apache-2.0
"""More names than a container has counter rows for: the last ones are "other", until idle names have made room; the sums are the cable's all
the time. How idle is told from busy: ../live/name_rows_test.cpp.
"""
import pytest

from internet import ODD
from load import tally
from observe import until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: many}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  allow: [{{name: all, domains: ["*.odd.test"], ports: [tcp/80]}}]
"""
PLAIN, MANY, SUFFIX, OTHER = "198.51.100.35", 120, "odd.test", "(other)"
ROUND_AT = 192  # rows, three quarters of what a container has for names


@pytest.fixture(scope="module")
def many(lab):
    made = lab.container("many", resolvers=(ODD,))
    lab.daemon.start({"many.yaml": POLICY.format(path=made.path, resolver=ODD)})
    return made


def rows(lab, container) -> list[dict]:
    return [row for row in lab.daemon.get(f"/v1/counters?container={container.path}")["counters"]
            if row["verdict"] == "allow" and row["reason"] in ("learned", "inbound")]


def visit(container, numbers: range) -> None:
    """Asks for each name and fetches a page from its address: the server closes first, so that no packet is the kernel's own."""
    done = container.probe("batch", deadline_s=60, ops=[
        op for n in numbers for op in ({"op": "query", "server": ODD, "name": f"run-{n}.{SUFFIX}", "id": n},
                                       {"op": "http", "address": address(n), "port": 80})])
    assert [seen["error"] for seen in done["results"]] == [None] * 2 * len(numbers), done


def named_rows(lab, container) -> int:
    """Of all kinds: a name's questions, connections and packets each way have a row each."""
    return sum(row["domain"] not in ("", OTHER) for row in lab.daemon.get(f"/v1/counters?container={container.path}")["counters"])


def sums(found: list[dict], direction: str) -> list[int]:
    return [sum(row[what] for row in found if row["direction"] == direction) for what in ("packets", "bytes")]


def address(n: int) -> str:
    """What odd_dns.py answers for run-n."""
    return f"101.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


def cable_of(lab, container, *runs: range):
    return tally(lab, container, PLAIN, *(address(n) for numbers in runs for n in numbers))


def names(found: list[dict]) -> set[str]:
    return {row["domain"] for row in found}


def test_names_make_room_and_no_packet_is_lost(lab, many):
    cable = cable_of(lab, many, range(MANY), range(1000, 1003))
    visit(many, range(MANY))
    first = rows(lab, many)
    assert OTHER in names(first) and len(names(first)) < MANY, "not all have a row"

    until(lambda: named_rows(lab, many) < ROUND_AT, 40, "idle names made room", 0.5)
    until(lambda: sums(rows(lab, many), "egress") == cable.call(5, op="read")["egress"], 15, "all is counted", 0.5)
    visit(many, range(1000, 1003))
    wire = until(lambda: (seen := cable.call(5, op="read")) and sums(rows(lab, many), "egress") == seen["egress"] and seen, 15, "all is counted", 0.5)
    last = rows(lab, many)
    assert {f"run-{n}.{SUFFIX}" for n in range(1000, 1003)} <= names(last), names(last)
    assert sums(last, "ingress") == wire["ingress"] and wire["missed"] == 0
    cable.close()


def test_an_open_connection_goes_on_being_counted(lab, many):
    """Its socket remembers the places of rows that go while it rests: what it sends afterwards is counted all the same."""
    later = [range(first, first + MANY) for first in (2000, 3000, 4000, 5000)]
    cable = cable_of(lab, many, *later)
    before = sums(rows(lab, many), "egress")
    assert many.probe("query", server=ODD, name=f"open.{SUFFIX}")["addresses"] == [PLAIN]
    many.probe("hold", key="open", family=2, type=1)
    assert many.probe("held_connect", key="open", address=PLAIN, port=80)["error"] is None
    many.probe("held_send", key="open", payload=b"GET / HTTP/1.1\r\n".hex())  # from here on it is known, and its rows are remembered
    assert f"open.{SUFFIX}" in names(rows(lab, many))
    for numbers in later:
        visit(many, numbers)
        until(lambda: named_rows(lab, many) < ROUND_AT, 40, "idle names made room", 0.5)
        if f"open.{SUFFIX}" not in names(rows(lab, many)):
            break  # of all names it has been idle longest: its turn comes by the second time
    else:
        raise AssertionError("the idle name keeps its rows")
    folded = sums(rows(lab, many), "egress")
    many.probe("held_send", key="open", payload=b"Connection: close\r\n\r\n".hex())
    while many.probe("held_receive", key="open")["hex"]:
        pass
    many.probe("held_close", key="open")
    until(lambda: [a - b for a, b in zip(sums(rows(lab, many), "egress"), before, strict=True)] == cable.call(5, op="read")["egress"],
          20, "the container's sums are the cable's", 0.5)
    assert sums(rows(lab, many), "egress")[0] > folded[0] and f"open.{SUFFIX}" in names(rows(lab, many))
    cable.close()
