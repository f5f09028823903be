# SPDX-License-Identifier: Apache-2.0
"""What many clients and large texts may not do: hold up a change of policy or the daemon's end, keep root out, keep memory."""
import json
import subprocess
import sys
import time
from contextlib import contextmanager

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
# Threads that ask the same again and again until told to end; then says how often each status came, and the longest wait.
CLIENTS = """
import json, os, sys, threading, time
here, path, uid, threads, method, target, body = sys.argv[1:]
sys.path.insert(0, here)
from daemon import UnixConnection
body = open(body, "rb").read() if body else None
os.setresuid(int(uid), int(uid), int(uid))
seen, longest, ended = {}, [0.0], threading.Event()
def ask():
    while not ended.is_set():
        began = time.monotonic()
        try:
            c = UnixConnection(path, 120)
            c.request(method, target, body)
            answer = c.getresponse(); answer.read(); c.close()
            seen[answer.status] = seen.get(answer.status, 0) + 1
        except OSError as error:
            seen[type(error).__name__] = seen.get(type(error).__name__, 0) + 1
        longest[0] = max(longest[0], time.monotonic() - began)
        if threads == "1": break
all = [threading.Thread(target=ask) for _ in range(int(threads))]
for one in all: one.start()
if threads != "1": sys.stdin.read()
ended.set()
for one in all: one.join()
print(json.dumps({"seen": seen, "longest": longest[0]}))
"""


