# SPDX-License-Identifier: Apache-2.0
"""A container runtime in a hurry: makes a cgroup, and starts a process in it whose very first act is to send.

An agent (see probe.py) outside of the containers it makes: one JSON request a line on stdin, one JSON answer a line on stdout. The
process is cloned into the cgroup (CLONE_INTO_CGROUP), as runtimes do: it has not lived one instruction outside.
"""
import ctypes
import errno
import json
import os
import secrets
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import dns  # noqa: E402

SYS_CLONE3, CLONE_INTO_CGROUP, SIGCHLD = 435, 0x200000000, 17
LIBC = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock: the child must own it
REPORT = struct.Struct("<iiqqi")           # errno of the first act, of the last try; ns until each was done; tries


class CloneArgs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size",
                                                     "tls", "set_tid", "set_tid_size", "cgroup")]


def clone_into(cgroup: int) -> int:
    args = CloneArgs(flags=CLONE_INTO_CGROUP, exit_signal=SIGCHLD, cgroup=cgroup)
    pid = LIBC.syscall(SYS_CLONE3, ctypes.byref(args), ctypes.sizeof(args))
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3(CLONE_INTO_CGROUP)")
    return pid


def act(kind: str, address: str, port: int, text: str) -> int:
    """One thing that makes a packet leave, on a socket of its own; its errno. A TCP connect does not wait: its SYN has left or not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM if kind == "connect" else socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            if kind == "connect":
                sock.connect((address, port))
            else:
                sock.sendto(dns.query(1, text) if kind == "query" else text.encode(), (address, port))
        return 0
    except BlockingIOError:
        return 0
    except OSError as error:
        return error.errno


def live(report: int, start: int, first: dict, then: dict | None, deadline_s: float) -> None:
    """The whole life of the process in the cgroup."""
    began = act(**first)
    done = time.monotonic_ns() - start
    outcome, allowed, tries, end = -1, -1, 0, time.monotonic() + deadline_s
    while then:
        outcome = act(**then)
        allowed, tries = time.monotonic_ns() - start, tries + 1
        if outcome == 0 or time.monotonic() > end:
            break
    os.write(report, REPORT.pack(began, outcome, done, allowed, tries))


def name_of(number: int) -> str | None:
    return {0: None, -1: "not tried"}.get(number, errno.errorcode.get(number, str(number)))


def born(parent: str, prefix: str, first: dict, then: dict | None, keep: bool, deadline_s: float, suffix: str = ".scope") -> dict:
    """What the process saw; times are since before the mkdir."""
    path = os.path.join(parent, prefix + secrets.token_hex(32) + suffix)
    receive, send = os.pipe()
    start = time.monotonic_ns()
    os.mkdir(path)
    cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    pid = clone_into(cgroup)
    if pid == 0:
        try:
            live(send, start, first, then, deadline_s)
        finally:
            os._exit(0)
    os.close(send)
    if not select.select([receive], [], [], deadline_s + 10)[0]:
        os.kill(pid, 9)
    report = os.read(receive, REPORT.size)
    os.waitpid(pid, 0)
    os.close(receive)
    os.close(cgroup)
    if not keep:
        os.rmdir(path)
    if len(report) != REPORT.size:
        raise RuntimeError("the process in the new cgroup did not report")
    began, outcome, done, allowed, tries = REPORT.unpack(report)
    return {"path": path, "first": name_of(began), "first_ns": done, "then": name_of(outcome), "then_ns": allowed, "tries": tries}


def births(parent: str, prefix: str, count: int, firsts: list, then: dict | None = None, keep: bool = False, deadline_s: float = 2,
           **rest) -> dict:
    """`count` cgroups, one after the other, their first acts in turn; `then` is tried until it is allowed."""
    return {"error": None, "births": [born(parent, prefix, firsts[n % len(firsts)], then, keep, deadline_s, **rest) for n in range(count)]}


def main() -> None:
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        request.pop("op")
        try:
            answer = births(**request)
        except OSError as error:
            answer = {"error": errno.errorcode.get(error.errno, str(error.errno)), "text": str(error)}
        print(json.dumps(answer), flush=True)


main()
