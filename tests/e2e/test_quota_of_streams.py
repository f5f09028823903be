# SPDX-License-Identifier: Apache-2.0
"""TCP under a quota, out and in, of the rule and of the container: what the cable saw, what was counted and why, and what the application
saw. The kernel hands TCP over in buffers of many packets; one that does not fit is refused whole, and TCP comes again with single segments.
"""
import pytest

from cable_counts import CableCounts
from client_places import report
from internet import WEB
from limits import HEAD
from load import tally
from observe import Counters, until
from quotas import quota

SINK, SINK_PORT, WEB_PORT = "198.51.100.60", 9009, 80
PACKET = 1500  # IP octets of a full one
ROOM = 128 << 10  # of the sender's socket (the kernel doubles it): more than the cable's queue of 1,000 packets is never on its way
OUT, IN = 10 << 20, 1 << 20
DOWNLOAD = IN + (IN >> 1)  # a quota and of the next what leaves room for headers and for what TCP sends twice: that is charged, too
DRAIN_S = 60  # for the last segments, one by one: up to 44 of them, each by TCP's timer
OF_SINK, OF_WEB = f"name: out, cidrs: [{SINK}], ports: [tcp/{SINK_PORT}]", f"name: out, cidrs: [{WEB}], ports: [tcp/{WEB_PORT}]"
OUTWARD, INWARD = f"limits: {{quota: {OUT}B/24h egress}}", f"limits: {{quota: {IN}B/24h ingress}}"
SPECS = {"rule": f"  allow: [{{{OF_SINK}, {OUTWARD}}}]\n", "container": f"  allow: [{{{OF_SINK}}}]\n  {OUTWARD}\n",
         "rule-in": f"  allow: [{{{OF_WEB}, {INWARD}}}]\n", "container-in": f"  allow: [{{{OF_WEB}}}]\n  {INWARD}\n"}
RULE_ONLY = ("rule", "rule-in")
ESTABLISHED = 1
LINES: list[str] = []


class World:
    def __init__(self, lab):
        self.lab = lab
        self.containers = {name: lab.container(name) for name in SPECS}
        self.witnesses = {name: tally(lab, made, WEB) for name, made in self.containers.items() if name.endswith("-in")}
        self.cable = CableCounts(lab, list(self.containers.values()), {"stream": f"ip daddr {SINK} tcp dport {SINK_PORT}"})
        lab.internet.start_sink(SINK_PORT)
        lab.daemon.start({f"{name}.yaml": HEAD.format(name=name, path=made.path) + SPECS[name] for name, made in self.containers.items()})

    def left(self, name: str) -> int:
        """IP octets that came out of the cable."""
        return self.cable.read()[name]["stream"][1]

    def came(self, name: str) -> int:
        """IP octets that went into it."""
        seen = self.witnesses[name].call(10, op="read")
        assert seen["missed"] == 0, "the witness did not keep up"
        return seen["ingress"][1]

    def counted(self, name: str, direction: str, verdict: str) -> int:
        rows = Counters(self.lab.daemon, self.containers[name].path).rows
        return sum(row["bytes"] for row in rows if (row["direction"], row["verdict"]) == (direction, verdict))

    def reset(self, name: str) -> None:
        """By the command line where the rule has the quota, by the API where the container has."""
        path = self.containers[name].path
        if name in RULE_ONLY:
            done = self.lab.daemon.cli("quota", "reset", "--container", path, "--rule", f"{name}/out")
            assert done.returncode == 0, done
        else:
            status, body = self.lab.daemon.request("POST", f"/v1/quotas/reset?container={path}", b"")
            assert status == 200, body


@pytest.fixture(scope="module")
def world(lab):
    made = World(lab)
    yield made
    report("quota_of_streams", LINES)


def feed(container, seconds: float = 0.3) -> int:
    """Octets acknowledged meanwhile. An error of a send would be told here."""
    fed = container.probe("feed_streams", seconds=seconds)
    assert fed["error"] is None, fed
    return sum(fed["octets"])


