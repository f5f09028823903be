# SPDX-License-Identifier: Apache-2.0
"""Quotas as people need them: kept over the daemon's death, a container's restart and a reboot; shown, added to, reset; told of at 80
and 100 %. That they hold to the packet is in test_limits.py.
"""
import json
import re
import time
from datetime import datetime

import pytest

from cgroups import remove_empty
from limits import HEAD, ONE, PACKET, PORT, spend
from observe import events, until
from quotas import OUT, OWN, RULE, quota

SPECS = {"killed": RULE, "late": RULE, "remade": RULE, "remade-own": OWN, "rebooted": RULE, "aged": RULE, "reset": RULE,
         "added": OWN, "shown": RULE, "marks": OWN.replace("24h", "4s"), "unspent": OWN,
         "free": f"  allow: [{{name: out, {OUT}}}]\n", "audited": "  mode: audit\n" + RULE}


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in SPECS}
    lab.daemon.start({f"{name}.yaml": HEAD.format(name=name, path=made[name].path) + spec for name, spec in SPECS.items()})
    return made


def parse(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def turns(row: dict, at: float) -> bool:
    return abs(parse(row["turns"]) - at) < 5


def remake(container) -> None:
    """What a runtime does with a container that is started again: the cgroup goes, and comes back under its path."""
    container.close()
    remove_empty(container.cgroup)
    container.cgroup.mkdir()


def stored(lab) -> str:
    return path.read_text() if (path := lab.daemon.state / "quotas").exists() else ""


def stored_octets(lab, container) -> int:
    found = re.search(rf"^quota (\d+) .* {re.escape(container.path)}$", stored(lab), re.MULTILINE)
    return int(found.group(1)) if found else 0


def reboot(lab, edit=lambda text: text) -> None:
    """All that the kernel held goes; the file stays, as `edit` makes it."""
    assert lab.daemon.stop() == 0
    done = lab.daemon.detach_all()
    assert done.returncode == 0, done
    path = lab.daemon.state / "quotas"
    path.write_text(edit(path.read_text()))
    lab.daemon.start()


def as_if_written(text: str, container, ago_s: int, left_s: float, boot: str = "another-boot") -> str:
    """The file as another boot would have left it so long ago, with so much left of the container's window."""
    wall = time.time_ns() - ago_s * 10**9
    text = re.sub(r"^written \d+ \d+ \S+$", f"written {wall} 5 {boot}", text, flags=re.MULTILINE)
    return re.sub(rf"^(quota \d+ \d+ \d+ \d+) \d+ (.* {re.escape(container.path)})$", rf"\1 {int(left_s * 1e9)} \2", text,
                  flags=re.MULTILINE)


# ---- kept ----

def test_what_was_spent_is_kept_over_the_daemons_death(lab, world):
    container = world["killed"]
    assert spend(container, 6) == {"sent": 6}
    lab.daemon.kill9()
    assert spend(container, 2) == {"sent": 2}
    lab.daemon.start()
    assert quota(lab, container)["spent_bytes"] == 8 * PACKET
    assert spend(container, 5) == {"sent": 2, "EPERM": 3}
    assert quota(lab, container)["is_spent"]


@pytest.mark.parametrize("name", ["remade", "remade-own"])
def test_a_container_made_again_goes_on_where_it_was(lab, world, name):
    container = world[name]
    assert spend(container, 6) == {"sent": 6}
    before = parse(quota(lab, container)["turns"])
    remake(container)  # at once: before the next second's file
    until(lambda: lab.daemon.get(f"/v1/quotas?container={container.path}")["quotas"], 5, "the new one is known")
    now = quota(lab, container)
    assert now["spent_bytes"] == 6 * PACKET and turns(now, before), now
    assert spend(container, 6) == {"sent": 4, "EPERM": 2}
    remake(container)
    until(lambda: lab.daemon.get("/v1/status")["dying"] == 0, 10, "the slots of those before are free")
    assert spend(container, 3) == {"EPERM": 3}


def test_what_is_sent_before_the_past_is_known_is_counted_with_it(lab, world):
    """Made again while no daemon runs: it has its policy from its birth, what it had spent from the next daemon's start. Once."""
    container = world["late"]
    assert spend(container, 6) == {"sent": 6}
    before = parse(quota(lab, container)["turns"])
    assert lab.daemon.stop() == 0
    remake(container)
    time.sleep(2)  # so that its own window would turn later
    assert spend(container, 3) == {"sent": 3}
    for _ in range(2):
        lab.daemon.start()
        now = quota(lab, container)
        assert now["spent_bytes"] == 9 * PACKET and abs(parse(now["turns"]) - before) < 1, now
        lab.daemon.kill9()
    lab.daemon.start()
    assert "was sending before" in lab.daemon.log_tail(100_000) and spend(container, 5) == {"sent": 1, "EPERM": 4}


def test_what_was_spent_outlives_a_reboot(lab, world):
    """A fresh bpffs; the file of before. The same boot by its id, so its clock counts, and then by another's, so the wall's does."""
    container = world["rebooted"]
    assert spend(container, 3) == {"sent": 3}
    until(lambda: stored_octets(lab, container) == 3 * PACKET, 3, "stored within a second")
    before = parse(quota(lab, container)["turns"])
    reboot(lab)
    now = quota(lab, container)
    assert now["spent_bytes"] == 3 * PACKET and turns(now, before), now
    assert spend(container, 3) == {"sent": 3}
    reboot(lab, lambda text: as_if_written(text, container, ago_s=3600, left_s=7200))
    now = quota(lab, container)
    assert now["spent_bytes"] == 6 * PACKET, "the last octets were stored when the daemon was stopped"
    assert turns(now, time.time() + 3600), now
    assert spend(container, 6) == {"sent": 4, "EPERM": 2}
    reboot(lab, lambda text: as_if_written(text, container, ago_s=-86400 * 365, left_s=7200))  # the clock was set back a year
    assert (now := quota(lab, container))["is_spent"] and turns(now, time.time() + 7200), now
    reboot(lab, lambda text: as_if_written(text, container, ago_s=7201, left_s=7200))
    assert quota(lab, container)["spent_bytes"] == 0, "its window has turned in between"
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}


