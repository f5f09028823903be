# SPDX-License-Identifier: Apache-2.0
"""What quotas cost the daemon, which reads every budget each second and stores those that changed: processor time with many
that rest, and with all of them spent of. The budgets come from a file of quotas, as after a reboot; what is spent is counted
into the kernel's map here, as the programs would.
"""
import mmap
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/lab"))
from figures import Row  # noqa: E402
from pinned import open_map  # noqa: E402

WINDOW_S = 86400
BUDGETS, WORDS, SPENT = 65536, 16, 7  # of abi.h: PS_BUDGETS; ps_budget in words of 8 octets, and `spent` in it


def policy(cgroup: str, rules: int, resolver: str) -> str:
    head = f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: quotas}}
spec:
  select: [{{cgroup: {cgroup}}}]
  dns: {{resolvers: [{resolver}], search: []}}
  limits: {{quota: 1TiB/24h}}
  allow:
"""
    return head + "".join(f"    - {{name: r{n}, domains: [r{n}.bench.test], limits: {{quota: 1TiB/24h}}}}\n" for n in range(rules))


def kept(containers: list[str], rules: int) -> str:
    """A file of quotas, as of now: each container's own, and one of each rule."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lines = ["penstock quotas 1", f"written {time.time_ns()} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)} {boot}"]
    for path in containers:
        for names in ["- -", *(f"quotas r{n}" for n in range(rules))]:
            lines.append(f"quota 1000 0 0 {WINDOW_S * 10**9} {WINDOW_S * 10**9 - 1} {names} {path}")
    return "\n".join([*lines, "end", ""])


class Spender:
    """Spends an octet of every budget at once."""

    def __init__(self, pins: Path, count: int):
        self.count, fd = count, open_map(pins / "budgets")
        try:
            self.memory = mmap.mmap(fd, BUDGETS * WORDS * 8)
        finally:
            os.close(fd)
        self.words = memoryview(self.memory).cast("Q")

    def begun(self) -> int:
        return sum(self.words[n * WORDS + SPENT] > 0 for n in range(self.count))

    def spend(self) -> None:
        for n in range(self.count):
            self.words[n * WORDS + SPENT] += 1

    def close(self) -> None:
        self.words.release()
        self.memory.close()


def rows(scale, containers: int, rules: int, seconds: int) -> list[Row]:
    lab, count = scale.lab, containers * (rules + 1)
    paths = [lab.path("quotas", f"c{number}") for number in range(containers)]
    for number in range(containers):
        lab.cgroups.make("gate", "quotas", f"c{number}")
    (lab.daemon.state / "quotas").write_text(kept(paths, rules))
    scale.start({"quotas.yaml": policy(lab.path("quotas", "*"), rules, "192.0.2.53")})
    scale.wait_containers(containers, policy="quotas")
    spender = Spender(lab.daemon.bpffs / "penstock/maps", count)
    try:
        if spender.begun() != count:
            raise RuntimeError(f"{spender.begun()} of {count} quotas were taken up")
        scale.idle_percent(2)  # what was taken up is stored once more
        idle = scale.idle_percent(seconds)
        before, start = scale.cpu_s(), time.monotonic()
        for _ in range(seconds):
            spender.spend()
            time.sleep(1)
        busy = 100 * (scale.cpu_s() - before) / (time.monotonic() - start)
    finally:
        spender.close()
    what = f"daemon, {count} quotas in {containers} containers"
    return [Row(f"{what}: idle", idle, "% of a core", note=f"read each second, over {seconds} s"),
            Row(f"{what}, all spent of each second", busy, "% of a core", note="read, noted and stored each second"),
            Row(f"{what}: memory (RSS)", scale.memory_mib()["VmRSS"], "MiB")]