def spend_all(world: World, name: str, before: int = 0) -> int:
    """Feeds the stream until less than a packet's room is left of its quota: IP octets that left by the cable, those before included."""
    container = world.containers[name]

    def is_spent() -> bool:
        feed(container)
        return world.left(name) - before > OUT - PACKET
    try:
        until(is_spent, DRAIN_S, "the quota is spent to its last packet")
    except AssertionError as failure:
        sockets = container.netns.run("ss", "-tino")
        raise AssertionError(f"{OUT + before - world.left(name)} octets of the quota of {name} are left, the cable lost "
                             f"{world.cable.dropped()} packets: {sockets}") from failure
    return world.left(name)


@pytest.mark.parametrize("name", ["rule", "container"])
@pytest.mark.covers(hook="egress", rule="quota", family="v4", protocol="tcp")
def test_a_stream_sends_its_quota_and_not_a_packet_more(lab, world, watch, name):
    """Red when an octet more leaves, when more than a packet's room stays unused, when a refused buffer is charged, when the application
    is told an error, or when the stream does not go on once there is a quota again."""
    container = world.containers[name]
    with watch(container) as seen:
        opened = container.probe("open_streams", address=SINK, port=SINK_PORT, flows=1, congestion="cubic", room=ROOM)
        assert opened["error"] is None, opened
        left = spend_all(world, name)
        assert feed(container, 1) == 0 and world.left(name) == left <= OUT, left
        assert container.probe("state_of_streams") == {"error": None, "takes": 0, "errors": [0], "states": [ESTABLISHED]}
        assert world.counted(name, "egress", "allow") == quota(lab, container)["spent_bytes"] == left
        refused = seen.grown(direction="egress", verdict="deny", reason="quota")
        assert refused == seen.grown(verdict="deny") > 0
        told = seen.reported(kind="denied", reason="quota", hook="egress", remote=SINK, remote_port=SINK_PORT)
        assert told["protocol"] == "tcp", told
    LINES.append(f"out, of the {name}: {OUT - left} octets of {OUT} unused, {refused} refusals")
    world.reset(name)
    assert spend_all(world, name, left) - left <= OUT, "the stream goes on, and that quota holds, too"
    assert container.probe("state_of_streams")["states"] == [ESTABLISHED]
    container.probe("close_streams")
    assert world.cable.dropped() == 0, "the cable lost some: nothing can be compared"


@pytest.mark.parametrize("name", ["rule-in", "container-in"])
@pytest.mark.covers(hook="ingress", rule="quota", family="v4", protocol="tcp")
def test_a_download_is_let_in_up_to_its_quota(lab, world, watch, name):
    """Red when an octet more comes in, when more than a packet's room stays unused, when what is dropped is charged or told by another
    reason, when the application sees an error, or when the download does not end whole once there is a quota again."""
    container = world.containers[name]

    def came() -> dict:
        status = container.probe("stream_status", key="download")
        assert status["error"] is None, (status, quota(lab, container))
        return status
    with watch(container) as seen:
        assert container.probe("stream_open", key="download", address=WEB, port=WEB_PORT, path=f"/bytes/{DOWNLOAD}")["error"] is None
        until(lambda: came() and world.counted(name, "ingress", "allow") > IN - PACKET, DRAIN_S, "the quota is spent to its last packet")
        until(lambda: quota(lab, container)["spent_bytes"] == world.counted(name, "ingress", "allow"), 5, "what is let in is charged")
        let_in, now = world.counted(name, "ingress", "allow"), Counters(lab.daemon, container.path)  # its sender comes again and again
        dropped = now.of(direction="ingress", verdict="deny", reason="quota")
        assert let_in <= IN and dropped == now.of(verdict="deny") <= seen.grown(direction="ingress", verdict="deny", reason="quota")
        told = seen.reported(kind="denied", reason="quota", hook="ingress", direction="ingress", remote=WEB, remote_port=WEB_PORT)
        assert told["protocol"] == "tcp", told
        assert dropped and came()["octets"] < IN
    LINES.append(f"in, of the {name}: {IN - let_in} octets of {IN} unused, {dropped} dropped")
    world.reset(name)
    until(lambda: came()["octets"] > DOWNLOAD, DRAIN_S, "the download goes on to its end")
    until(lambda: world.counted(name, "ingress", "allow") + world.counted(name, "ingress", "deny") == world.came(name), 5,
          "each octet that came was let in or dropped")
    container.probe("stream_close", key="download")
