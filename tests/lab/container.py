# SPDX-License-Identifier: Apache-2.0
"""A container of the lab: a cgroup, a network namespace, a resolv.conf, and an agent that runs probes inside.

Knows how to be one; the lab says where it stands in the cgroup tree and in the network.
"""
import json
import selectors
import subprocess
import sys
from pathlib import Path

from netns import Netns, cable

HERE = Path(__file__).parent
# What Docker grants the root of a container unless it is told otherwise.
DOCKER_CAPABILITIES = ("chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap",
                       "net_bind_service", "sys_chroot", "kill", "audit_write")


class Agent:
    """The probe process: a call is one line in, one line out, with a deadline."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.read_line(20)

    def call(self, deadline_s: float, **request) -> dict:
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.read_line(deadline_s)

    def read_line(self, deadline_s: float) -> dict:
        if not self.selector.select(deadline_s):
            raise RuntimeError(f"the probe did not answer in {deadline_s} s")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the probe died with {self.process.wait(5)}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()
        self.selector.close()


class Container:
    def __init__(self, name: str, number: int, cgroup: Path, path: str, netns: Netns, internet: Netns, outside: Path,
                 directory: Path):
        self.name, self.cgroup, self.path, self.netns = name, cgroup, path, netns
        self.v4, self.v6 = f"10.88.{number}.2", f"fd88:{number:x}::2"
        self.resolv_conf = directory / "resolv.conf"
        directory.mkdir()
        (directory / "nsswitch.conf").write_text("hosts: files dns\n")
        self.resolv_conf.write_text("")
        cable(internet, f"c{number}", netns, "eth0")
        internet.add_address(f"10.88.{number}.1/24", f"c{number}")
        internet.add_address(f"fd88:{number:x}::1/64", f"c{number}")
        netns.add_address(f"{self.v4}/24", "eth0")
        netns.add_address(f"{self.v6}/64", "eth0")
        netns.ip("route", "add", "default", "via", f"10.88.{number}.1")
        netns.ip("-6", "route", "add", "default", "via", f"fd88:{number:x}::1")
        self._capabilities: list[str] = []
        self._agent: Agent | None = None
        self._sniffer: Agent | None = None
        self._outside = [sys.executable, "-I", "-S", str(HERE / "enter.py"), str(outside), internet.name, "-",
                         sys.executable, "-I", str(HERE / "sniffer.py"), f"c{number}"]

    def use_resolvers(self, *servers: str, search: str = "", options: str = "timeout:3 attempts:1") -> None:
        """Takes effect for the next look-up of a program that starts or looks at the file again (glibc does)."""
        lines = [f"nameserver {server}" for server in servers]
        lines += [f"search {search}"] if search else []
        self.resolv_conf.write_text("\n".join([*lines, f"options {options}"]) + "\n")

    def command(self, *command: str) -> list[str]:
        return [sys.executable, "-I", "-S", str(HERE / "enter.py"), str(self.cgroup), self.netns.name,
                str(self.resolv_conf), *self._capabilities, *command]

    def drop_to_docker(self) -> None:
        """Every process that is started from now on is root with Docker's default capabilities, no more."""
        kept = ",".join(f"+{name}" for name in DOCKER_CAPABILITIES)
        self._capabilities = ["setpriv", "--bounding-set", f"-all,{kept}", "--"]

    def run(self, *command: str, timeout: float = 30) -> subprocess.CompletedProcess:
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=timeout)

    def agent(self) -> Agent:
        if self._agent is None:
            self._agent = Agent(self.command(sys.executable, "-I", str(HERE / "probe.py")))
        return self._agent

    def probe(self, op: str, deadline_s: float = 30, **arguments) -> dict:
        return self.agent().call(deadline_s, op=op, **arguments)

    def watch_cable(self) -> None:
        """From now on, `arrived` knows what left the container."""
        if self._sniffer is None:
            self._sniffer = Agent(self._outside)

    def arrived(self, **fields) -> list[dict]:
        """The packets with these fields (sniffer.py) that came out of the container, as seen at the other end of its cable."""
        return self._sniffer.call(10, op="seen", **fields)["packets"]

    def arrived_sum(self, **fields) -> dict:
        """How many these are and their IP octets, and how many more the kernel could not hand over."""
        return self._sniffer.call(10, op="sum", **fields)

    def close(self) -> None:
        for agent in (self._agent, self._sniffer):
            if agent is not None:
                agent.close()
        self._agent = self._sniffer = None
