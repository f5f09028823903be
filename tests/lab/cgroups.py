# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 directories of a lab: finds the mount, makes directories, empties and removes them.

Knows nothing of namespaces or of Penstock. Never touches a cgroup it did not make.
"""
import os
import time
from pathlib import Path


def mount_point() -> Path:
    """The cgroup v2 mount of this machine, wherever it is."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        if tail.split()[0] == "cgroup2":
            return Path(fields.split()[4])
    raise RuntimeError("no cgroup v2 mount in /proc/self/mountinfo")


class CgroupTree:
    """A directory of our own under the mount, and all that is made in it."""

    def __init__(self, name: str):
        self.mount = mount_point()
        self.root = self.mount / name
        self.root.mkdir()

    def make(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def relative(self, path: Path) -> str:
        """The path as policies write it: below the mount, with a leading slash."""
        return "/" + str(path.relative_to(self.mount))

    def remove(self, path: Path | None = None) -> None:
        """Kills what runs there (only we put anything there) and removes it, deepest first."""
        path = path or self.root
        if not path.is_dir():
            return
        kill_all(path)
        for directory, _, _ in os.walk(path, topdown=False):
            remove_empty(Path(directory))


def kill_all(path: Path, deadline_s: float = 10) -> None:
    """Kills every process in the subtree and waits until the kernel says it is empty."""
    end = time.monotonic() + deadline_s
    while populated(path):
        try:
            (path / "cgroup.kill").write_text("1")
        except OSError:
            pass
        if time.monotonic() > end:
            raise RuntimeError(f"{path} is still populated after {deadline_s} s")
        time.sleep(0.01)


def populated(path: Path) -> bool:
    try:
        return "populated 1" in (path / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def remove_empty(path: Path, deadline_s: float = 5) -> None:
    end = time.monotonic() + deadline_s
    while True:
        try:
            path.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
