# SPDX-License-Identifier: Apache-2.0
"""Quotas where there are many, where their file is damaged or can't be written, and where a policy changes their window."""
import pytest

from limits import HEAD, ONE, PACKET, PORT, spend
from observe import Counters, until
from quotas import OWN, TEN, quota

RULES = 1000
MANY = "  allow:\n" + "".join(f"    - {{name: r{n}, cidrs: [{ONE}], ports: [udp/{PORT + n}], limits: {{quota: {TEN}/24h}}}}\n" for n in range(RULES))
SPECS = {"many": MANY, "damaged": OWN, "resized": OWN, "unstored": OWN}


@pytest.fixture(scope="module")
def world(lab):
    made = {name: lab.container(name) for name in SPECS}
    lab.daemon.start({f"{name}.yaml": HEAD.format(name=name, path=made[name].path) + spec for name, spec in SPECS.items()})
    return made


def test_lists_have_quotas_that_have_begun_and_of_one_container_all(lab, world):
    """So a list, /metrics and what else looks at all of them costs what is spent, not containers times rules."""
    container = world["many"]
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}
    of_one = lab.daemon.get(f"/v1/quotas?container={container.path}")["quotas"]
    assert len(of_one) == RULES and sum(row["spent_bytes"] > 0 for row in of_one) == 1
    rows = [row for row in lab.daemon.get("/v1/quotas")["quotas"] if row["container"] == container.path]
    assert [(row["rule"], row["is_spent"]) for row in rows] == [("r0", True)]
    page = lab.daemon.request("GET", "/metrics")[1].decode()
    assert page.count(f'\npenstock_quota_bytes{{container="{container.path}"') == 1 and "\npenstock_quotas_left_out 0\n" in page
    for answer in (lab.daemon.get(f"/v1/containers/{container.name}"),
                   next(row for row in lab.daemon.get("/v1/containers")["containers"] if row["cgroup"] == container.path)):
        assert [(row["policy"], row["rule"]) for row in answer["spent_quotas"]] == [("many", "r0")]


@pytest.mark.parametrize("name, words", [("quotas", "the file is cut short"), ("totals", "not a file of totals")])
def test_a_damaged_file_is_set_aside_and_all_is_enforced(lab, world, name, words):
    """As after a reboot: the kernel has nothing, so nothing would be enforced if the daemon did not start."""
    container, path = world["damaged"], lab.daemon.state / name
    assert lab.daemon.stop() == 0
    assert lab.daemon.detach_all().returncode == 0
    path.write_text("penstock quotas 1\nwritten 1 2 a\n")
    lab.daemon.start()
    aside = path.with_name(name + ".damaged")
    assert aside.read_text() == "penstock quotas 1\nwritten 1 2 a\n"
    warning = [text for text in lab.daemon.get("/v1/status")["warnings"] if str(aside) in text]
    assert len(warning) == 1 and words in warning[0], warning
    assert spend(container, 11) == {"sent": 10, "EPERM": 1}, "it is enforced"
    denied = Counters(lab.daemon, container.path)
    assert denied.of(verdict="deny", reason="quota") >= 1, denied.rows
    aside.unlink()
    assert lab.daemon.cli("quota", "reset", "-c", container.path).returncode == 0


def test_a_file_that_can_not_be_written_is_a_warning_until_it_can(lab, world):
    path, container = lab.daemon.state / "quotas", world["unstored"]

    def warned() -> list[str]:
        return [text for text in lab.daemon.get("/v1/status")["warnings"] if "can't be stored" in text]
    assert spend(container, 1) == {"sent": 1}
    until(path.is_file, 5, "stored")
    assert not warned()
    path.unlink()
    path.mkdir()  # which no rename replaces
    try:
        assert spend(container, 1) == {"sent": 1}
        assert str(path) in until(warned, 5, "a warning")[0]
    finally:
        path.rmdir()
    until(lambda: not warned() and path.is_file(), 5, "stored again")


def test_add_waits_for_the_window_that_a_policy_has_given_another_length(lab, world):
    """What is spent counts on in it: it is not whole, and nobody says so."""
    container, path = world["resized"], lab.daemon.policies / "resized.yaml"
    assert spend(container, 6) == {"sent": 6}
    path.write_text(path.read_text().replace("/24h", "/12h"))
    assert lab.daemon.cli("reload").returncode == 0
    now = quota(lab, container)
    assert (now["window_s"], now["spent_bytes"], now["turns"]) == (43200, 6 * PACKET, None), now
    add = ("quota", "add", "-c", container.path, f"{PACKET}B")
    done = lab.daemon.cli(*add)
    assert done.returncode == 1 and "another length" in done.stderr and "whole" not in done.stderr, done
    assert spend(container, 1) == {"sent": 1}
    assert lab.daemon.cli(*add).returncode == 0
    assert spend(container, 6) == {"sent": 4, "EPERM": 2}
