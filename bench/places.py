# SPDX-License-Identifier: Apache-2.0
"""Where the same traffic runs: one container each with nothing in its way, empty programs, Penstock, nftables, proxies; and a
process of the gate root that no policy selects. All talk to the same server. Made of the lab's pieces; measures nothing.
"""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/lab"))
from container import Container  # noqa: E402
from lab import Lab  # noqa: E402
from netns import Netns  # noqa: E402

SERVER, DNS, PROXY, DNS_PROXY = "198.51.100.77", "203.0.113.77", "198.51.100.78", "203.0.113.78"
DENIED = "198.51.100.99"
NAMES = [f"d{n}.bench.test" for n in range(1000)]
PORTS = (7000, 7001)


def policy(name: str, cgroup: str, domains: list[str]) -> str:
    listed = "\n".join(f"        - {domain}" for domain in domains)
    return f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: {name}}}
spec:
  select: [{{cgroup: {cgroup}}}]
  dns: {{resolvers: [{DNS}], search: []}}
  allow:
    - name: names
      ports: [tcp/7000-7001, udp/7000]
      domains:
{listed}
"""


# The match as an administrator would write it, both ways as Penstock's: what this cgroup sends and gets is the set's, and counted.
NFT = """table inet bench {{
  set allowed {{ type ipv4_addr; elements = {{ {elements} }} }}
  chain out {{
    type filter hook output priority 0; policy accept;
    socket cgroupv2 level {level} "{path}" ip daddr @allowed counter accept
    socket cgroupv2 level {level} "{path}" counter drop
  }}
  chain in {{
    type filter hook input priority 0; policy accept;
    socket cgroupv2 level {level} "{path}" ip saddr @allowed counter accept
    socket cgroupv2 level {level} "{path}" counter drop
  }}
}}
"""

HAPROXY = """global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""

DNSDIST = f"""setLocal("{DNS_PROXY}:53")
setACL({{"0.0.0.0/0"}})
setSecurityPollSuffix("")
newServer({{address="{DNS}:53", healthCheckMode="up"}})
allowed = newSuffixMatchNode()
for n = 0, 999 do allowed:add(newDNSName("d" .. n .. ".bench.test")) end
addAction(NotRule(SuffixMatchNodeRule(allowed)), RCodeAction(DNSRCode.REFUSED))
"""


