# SPDX-License-Identifier: Apache-2.0
"""The daemon's own life: one a set of pins, enforcement not taken off under it unseen, bad settings refused, a log that nobody
reads, and clients that hold places."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from daemon import HERE
from observe import until

POLICY = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {path}}}]
  allow: [{{name: good, domains: [good.test], ports: [tcp/80]}}]
"""
DENIED = {"address": "198.51.100.32", "port": 80}


@pytest.fixture(scope="module")
def held(lab):
    container = lab.container("held")
    lab.daemon.start({"held.yaml": POLICY.format(name="held", path=container.path)})
    return container


def elsewhere(lab, name: str) -> list[str]:
    """Every directory another than the lab's daemon has, but the same pins."""
    other = lab.directory / name
    other.mkdir(exist_ok=True)
    return ["--gate-root", str(lab.gate), "--policies", str(lab.daemon.policies), "--state-dir", str(other / "state"), "--run-dir",
            str(other / "run"), "--bpffs", str(lab.daemon.bpffs / "penstock")]


def run(lab, *words: str, timeout: float = 30) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.daemon.cgroup), "-", "-",
                           lab.daemon.program("penstockd"), *words], capture_output=True, text=True, timeout=timeout)


def test_a_second_daemon_on_the_same_pins_is_refused(lab, held):
    done = run(lab, *elsewhere(lab, "second"))
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1 and "another penstockd holds the pins" in done.stderr, done.stderr
    assert held.probe("connect", **DENIED)["error"] == "EPERM"
    assert lab.daemon.request("GET", "/readyz")[0] == 200


def test_enforcement_is_not_taken_off_under_a_daemon(lab, held):
    for done in (run(lab, *elsewhere(lab, "third"), "--detach-all"),
                 lab.daemon.cli("unload", "--bpffs", str(lab.daemon.bpffs / "penstock"), "--penstockd",
                                lab.daemon.program("penstockd"))):
        assert done.returncode == 1, done
        assert "stop it first" in done.stderr, done.stderr
        assert held.probe("connect", **DENIED)["error"] == "EPERM"
    assert lab.daemon.request("GET", "/readyz")[0] == 200


def test_other_pins_are_another_matter(lab, held):
    """What is asked of pins that no daemon uses is not refused for the daemon that lives on others."""
    other = lab.daemon.bpffs / "other"
    kept = ["--state-dir", str(lab.daemon.state), "--bpffs"]
    done = run(lab, *kept, str(other), "--detach-all")
    assert done.returncode == 0 and done.stdout == "nothing was enforced\n", done
    (other / "links").mkdir(parents=True)
    done = run(lab, *kept, str(other), "--detach-all")
    assert done.returncode == 0 and not other.exists(), done
    done = run(lab, *kept, str(lab.directory), "--detach-all")
    assert done.returncode == 1 and "is not on a mounted bpf file system" in done.stderr, done
    assert "stop it first" not in done.stderr, done
    assert held.probe("connect", **DENIED)["error"] == "EPERM"


@pytest.mark.parametrize("what", ["/nonexistent/penstock.yaml", "/tmp", "/dev/zero"])
def test_a_settings_file_that_was_named_must_be_one(lab, what):
    done = run(lab, "--config", what, "--check-config", timeout=10)
    assert done.returncode == 2 and what in done.stderr and done.stderr.count("\n") == 1, done


def test_a_strict_root_outside_the_gate_root_is_refused(lab):
    for words in (["--check-config"], []):
        done = run(lab, *elsewhere(lab, "strict"), "--strict-root", "/nowhere/at/all", *words)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done
        assert "/nowhere/at/all is outside the gate root" in done.stderr, done
    lab.daemon.stop()
    late = lab.path("late")
    lab.daemon.start(None, "--strict-root", late)
    warnings = lab.daemon.get("/v1/status")["warnings"]
    assert any(f"{late} does not exist" in warning for warning in warnings), warnings
    inside = lab.container("inside", "late")
    assert inside.probe("connect", **DENIED)["error"] == "EPERM", "taken up when it was made"
    until(lambda: not any(late in warning for warning in lab.daemon.get("/v1/status")["warnings"]), 10, "the warning is gone")


