# SPDX-License-Identifier: Apache-2.0
"""How the probes say time and errors: microseconds since, and the name of an errno."""
import errno
import time


class Clock:
    def __init__(self):
        self.start = time.perf_counter_ns()

    def us(self) -> float:
        return (time.perf_counter_ns() - self.start) / 1000


def name_of(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout"
    return errno.errorcode.get(error.errno, str(error.errno))