class Clients:
    """One thread asks once; more ask until `end`."""

    def __init__(self, lab, method: str, target: str, body="", threads: int = 1, uid: int = 0):
        words = [str(HERE), str(lab.daemon.socket), str(uid), str(threads), method, target, str(body)]
        self.process = subprocess.Popen([sys.executable, "-c", CLIENTS, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def busy(self) -> bool:
        return self.process.poll() is None

    def end(self) -> dict:
        return json.loads(self.process.communicate(timeout=120)[0])


@contextmanager
def clients(*words, **more):
    made = Clients(*words, **more)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def many_names(lab, count: int):
    file = lab.directory / f"names{count}.yaml"
    file.write_text(POLICY.format(name="large", path="/none").replace(
        "[good.test]", "[" + ", ".join(f"n{n}.example.test" for n in range(count)) + "]"))
    return file


def many_policies(lab, count: int):
    file = lab.directory / f"policies{count}.yaml"
    file.write_text("---\n".join(POLICY.format(name=f"p{n}", path=f"/none{n}/*/x*") for n in range(count)))
    return file


@contextmanager
def many_cgroups(lab, count: int):
    folders = [lab.gate / f"many{n}" for n in range(count)]
    for folder in folders:
        folder.mkdir()
    try:
        yield
    finally:
        for folder in folders:
            folder.rmdir()


def slowest(lab, method: str, path: str, while_true, rounds: int = 10_000) -> tuple[float, int]:
    """The longest a request took, of how many."""
    longest, done = 0.0, 0
    while while_true() and done < rounds:
        began = time.monotonic()
        assert lab.daemon.request(method, path, b"" if method == "POST" else None, timeout=60)[0] == 200
        longest, done = max(longest, time.monotonic() - began), done + 1
    return longest, done


@pytest.fixture(scope="module")
def started(lab):
    lab.daemon.start({"busy.yaml": POLICY.format(name="busy", path=lab.path("busy"))})
    return lab


def test_a_large_check_does_not_hold_up_a_change(started):
    """A text that takes seconds to judge; a reload meanwhile does not wait for it."""
    with clients(started, "POST", "/v1/policies/check", many_names(started, 200_000)) as check:
        longest, rounds = slowest(started, "POST", "/v1/reload", check.busy)
        took = check.end()
    assert took["seen"] == {"200": 1}, took
    assert rounds > 3 and longest < took["longest"] / 2, (longest, rounds, took)


def test_a_diff_of_many_policies_does_not_hold_up_anybody(started):
    with many_cgroups(started, 600), clients(started, "POST", "/v1/policies/diff", many_policies(started, 1000)) as diff:
        longest, rounds = slowest(started, "GET", "/healthz", diff.busy)
        took = diff.end()
    print(f"diff {took}, slowest of {rounds} others {longest:.3f} s")
    assert took["seen"] == {"200": 1}, took
    assert rounds > 3 and longest < took["longest"] / 3, (longest, rounds, took)


@pytest.mark.parametrize("what", ["check", "diff"])
def test_a_text_of_more_policies_than_are_judged_is_refused(started, what):
    status, body = started.daemon.request("POST", f"/v1/policies/{what}", many_policies(started, 1025).read_bytes())
    assert status == 413 and b"1025 policies: at most 1024" in body, (status, body[:300])


def test_readers_do_not_hold_up_a_change(started):
    """Many clients that ask for what is read from the kernel's maps; a reload takes about as long as without them."""
    alone = slowest(started, "POST", "/v1/reload", lambda: True, rounds=20)[0]
    with clients(started, "GET", "/v1/learned", threads=30) as one, clients(started, "GET", "/metrics", threads=20) as other:
        until(lambda: started.daemon.request("GET", "/healthz")[0] == 200, 10, "answers")
        beside = slowest(started, "POST", "/v1/reload", lambda: True, rounds=20)[0]
        asked = [one.end(), other.end()]
    print(f"a reload takes {alone:.3f} s alone, {beside:.3f} s beside readers {asked}")
    assert all(set(seen["seen"]) == {"200"} and seen["seen"]["200"] > 50 for seen in asked), asked
    assert beside < max(10 * alone, 1.0), (alone, beside)


def test_readers_do_not_keep_root_from_a_check(started):
    started.daemon.socket.chmod(0o666)
    text = many_names(started, 40_000)
    assert text.stat().st_size < 1 << 20
    for folder in (started.directory, started.daemon.run):
        folder.chmod(0o755)
    text.chmod(0o644)
    with clients(started, "POST", "/v1/policies/check", text, threads=8, uid=65534) as readers:
        until(lambda: started.daemon.request("GET", "/healthz")[0] == 200, 10, "answers")
        time.sleep(1)  # they hold all places of theirs by now; if not, nothing below can fail
        for _ in range(3):
            status, body = started.daemon.request("POST", "/v1/policies/check", POLICY.format(name="mine", path="/x").encode(), timeout=60)
            assert status == 200, body
        seen = readers.end()["seen"]
    assert seen.get("503", 0) > 0 and seen.get("200", 0) > 0, seen


def memory(lab) -> int:
    """Octets."""
    with open(f"/proc/{lab.daemon.process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def test_what_a_check_took_is_given_back(started):
    text = many_names(started, 200_000)
    before = most = memory(started)
    with clients(started, "POST", "/v1/policies/check", text) as check:
        while check.busy():
            most = max(most, memory(started))
            time.sleep(0.01)
        assert check.end()["seen"] == {"200": 1}
    took = most - before
    assert took > 5 * text.stat().st_size, took
    until(lambda: memory(started) - before < took / 2, 10, f"half of {took} octets given back")


def test_the_end_in_the_middle_of_checks_is_clean(started):
    """One is judged, others wait for their turn: what they hold is let go without a fault (a sanitizer's build would say)."""
    text = many_names(started, 40_000)
    before = memory(started)
    with clients(started, "POST", "/v1/policies/check", text), clients(started, "POST", "/v1/policies/check", text):
        until(lambda: memory(started) - before > 8 * text.stat().st_size, 20, "one is being judged")
        assert started.daemon.stop() == 0, started.daemon.log_tail()
    started.daemon.start()


def test_the_end_does_not_wait_for_a_long_check(started):
    text = many_names(started, 800_000)
    before = memory(started)
    with clients(started, "POST", "/v1/policies/check", text) as check:
        until(lambda: memory(started) - before > 4 * text.stat().st_size, 60, "it is being judged")
        began = time.monotonic()
        assert started.daemon.stop() == 0, started.daemon.log_tail()
        took = time.monotonic() - began
        check.end()
    print(f"the end took {took:.1f} s")
    assert "a check of a policy was cut off" in started.daemon.log_tail(), "it was judged too soon for this test"
    assert took < 10, took
    started.daemon.start()
