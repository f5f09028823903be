# SPDX-License-Identifier: Apache-2.0
"""Becomes a process of a container, then execs: joins the cgroup first, then the network namespace, with a
resolv.conf of its own in a private mount namespace. What a container runtime does, in a screen.

usage: enter.py CGROUP NETNS RESOLV_CONF|- COMMAND...
"""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def bind(source: str, target: str) -> None:
    target = os.path.realpath(target)
    check(libc.mount(source.encode(), target.encode(), None, MS_BIND, None), f"bind {source} on {target}")


def main() -> None:
    cgroup, netns, resolv_conf, *command = sys.argv[1:]
    with open(os.path.join(cgroup, "cgroup.procs"), "w") as procs:
        procs.write("0")
    if netns != "-":
        fd = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        check(libc.setns(fd, CLONE_NEWNET), f"enter namespace {netns}")
    if resolv_conf != "-":
        check(libc.unshare(CLONE_NEWNS), "new mount namespace")
        check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
        bind(resolv_conf, "/etc/resolv.conf")
        nsswitch = os.path.join(os.path.dirname(resolv_conf), "nsswitch.conf")
        if os.path.exists(nsswitch) and os.path.exists("/etc/nsswitch.conf"):
            bind(nsswitch, "/etc/nsswitch.conf")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so after exec
    os.execvp(command[0], command)


main()
