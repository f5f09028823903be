# SPDX-License-Identifier: Apache-2.0
"""./dev run: the main job on real traffic, on one screen. Every line is an observation that was checked; exit 0 only if all were.

usage: demo.py [--keep]
"""
import os
import platform
import sys
import time

from lab import Lab, require_root
from scenes import SCENES, World

WIDTH = 110


class Screen:
    """Prints lines; a failed expectation is printed with what was seen and ends the show."""

    def title(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def line(self, who: str, what: str, seen: str) -> None:
        print(f"  {who:<8} {what:<52} {seen}"[:WIDTH * 2], flush=True)

    def table(self, text: str) -> None:
        for row in text.splitlines():
            print(f"  {row}"[:WIDTH], flush=True)


class Quiet(Screen):
    """For the tests: remembers instead of printing."""

    def __init__(self):
        self.lines: list[str] = []

    def title(self, text: str) -> None:
        self.lines.append(text)

    def line(self, who: str, what: str, seen: str) -> None:
        self.lines.append(f"{who} {what} {seen}")

    def table(self, text: str) -> None:
        self.lines.extend(text.splitlines())


def keep(lab: Lab) -> None:
    """Leaves everything up; the cleanup is a script of a few lines that stands beside it."""
    daemon, containers = lab.daemon, lab.containers.values()
    enter = lab.directory / "enter"
    enter.write_text("#!/bin/sh\n# enter NAME COMMAND...: run a command in a container of the lab\nname=$1; shift\ncase $name in\n" + "".join(
        f"{c.name}) exec {' '.join(c.command())} \"$@\" ;;\n" for c in containers) + "*) echo \"no container $name\" >&2; exit 2 ;;\nesac\n")
    cli = lab.directory / "penstock"
    cli.write_text(f"#!/bin/sh\nexec {daemon.program('penstock')} --api-socket {daemon.socket} \"$@\"\n")
    remove = lab.directory / "remove"
    namespaces = [lab.internet.netns.name] + [c.netns.name for c in containers]
    remove.write_text("#!/bin/sh\n# takes the lab away\n"
                      f"for group in $(find {lab.cgroups.root} -name cgroup.kill); do echo 1 >\"$group\"; done\n"
                      f"while grep -q 'populated 1' {lab.cgroups.root}/cgroup.events; do sleep 0.1; done\n"
                      f"{daemon.program('penstockd')} {' '.join(daemon.flags())} --detach-all\n"
                      f"umount {daemon.bpffs}\nfind {lab.cgroups.root} -depth -type d -exec rmdir {{}} \\;\n"
                      + "".join(f"ip netns delete {name}\n" for name in namespaces) + f"rm -rf {lab.directory}\n")
    for script in (enter, cli, remove):
        script.chmod(0o755)
    print(f"""
Left up. Play:
  {enter} agent dig +short api.good.test
  {enter} agent curl -m 3 http://198.51.100.32/
  {cli} ps          (also: counters, events --denied, learned, explain --container agent --domain evil.test)
  edit {daemon.policies}/*.yaml, then: {cli} reload
Remove: {remove}""")


def main() -> int:
    arguments = sys.argv[1:]
    if arguments not in ([], ["--keep"]):
        print("usage: ./dev run [--keep]", file=sys.stderr)
        return 2
    require_root()
    start, screen = time.monotonic(), Screen()
    with Lab() as lab:
        try:
            world = World(lab, screen)
            print(f"Penstock on Linux {platform.release()}: {len(lab.containers)} containers (cgroup and network namespace each), dnsmasq and "
                  "unbound, a web server, IPv4 and IPv6.")
            for scene in SCENES:
                scene(world)
        except Exception as failure:
            print(f"\nNOT OBSERVED: {failure}\n\nthe daemon's log ends:\n{lab.daemon.log_tail(1500)}", file=sys.stderr)
            if os.environ.get("PENSTOCK_DEBUG"):
                raise
            return 1
        print(f"\nAll of it was observed, in {time.monotonic() - start:.1f} s.", flush=True)
        if arguments:
            keep(lab)
            lab.cleanups.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