def priority() -> list[str]:
    """Before whatever else the machine does, so that a figure is ours: by a real-time class, or as nice as it gets."""
    for words in (["chrt", "-f", "10"], ["nice", "-n", "-20"]):
        if subprocess.run([*words, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return words
    return []


class Places:
    """`one_cpu`: client, server and proxies share a processor, so that a figure is work done, not luck of scheduling."""

    def __init__(self, lab: Lab, build: Path):
        self.lab, self.build = lab, build
        self.cpu = str(max(os.sched_getaffinity(0)))
        self.alone = [*priority(), "taskset", "-c", self.cpu]
        self.load = str(build / "bench/load")
        for address in (DNS, DNS_PROXY):
            lab.internet.netns.add_address(f"{address}/32", "lo")
        self.processes: list[subprocess.Popen] = []
        lab.cleanups.append(self.close)
        self.background(lab.internet.netns, lab.internet.cgroup, self.load, "serve", SERVER, DNS)
        self.places = {name: make() for name, make in
                       (("none", self.bare), ("empty", self.empty), ("penstock", self.penstock), ("nftables", self.nftables),
                        ("proxies", self.proxies), ("unmanaged", self.unmanaged))}

    def background(self, netns: Netns, cgroup: Path, *command: str) -> subprocess.Popen:
        log = open(self.lab.directory / f"{Path(command[0]).name}.log", "w")
        enter = [sys.executable, "-I", "-S", str(ROOT / "tests/lab/enter.py"), str(cgroup), netns.name, "-"]
        process = subprocess.Popen([*enter, *self.alone, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        self.processes.append(process)
        return process

    def outside_gate(self, name: str) -> Container:
        """A container as the lab's, but not below the gate root."""
        lab, number = self.lab, len(self.lab.containers)
        cgroup = lab.cgroups.make("ungated", name)
        netns = Netns(f"ps{lab.id}-{number}")
        lab.cleanups.append(netns.remove)
        made = Container(name, number, cgroup, lab.cgroups.relative(cgroup), netns, lab.internet.netns, lab.internet.cgroup,
                         lab.directory / f"container-{number}")
        lab.containers[name] = made
        return made

    def bare(self) -> Container:
        return self.outside_gate("none")

    def empty(self) -> Container:
        made = self.outside_gate("empty")
        holder = subprocess.Popen([str(self.build / "bench/empty_gate"), str(made.cgroup)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.processes.append(holder)
        if holder.stdout.readline() != b"attached\n":
            raise RuntimeError("the empty programs could not be attached")
        return made

    def penstock(self) -> Container:
        made = self.lab.container("penstock")
        self.lab.daemon.start({"bench.yaml": policy("bench", made.path, NAMES)})
        return made

    def unmanaged(self) -> Container:
        return self.lab.container("unmanaged")

    def nftables(self) -> Container:
        made = self.outside_gate("nftables")
        path = made.path.lstrip("/")
        elements = ", ".join([SERVER, DNS, *(f"192.0.{n // 250}.{n % 250 + 1}" for n in range(998))])
        rules = self.lab.directory / "rules.nft"
        rules.write_text(NFT.format(elements=elements, level=len(path.split("/")), path=path))
        # nft looks the path up below /sys/fs/cgroup, wherever the tree is mounted.
        script = f"mount --bind {self.lab.cgroups.mount} /sys/fs/cgroup && exec nft -f {rules}"
        if self.lab.cgroups.mount == Path("/sys/fs/cgroup"):
            script = f"exec nft -f {rules}"
        # nsenter, not ip-netns-exec: that one hides the cgroup tree behind a new /sys.
        subprocess.run(["nsenter", f"--net=/run/netns/{made.netns.name}", "unshare", "-m", "sh", "-c", script], check=True)
        return made

    def proxies(self) -> Container:
        made = self.outside_gate("proxies")
        cgroup = self.lab.cgroups.make("internet", "proxies")
        haproxy = self.lab.directory / "haproxy.cfg"
        haproxy.write_text(HAPROXY + "".join(f"listen p{port}\n  bind {PROXY}:{port}\n  server s {SERVER}:{port}\n" for port in PORTS))
        dnsdist = self.lab.directory / "dnsdist.conf"
        dnsdist.write_text(DNSDIST)
        netns = self.lab.internet.netns
        self.background(netns, cgroup, self.copy("haproxy"), "-db", "-f", str(haproxy))
        self.background(netns, cgroup, self.copy("dnsdist"), "--supervised", "--disable-syslog", "-C", str(dnsdist))
        return made

    def copy(self, name: str) -> str:
        """A copy: a distribution's AppArmor profile holds the usual path to configuration in /etc."""
        found = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if found is None:
            raise RuntimeError(f"{name} is not installed (./dev setup)")
        return shutil.copy(found, self.lab.directory / f"bench-{name}")

    def measure(self, place: str, kind: str, seconds: float, connections: int = 1) -> float:
        """How many a second."""
        proxied = place == "proxies"
        command = self.places[place].command(*self.alone, self.load, kind, str(seconds), str(connections),
                                             PROXY if proxied else SERVER, DNS_PROXY if proxied else DNS)
        run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
        if run.returncode != 0:
            raise RuntimeError(f"{kind} in {place}: {run.stderr.strip()}")
        return float(run.stdout)

    def wait_ready(self, deadline_s: float = 20) -> None:
        """Until every place can do every kind once."""
        for place in self.places:
            for kind in ("tcp_rr", "dns"):
                end = time.monotonic() + deadline_s
                while True:
                    try:
                        self.measure(place, kind, 0.01)
                        break
                    except RuntimeError:
                        if time.monotonic() > end:
                            raise
                        time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes:
            if process.stdin:
                process.stdin.close()
            process.kill()
            process.wait(5)
