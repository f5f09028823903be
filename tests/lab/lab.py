# SPDX-License-Identifier: Apache-2.0
"""The lab as a whole: builds the small world, hands out containers, and takes everything away again, whatever happens.

    with Lab() as lab:
        agent = lab.container("agent")
        lab.daemon.start({"agent.yaml": "..."})
        agent.probe("resolve", name="api.good.test")
"""
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import internet
from cgroups import CgroupTree
from container import Container
from daemon import Daemon
from netns import Netns


class Lab:
    def __init__(self):
        self.id = secrets.token_hex(3)
        self.directory = Path(tempfile.mkdtemp(prefix="penstock-lab-"))
        self.cleanups: list = []
        self.containers: dict[str, Container] = {}
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self) -> None:
        self.cleanups.append(lambda: shutil.rmtree(self.directory, ignore_errors=True))
        self.cgroups = CgroupTree(f"penstock-lab-{self.id}")
        self.cleanups.append(self.cgroups.remove)
        self.gate = self.cgroups.make("gate")
        self.internet = internet.Internet(f"ps{self.id}-net", self.directory / "internet", self.cgroups.make("internet"))
        self.cleanups.append(self.internet.close)
        self.daemon = Daemon(self.directory, self.cgroups.make("daemon"), self.gate)
        self.cleanups.append(self.daemon.close)

    def container(self, name: str, *parents: str, resolvers: tuple = (internet.DNSMASQ,), makes_netns: bool = False) -> Container:
        """A new container `gate/<parents>/<name>`; `makes_netns`: its network namespace is made inside it."""
        number = len(self.containers)
        cgroup = self.cgroups.make("gate", *parents, name)
        netns = Netns(f"ps{self.id}-{number}", cgroup if makes_netns else None)
        self.cleanups.append(netns.remove)
        made = Container(name, number, cgroup, self.cgroups.relative(cgroup), netns, self.internet.netns,
                         self.internet.cgroup, self.directory / f"container-{number}")
        made.use_resolvers(*resolvers)
        self.cleanups.append(made.close)
        self.containers[name] = made
        return made

    def path(self, *parts: str) -> str:
        """The cgroup path of gate/<parts> as a policy's `select` writes it."""
        return self.cgroups.relative(self.gate.joinpath(*parts))

    def close(self) -> None:
        """Runs every cleanup, last made first, even if one fails; then raises the first failure."""
        failures = []
        while self.cleanups:
            try:
                self.cleanups.pop()()
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def __enter__(self) -> "Lab":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends as on ctrl-C
        return self

    def __exit__(self, *_) -> None:
        self.close()


def require_root() -> None:
    if os.geteuid() != 0:
        sys.exit("the lab makes cgroups and network namespaces: run it as root")
    if shutil.which("ip") is None:
        sys.exit("ip(8) is not installed (./dev setup)")
