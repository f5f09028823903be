# SPDX-License-Identifier: Apache-2.0
"""What large policies and many containers cost the daemon: time of an apply, map writes, memory, idle processor time, and how
soon a new container is enforced. All as a user meets it: files and the API, parsing and compiling included.
"""
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import quotas
from figures import Row
from places import DENIED, DNS, ROOT, priority


@dataclass(frozen=True)
class Size:
    domains: int
    containers: int
    rules: int
    idle_s: float
    starts: int
    additions: int
    quotas: tuple[int, int]  # containers, limited rules of each


FULL = Size(domains=100_000, containers=1000, rules=10_000, idle_s=10, starts=30, additions=7,
            quotas=(64, 1000))
QUICK = Size(domains=10_000, containers=100, rules=1000, idle_s=1, starts=5, additions=2,
             quotas=(16, 60))


def big_policy(cgroup: str, domains: int) -> str:
    listed = "".join(f"        - h{n:06}.bench-names-30.example\n" for n in range(domains))
    return f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: big}}
spec:
  select: [{{cgroup: {cgroup}}}]
  dns: {{resolvers: [{DNS}], search: []}}
  allow:
    - name: names
      ports: [tcp/443]
      domains:
{listed}"""


def policy_of_rules(cgroup: str, rules: int) -> str:
    head = f"""apiVersion: penstock/v1
kind: EgressPolicy
metadata: {{name: many}}
spec:
  select: [{{cgroup: {cgroup}}}]
  dns: {{resolvers: [{DNS}], search: []}}
  allow:
"""
    return head + "".join(f"    - {{name: r{n}, domains: [r{n}.bench.test], ports: [tcp/{1 + n % 5000}]}}\n" for n in range(rules))


class Writes:
    """How many map elements processes of a cgroup write or delete."""

    def __init__(self, program, cgroup):
        self.process = subprocess.Popen([str(program), str(cgroup)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "attached\n":
            raise RuntimeError("the daemon's map writes could not be counted")

    def count(self) -> int:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(5)


class Scale:
    def __init__(self, lab, build, size: Size):
        self.lab, self.build, self.size = lab, build, size
        self.priority = priority()

    def rows(self) -> list[Row]:
        self.lab.cgroups.make("gate", "big")
        self.start({"big.yaml": big_policy(self.lab.path("big"), 1)})
        rows = self.applies()
        self.lab.daemon.stop()
        rows += self.many()
        self.lab.daemon.stop()
        return rows + quotas.rows(self, *self.size.quotas, seconds=max(2, int(self.size.idle_s)))

    def start(self, policies: dict[str, str]) -> None:
        self.lab.daemon.start(policies)
        if self.priority[:1] == ["chrt"]:
            subprocess.run(["chrt", "-a", "-f", "-p", "10", str(self.pid())], check=True)

    def reload(self, domains: int, writes: Writes) -> tuple[float, int]:
        """Seconds until the policy is in force, map elements written until then."""
        self.lab.daemon.write({"big.yaml": big_policy(self.lab.path("big"), domains)})
        before, start = writes.count(), time.monotonic()
        status, body = self.lab.daemon.request("POST", "/v1/reload", b"", timeout=120)
        took = time.monotonic() - start
        if status != 200:
            raise RuntimeError(f"reload: {status} {body[:300]!r}")
        return took, writes.count() - before

    def applies(self) -> list[Row]:
        size, writes = self.size, Writes(self.build / "bench/map_writes", self.lab.daemon.cgroup)
        try:
            whole, whole_writes = self.reload(size.domains, writes)
            each = [self.reload(size.domains + 1 + n, writes) for n in range(size.additions)]
        finally:
            writes.close()
        one, one_writes = (statistics.median(column) for column in zip(*each))
        full = f"policy with {size.domains} domains"
        note = "the reload of the file: reading, parsing and compiling all of it included, as the daemon has no way to be told one domain"
        return [Row(f"{full}: reload to in force", whole, "s", most=2, more={"map_writes": whole_writes}),
                Row(f"{full}: map elements written", whole_writes, ""),
                Row(f"{full}: one domain added, reload to in force", one * 1000, "ms", most=5, note=note),
                Row(f"{full}: one domain added, map elements written", one_writes, "", most=20,
                    note="20 stands for O(1): it must not grow with the policy")]

    def many(self) -> list[Row]:
        size, lab = self.size, self.lab
        place = lab.container("starter")
        for number in range(size.containers):
            lab.cgroups.make("gate", "many", f"c{number}")
        self.start({"many.yaml": policy_of_rules(lab.path("many", "*"), size.rules)})
        self.wait_containers(size.containers)
        memory, cpu = self.memory_mib(), self.idle_percent(size.idle_s)
        starts = [self.start_ms(place, number) for number in range(size.starts)]
        crowd = f"{size.containers} containers, {size.rules} rules"
        return [Row(f"daemon, {crowd}: memory (RSS)", memory["VmRSS"], "MiB", most=40,
                    note=f"{memory['RssAnon']:.1f} of it its own, {memory['RssFile']:.1f} mapped files (programs, libraries)"),
                Row(f"daemon, {crowd}: idle", cpu, "% of a core", most=0.2, note=f"over {size.idle_s:g} s"),
                Row(f"container start to enforced, beside {crowd}: median of {size.starts}", statistics.median(starts), "ms", most=10,
                    note="from mkdir of the cgroup to the first refused send of a process cloned into it, as runtimes do"),
                Row(f"container start to enforced, beside {crowd}: slowest", max(starts), "ms", most=10)]

    def wait_containers(self, count: int, deadline_s: float = 60, policy: str = "many") -> None:
        end = time.monotonic() + deadline_s
        while sum(1 for each in self.lab.daemon.get("/v1/containers")["containers"] if policy in each["policies"]) < count:
            if time.monotonic() > end:
                raise RuntimeError(f"the daemon does not see {count} containers after {deadline_s} s")
            time.sleep(0.1)

    def memory_mib(self) -> dict[str, float]:
        """VmRSS and its parts: RssAnon, RssFile (programs and libraries), RssShmem."""
        with open(f"/proc/{self.pid()}/status") as status:
            fields = (line.split() for line in status)
            return {each[0].rstrip(":"): int(each[1]) / 1024 for each in fields if each[0].startswith(("VmRSS", "Rss"))}

    def idle_percent(self, seconds: float) -> float:
        before, start = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return 100 * (self.cpu_s() - before) / (time.monotonic() - start)

    def cpu_s(self) -> float:
        """schedstat: nanoseconds, where stat has ticks of 10 ms."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid()}/task"):
            with open(f"/proc/{self.pid()}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
        return total / 1e9

    def pid(self) -> int:
        return self.lab.daemon.process.pid  # enter.py became the daemon

    def start_ms(self, place, number: int) -> float:
        cgroup = self.lab.gate / "many" / f"new{number}"
        enter = [sys.executable, "-I", "-S", str(ROOT / "tests/lab/enter.py"), str(self.lab.cgroups.make("starter")), place.netns.name,
                 "-", *self.priority, str(self.build / "bench/load"), "enforced", str(cgroup), DENIED]
        run = subprocess.run(enter, capture_output=True, text=True, timeout=30)
        if run.returncode != 0:
            raise RuntimeError(f"container start to enforced: {run.stderr.strip()}")
        return float(run.stdout)