def test_a_window_that_began_before_the_boot_turns_when_it_would_have(lab, world):
    container = world["aged"]
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}
    reboot(lab, lambda text: as_if_written(text, container, ago_s=0, left_s=6))
    assert spend(container, 1) == {"EPERM": 1}
    until(lambda: quota(lab, container)["spent_bytes"] == 0, 10, "it turns")
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}


def test_the_file_rests_while_nothing_is_spent(lab, world):
    assert spend(world["audited"], 1) == {"sent": 1}
    until(lambda: stored_octets(lab, world["audited"]) == PACKET, 5, "this, and so all that was spent before, is stored")
    before = (lab.daemon.state / "quotas").stat()
    begun = lab.daemon.get("/v1/status")["uptime_s"]
    until(lambda: lab.daemon.get("/v1/status")["uptime_s"] >= begun + 3, 10, "two rounds of the daemon's second", 0.2)
    after = (lab.daemon.state / "quotas").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


# ---- shown and changed ----

def test_a_spent_quota_is_shown(lab, world):
    container = world["shown"]
    asked = ("explain", "-c", container.path, "--ip", ONE, "--port", f"udp/{PORT}")
    assert quota(lab, container) | {"cgroup_id": ""} == {
        "container": container.path, "cgroup_id": "", "policy": "shown", "rule": "out", "direction": "egress", "window_s": 86400,
        "quota_bytes": 10 * PACKET, "granted_bytes": 0, "spent_bytes": 0, "left_bytes": 10 * PACKET, "per_cent": 0, "is_spent": False,
        "turns": None}
    assert lab.daemon.cli(*asked).returncode == 0
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}
    now = quota(lab, container)
    assert (now["per_cent"], now["left_bytes"], now["is_spent"]) == (100, 0, True), now
    assert turns(now, time.time() + 86400), now
    day = now["turns"][:10]
    row = next(line for line in lab.daemon.cli("ps").stdout.splitlines() if line.startswith(container.path + " "))
    assert "spent (shown/out), turns " + day in row, row
    told = lab.daemon.cli(*asked)
    assert told.returncode == 1 and "deny (quota)" in told.stdout and "turns at " + day in told.stdout, told
    answer = json.loads(lab.daemon.cli(*asked, "-o", "json").stdout)
    assert (answer["verdict"], answer["flows"][0]["reason"], answer["flows"][0]["rule"]) == ("deny", "quota", "out")
    table = lab.daemon.cli("quota", "--container", container.path).stdout
    assert "shown/out" in table and day in table, table
    assert container.path in {row["container"] for row in json.loads(lab.daemon.cli("quota", "-o", "json").stdout)["quotas"]}
    page = lab.daemon.request("GET", "/metrics")[1].decode()
    labels = f'{{container="{container.path}",policy="shown",rule="out"}}'
    assert f"penstock_quota_bytes{labels} {10 * PACKET}\n" in page
    assert f"penstock_quota_spent_bytes{labels} {10 * PACKET}\n" in page
    told_at = re.search(re.escape(f"penstock_quota_turns_timestamp_seconds{labels}") + r" ([\d.]+)\n", page)
    assert abs(float(told_at.group(1)) - parse(now["turns"])) < 1


