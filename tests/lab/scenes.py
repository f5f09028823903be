# SPDX-License-Identifier: Apache-2.0
"""The scenes of ./dev run: each does something, checks what was seen, and says it in a line with measured numbers.

A scene that does not see what it must raises AssertionError. `tests/e2e/test_run.py` plays the same scenes.
"""
import time

from internet import DNSMASQ, DNSMASQ6, UNBOUND, UNBOUND6
from observe import Counters, events, learned, until

AT_ONCE_US = 2_000  # "in microseconds": the best of some tries, since machines are busy; typical are 20 to 400

AGENT = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: agent}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolvers}]}}
  allow:
    - {{name: api, domains: [api.good.test], ports: [tcp/80, tcp/443]}}
    - {{name: office, cidrs: [198.51.100.1/32], ports: [tcp/80]}}
"""
WORKER = """apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: worker}}
spec:
  select: [{{cgroup: {path}}}]
  dns: {{resolvers: [{resolvers}]}}
  allow:
    - {{name: good, domains: [{domains}], ports: [tcp/80]}}
  deny:
    - {{name: blocked, domains: [blocked.good.test]}}
"""


class World:
    """Two containers under two policies, and where to write what was seen."""

    def __init__(self, lab, screen):
        self.lab, self.screen, self.daemon = lab, screen, lab.daemon
        self.agent = lab.container("agent", resolvers=(DNSMASQ,))
        self.worker = lab.container("worker", resolvers=(UNBOUND6,))
        self.before_kill: Counters | None = None
        self.daemon.start(self.policies('"*.good.test"'))

    def policies(self, worker_domains: str) -> dict[str, str]:
        return {"agent.yaml": AGENT.format(path=self.agent.path, resolvers=f'{DNSMASQ}, "{DNSMASQ6}"'),
                "worker.yaml": WORKER.format(path=self.worker.path, resolvers=f'{UNBOUND}, "{UNBOUND6}"',
                                             domains=worker_domains)}

    def resolved(self, container, name: str, *addresses: str) -> dict:
        seen = container.probe("resolve", name=name)
        assert set(addresses) <= set(seen["addresses"]), f"{container.name} resolves {name}: {seen}"
        self.screen.line(container.name, f"getaddrinfo {name}", f"{' '.join(addresses)}   {ms(seen)}")
        return seen

    def not_resolved(self, container, name: str) -> None:
        seen = refused_at_once(container, "EAI_AGAIN", "resolve", name=name)
        self.screen.line(container.name, f"getaddrinfo {name}", f"denied: {seen['error']}   {us(seen)}")

    def reached(self, container, address: str, port: int = 80, host: str = "-") -> None:
        seen = container.probe("http", address=address, port=port, host=host)
        assert seen["error"] is None and seen["status"] == 200, f"{container.name} to {address}:{port}: {seen}"
        self.screen.line(container.name, f"GET http://{host}/ from {address}", f"{seen['status']} {seen['body'].strip()!r}   {ms(seen)}")

    def refused(self, container, address: str, port: int = 80, why: str = "") -> None:
        seen = refused_at_once(container, "EPERM", "connect", address=address, port=port)
        self.screen.line(container.name, f"connect {address} port {port}", f"denied: {seen['error']}   {us(seen)}{why}")

    def flows(self, container, key: str) -> None:
        """The download `key` grows."""
        start = container.probe("stream_status", key=key)["octets"]
        until(lambda: container.probe("stream_status", key=key)["octets"] > start + 20_000, 10, f"{container.name}'s download flows")

    def stalled(self, container, key: str, quiet_s: float = 1.0) -> float:
        """Seconds until the download stopped growing (and stayed so for quiet_s)."""
        start = last = time.monotonic()
        octets = container.probe("stream_status", key=key)["octets"]
        while time.monotonic() - last < quiet_s:
            assert time.monotonic() - start < 15, f"{container.name}'s download goes on: {octets} octets"
            time.sleep(0.01)
            now = container.probe("stream_status", key=key)["octets"]
            if now != octets:
                octets, last = now, time.monotonic()
        return last - start


def refused_at_once(container, error: str, op: str, **fields) -> dict:
    """What the container saw: the error each time, and at least once in AT_ONCE_US."""
    for _ in range(5):
        seen = container.probe(op, **fields)
        assert seen["error"] == error, f"{container.name}, {op} {fields}: {seen}"
        if seen["us"] < AT_ONCE_US:
            return seen
    raise AssertionError(f"{container.name}, {op} {fields}: refused, but never at once: {seen}")


def us(seen: dict) -> str:
    return f"{seen['us']:.0f} us"


def ms(seen: dict) -> str:
    return f"{seen['us'] / 1000:.1f} ms"


def allowed_domain(w: World) -> None:
    w.screen.title("1  An allowed domain is answered, and its addresses (no others) are open")
    w.resolved(w.agent, "api.good.test", "198.51.100.10", "2001:db8:80::a")
    w.reached(w.agent, "198.51.100.10", host="api.good.test")
    w.reached(w.agent, "2001:db8:80::a", host="api.good.test")
    w.resolved(w.worker, "www.good.test", "198.51.100.11", "2001:db8:80::b")  # an alias of edge.cdn.test
    w.reached(w.worker, "198.51.100.11", host="www.good.test")


def denied_domain(w: World) -> None:
    w.screen.title("2  A denied name fails at once: the query never leaves the kernel")
    before = Counters(w.daemon, w.agent.path)
    w.not_resolved(w.agent, "evil.test")
    w.not_resolved(w.worker, "blocked.good.test")  # deny beats the allow of *.good.test
    seen = refused_at_once(w.agent, "EPERM", "query", server=DNSMASQ, name="secret-data.evil.test")
    w.screen.line("agent", "DNS query for secret-data.evil.test by hand", f"denied: sendto EPERM   {us(seen)}")
    grown = Counters(w.daemon, w.agent.path).of(verdict="deny", reason="name-not-allowed") - before.of(
        verdict="deny", reason="name-not-allowed")
    assert grown >= 2, f"denied queries counted: {grown}"


def bare_address(w: World) -> None:
    w.screen.title("3  A bare address that no rule and no answer named")
    w.refused(w.agent, "198.51.100.32")
    w.refused(w.agent, "2001:db8:80::20")
    w.refused(w.agent, "198.51.100.10", 8080, "   (learned address, port not in the rule)")
    seen = w.agent.probe("udp", address="198.51.100.32", port=9000)
    assert seen["error"] == "EPERM", seen
    w.screen.line("agent", "UDP to 198.51.100.32 port 9000", f"denied: {seen['error']}   {us(seen)}")
    w.reached(w.agent, "198.51.100.1")  # the rule office names it


def not_shared(w: World) -> None:
    w.screen.title("4  What one container learned is of no use to another")
    w.resolved(w.worker, "a.b.c.good.test", "198.51.100.12")
    w.reached(w.worker, "198.51.100.12", host="a.b.c.good.test")
    assert "198.51.100.12" in learned(w.daemon, w.worker.path)
    w.refused(w.agent, "198.51.100.12")


def live_change(w: World) -> None:
    w.screen.title("5  A policy change is in force on the next packet, for open connections too")
    for container, address in ((w.worker, "198.51.100.11"), (w.agent, "198.51.100.10")):
        opened = container.probe("stream_open", key="download", address=address, port=80)
        assert opened["error"] is None, opened
        w.flows(container, "download")
    w.daemon.write(w.policies('"*.c.good.test", new.good.test, later.good.test'))  # www.good.test is allowed no more
    start = time.monotonic()
    w.daemon.reload()
    took = (time.monotonic() - start) * 1000
    octets = w.worker.probe("stream_status", key="download")["octets"]
    stopped = w.stalled(w.worker, "download")
    w.screen.line("worker", "download from www.good.test, then its rule goes", f"reloaded in {took:.0f} ms, dead {stopped * 1000:.0f} ms later")
    more = w.worker.probe("stream_status", key="download")["octets"] - octets
    assert more < 200_000, f"{more} octets came after the change"
    w.refused(w.worker, "198.51.100.11")
    w.flows(w.agent, "download")
    w.screen.line("agent", "download from api.good.test (not changed)", "goes on")


def without_daemon(w: World) -> None:
    w.screen.title("6  kill -9 penstockd: everything is still enforced, names are still learned")
    w.before_kill = Counters(w.daemon, w.agent.path)
    pid = w.daemon.get("/v1/status")["pid"]
    w.daemon.kill9()
    try:
        w.daemon.request("GET", "/healthz", timeout=1)
        raise AssertionError("the daemon answers after kill -9")
    except OSError:
        w.screen.line("", f"kill -9 {pid}", "penstockd is gone")
    w.flows(w.agent, "download")
    w.screen.line("agent", "the open download", "goes on")
    w.not_resolved(w.agent, "evil.test")
    w.refused(w.agent, "198.51.100.32")
    w.refused(w.worker, "198.51.100.14", 80, "   (not learned yet)")
    w.resolved(w.worker, "new.good.test", "198.51.100.14")
    w.reached(w.worker, "198.51.100.14", host="new.good.test")


def restart(w: World) -> None:
    w.screen.title("7  penstockd starts again and adopts what is there")
    start = time.monotonic()
    w.daemon.start()
    took = (time.monotonic() - start) * 1000
    names = learned(w.daemon, w.worker.path).get("198.51.100.14", [])
    assert "new.good.test" in names, f"learned while it was dead: {names}"
    after = Counters(w.daemon, w.agent.path)
    back = {key: (count, after.packets.get(key, 0)) for key, count in w.before_kill.packets.items()
            if after.packets.get(key, 0) < count}
    assert not back, f"counters went back: {back}"
    missed = after.of(verdict="deny") - w.before_kill.of(verdict="deny")
    assert missed >= 2, f"denials of the time without a daemon: {missed}"
    w.flows(w.agent, "download")
    w.screen.line("", f"ready after {took:.0f} ms", f"knows new.good.test, and {missed} denials from meanwhile; the download goes on")


def accounts(w: World) -> None:
    w.screen.title("8  Counters, and the last denials")
    w.not_resolved(w.agent, "evil.test")
    w.refused(w.worker, "198.51.100.11")
    until(lambda: events(w.daemon, w.agent.path, verdict="deny", name="evil.test"), 5, "event of the denied query")
    until(lambda: events(w.daemon, w.worker.path, verdict="deny", remote="198.51.100.11"), 5, "event of the denied connect")
    assert Counters(w.daemon, w.agent.path).of(rule="api", verdict="allow", direction="egress") > 0
    counters = w.daemon.cli("counters")
    assert counters.returncode == 0 and "name-not-allowed" in counters.stdout, counters
    w.screen.table(top(counters.stdout, 9))
    denied = w.daemon.cli("events", "--denied")
    assert denied.returncode == 0 and "evil.test" in denied.stdout, denied
    w.screen.table("\n".join(denied.stdout.splitlines()[-4:]))


def top(table: str, rows: int) -> str:
    """The head line and the first rows, then how many are left out."""
    lines = table.splitlines()
    left = len(lines) - rows - 1
    return "\n".join(lines[:rows + 1] + ([f"... {left} more"] if left > 0 else []))


SCENES = (allowed_domain, denied_domain, bare_address, not_shared, live_change, without_daemon, restart, accounts)
