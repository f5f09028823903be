# SPDX-License-Identifier: Apache-2.0
"""A shell's part for one job, as a program: `job.py COMMAND...` in a terminal of its own (terminal.py).

The job has the terminal until it stops (^Z). Then it is continued without the terminal (`bg`), and what comes of it is said: "bg: stopped",
or "bg: runs". Then it gets the terminal back (`fg`); the end is the job's.
"""
import os
import signal
import sys
import termios
import time


def has_stopped(job: int, deadline_s: float) -> bool:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if os.waitpid(job, os.WUNTRACED | os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    return False


def main() -> int:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    before = termios.tcgetattr(0)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])
    os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    os.kill(-job, signal.SIGCONT)
    stopped = has_stopped(job, 3)
    mode = "as it was" if termios.tcgetattr(0) == before else "changed"
    print(f"bg: {'stopped' if stopped else 'runs'}, terminal {mode}", flush=True)
    os.tcsetpgrp(0, job)
    os.kill(-job, signal.SIGCONT)
    return os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])


sys.exit(main())