def test_in_audit_mode_explain_says_would_deny(lab, world):
    container = world["audited"]
    assert spend(container, 11) == {"sent": 11}
    answer = json.loads(lab.daemon.cli("explain", "-c", container.path, "--ip", ONE, "--port", f"udp/{PORT}", "-o", "json").stdout)
    assert (answer["verdict"], answer["flows"][0]["reason"]) == ("would-deny", "quota")


def test_reset_gives_the_quota_back_and_keeps_its_window(lab, world):
    container = world["reset"]
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}
    before = parse(quota(lab, container)["turns"])
    done = lab.daemon.cli("quota", "reset", "--container", container.path, "--rule", "reset/out")
    assert done.returncode == 0 and "reset/out" in done.stdout, done
    now = quota(lab, container)
    assert now["spent_bytes"] == 0 and turns(now, before), now
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}


def test_add_is_for_the_present_window(lab, world):
    container = world["added"]
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}
    done = lab.daemon.cli("quota", "add", "--container", container.path, f"{5 * PACKET}B")
    assert done.returncode == 0, done
    now = quota(lab, container)
    assert (now["quota_bytes"], now["granted_bytes"], now["left_bytes"]) == (10 * PACKET, 5 * PACKET, 5 * PACKET)
    assert spend(container, 7) == {"sent": 5, "EPERM": 2}
    until(lambda: stored_octets(lab, container) == 15 * PACKET, 3, "stored")
    reboot(lab)
    now = quota(lab, container)
    assert (now["granted_bytes"], now["left_bytes"]) == (5 * PACKET, 0), "the grant is kept, too"


@pytest.mark.parametrize("words, code, text", [
    (("add", "-c", "unspent", "1MiB"), 1, "nothing is spent yet"),
    (("reset", "-c", "free"), 1, "has no quota"),
    (("reset", "-c", "unspent", "-r", "unspent/out"), 1, "has no quota"),
    (("reset", "-c", "unspent", "-r", "out"), 2, "POLICY/RULE"),
    (("reset", "-c", "nobody"), 1, "no container"),
    (("add", "-c", "unspent", "12"), 2, "SIZE"),
])
def test_a_change_that_can_not_be_is_refused(lab, world, words, code, text):
    done = lab.daemon.cli("quota", *words)
    assert (done.returncode, text in done.stderr) == (code, True), done


@pytest.mark.parametrize("method, target, status", [
    ("GET", "/v1/quotas?container=nobody", 404), ("GET", "/v1/quotas?rule=a", 400), ("POST", "/v1/quotas", 405),
    ("GET", "/v1/quotas/reset", 405), ("POST", "/v1/quotas/reset", 400), ("POST", "/v1/quotas/add?container=unspent", 400),
    ("POST", "/v1/quotas/add?container=unspent&bytes=0", 400), ("POST", "/v1/quotas/add?container=unspent&bytes=-1", 400),
    ("POST", "/v1/quotas/add?container=unspent&bytes=281474976710656", 400), ("POST", "/v1/quotas/reset?container=free", 404),
    ("POST", "/v1/quotas/add?container=unspent&bytes=1", 409), ("POST", "/v1/quotas/reset?container=unspent", 200)])
def test_the_api_refuses_as_it_says(lab, world, method, target, status):
    got, body = lab.daemon.request(method, target)
    assert got == status, body
    assert status == 200 or set(json.loads(body)) == {"error", "diagnostics"}


# ---- told ----

def test_each_mark_is_told_once_a_window(lab, world):
    container = world["marks"]

    def told() -> list[int]:
        return [event["length"] for event in events(lab.daemon, container.path, kind="quota")]
    for window in (1, 2):
        assert spend(container, 7) == {"sent": 7}
        assert told() == [80, 100] * (window - 1)
        assert spend(container, 3) == {"sent": 3}
        until(lambda: len(told()) == 2 * window - 1, 3, "80 %")
        assert spend(container, 5) == {"EPERM": 5}
        until(lambda: len(told()) == 2 * window, 3, "100 %")
        assert spend(container, 5) == {"EPERM": 5}
        until(lambda: quota(lab, container)["spent_bytes"] == 0, 6, "the window turns")
    assert told() == [80, 100] * 2
