# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and the cables between them, by ip(8). Knows nothing of cgroups or Penstock."""
import subprocess
import sys
from pathlib import Path

ENTER = Path(__file__).parent / "enter.py"


def ip(*words: str) -> str:
    run = subprocess.run(["ip", *words], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(f"ip {' '.join(words)}: {run.stderr.strip()}")
    return run.stdout


class Netns:
    def __init__(self, name: str, cgroup: Path | None = None):
        """Made by a process of this cgroup, if one is named: as by a runtime that joins first and then unshares, as Docker's does."""
        self.name = name
        if cgroup is None:
            ip("netns", "add", name)
        else:
            subprocess.run([sys.executable, "-I", "-S", str(ENTER), str(cgroup), "-", "-", "ip", "netns", "add", name], check=True)
        try:
            self.sysctl("net.ipv6.conf.all.accept_dad", "0")
            self.sysctl("net.ipv6.conf.default.accept_dad", "0")
            ip("-n", name, "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise

    def sysctl(self, key: str, value: str) -> None:
        path = "/proc/sys/" + key.replace(".", "/")
        self.run("sh", "-c", f"test ! -e {path} || echo {value} > {path}")

    def run(self, *command: str) -> str:
        run = subprocess.run(["ip", "netns", "exec", self.name, *command], capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} in {self.name}: {run.stderr.strip()}")
        return run.stdout

    def ip(self, *words: str) -> str:
        return ip("-n", self.name, *words)

    def add_address(self, address: str, device: str) -> None:
        extra = ["nodad"] if ":" in address else []
        self.ip("address", "add", address, "dev", device, *extra)

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)


def cable(left: Netns, left_device: str, right: Netns, right_device: str) -> None:
    """A veth pair, both ends up."""
    left.ip("link", "add", left_device, "type", "veth", "peer", "name", right_device, "netns", right.name)
    left.ip("link", "set", left_device, "up")
    right.ip("link", "set", right_device, "up")