def test_what_is_in_force_after_an_apply_is_logged_whole(lab, held):
    status, body = lab.daemon.request("POST", "/v1/policies", POLICY.format(name="applied", path=lab.path("none")).encode())
    assert status == 200, body
    assert "policies in force policies=2 " in lab.daemon.log_tail(), lab.daemon.log_tail()


def test_clients_of_the_metrics_do_not_lock_root_out(lab, held):
    lab.daemon.stop()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lab.daemon.start(None, "--metrics-address", f"127.0.0.1:{port}")
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
    try:
        done = lab.daemon.cli("status")
        assert done.returncode == 0, done
        idle[-1].settimeout(10)
        answer = idle[-1].recv(100)
        assert b" 503 " in answer, answer
    finally:
        for client in idle:
            client.close()

    def scraped() -> bool:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in client.recv(100)
    until(scraped, 10, "metrics are served again")


def test_a_log_that_nobody_reads_does_not_end_the_daemon(lab, held):
    lab.daemon.stop()
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.daemon.cgroup), "-", "-",
                                lab.daemon.program("penstockd"), *lab.daemon.flags()], stdout=writer, stderr=writer)
    os.close(writer)
    lab.daemon.process = process
    lab.daemon.wait_ready(30)
    os.close(reader)
    for _ in range(3):
        lab.daemon.reload()
    assert process.poll() is None
    assert lab.daemon.stop() == 0, "a clean end, not a signal's"


def test_pins_that_somebody_removed_are_noticed(lab, held):
    lab.daemon.start()
    (lab.daemon.bpffs / "penstock" / "links" / "ps_connect4").unlink()
    status, body = until(lambda: (lambda got: got if got[0] == 503 else None)(lab.daemon.request("GET", "/readyz")), 10, "readyz 503")
    assert b"ps_connect4" in body and b"enforcement was taken off" in body, body
    now = lab.daemon.get("/v1/status")
    assert now["state"] == "unenforced" and any("ps_connect4" in warning for warning in now["warnings"]), now
    lab.daemon.stop()
    lab.daemon.start()
    assert lab.daemon.request("GET", "/readyz")[0] == 200, "a restart mends it"
    assert held.probe("connect", **DENIED)["error"] == "EPERM"


def test_pins_that_another_daemon_made_anew_are_not_ours(lab, held):
    pins = lab.daemon.bpffs / "penstock"
    shutil.rmtree(pins)
    second = subprocess.Popen([sys.executable, "-I", "-S", str(HERE / "enter.py"), str(lab.daemon.cgroup), "-", "-",
                               lab.daemon.program("penstockd"), *elsewhere(lab, "successor")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: (pins / "links" / "ps_connect4").exists() and (lab.directory / "successor/run/api.sock").exists(), 30,
              "the second has pinned its own")
        until(lambda: lab.daemon.request("GET", "/readyz")[0] == 503, 10, "the first sees that they are not its own")
        assert lab.daemon.get("/v1/status")["state"] == "unenforced"
        for _ in range(3):  # a look at the pins every 2 s: it does not change its mind
            time.sleep(1)
            assert lab.daemon.request("GET", "/readyz")[0] == 503
    finally:
        second.terminate()
        assert second.wait(20) == 0
    lab.daemon.stop()
    lab.daemon.start()
    assert held.probe("connect", **DENIED)["error"] == "EPERM"


def test_unload_takes_everything_off(lab, held):
    lab.daemon.stop()
    pins = lab.daemon.bpffs / "penstock"
    assert held.probe("connect", **DENIED)["error"] == "EPERM"
    done = lab.daemon.cli("unload", "--bpffs", str(pins), "--penstockd", lab.daemon.program("penstockd"))
    assert done.returncode == 0 and "enforcement is off" in done.stdout, done
    assert not pins.exists()
    assert held.probe("connect", **DENIED)["error"] != "EPERM", "nothing is enforced any more"
    lab.daemon.start()
    assert held.probe("connect", **DENIED)["error"] == "EPERM", "and it comes back"
