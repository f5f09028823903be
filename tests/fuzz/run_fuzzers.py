# SPDX-License-Identifier: Apache-2.0
"""Runs every fuzzer over its corpus and on from there, two at a time. Fails when one finds something (the input is kept in the
build directory and its path printed), or when one hardly ran.

PENSTOCK_FUZZ_SECONDS=600   each that long, instead of the seconds below
PENSTOCK_SEED=7             another seed than the standing one; 0: a random one (a search for faults, not a test of a change)

usage: run_fuzzers.py --build DIRECTORY [--report FILE] [TARGET...]
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Fuzzer:
    name: str
    dictionary: str
    longest: int        # octets of an input
    seconds: int = 60


FUZZERS = [
    Fuzzer("packet", "packet", 256), Fuzzer("dns_query", "dns", 512), Fuzzer("dns_answer", "dns", 4200),
    Fuzzer("policy_yaml", "policy", 2048), Fuzzer("policy_json", "policy", 2048), Fuzzer("policy_protobuf", "policy", 1024, 15),
    Fuzzer("value", "value", 300, 15), Fuzzer("config", "config", 1024, 15), Fuzzer("api_target", "api_target", 256, 15),
]
STANDING_SEED = 20261121
MEGABYTES, ONE_INPUT_S, RUNS_MIN = 1024, 10, 2000


@dataclass
class Outcome:
    fuzzer: Fuzzer
    seconds: float
    runs: int
    covered: int
    faults: list[str]

    def line(self) -> str:
        return (f"{self.fuzzer.name:16} {self.runs:10} {self.runs / max(self.seconds, 1):10.0f} {self.covered:9} {self.seconds:8.0f}  "
                + ("; ".join(self.faults) or "nothing found"))


def run(fuzzer: Fuzzer, build: Path, seed: int) -> Outcome:
    work = build / "runs" / fuzzer.name
    shutil.rmtree(work, ignore_errors=True)
    grown = work / "grown"
    grown.mkdir(parents=True)
    seconds = int(os.environ.get("PENSTOCK_FUZZ_SECONDS", fuzzer.seconds))
    command = [build / f"fuzz_{fuzzer.name}", f"-max_total_time={seconds}", f"-seed={seed}", f"-rss_limit_mb={MEGABYTES}",
               f"-timeout={ONE_INPUT_S}", f"-max_len={fuzzer.longest}", f"-dict={HERE}/dictionaries/{fuzzer.dictionary}.dict",
               f"-artifact_prefix={work}/", "-print_final_stats=1", grown, HERE / "corpus" / fuzzer.name]
    started = time.monotonic()
    log = work / "log"
    with open(log, "w", encoding="utf-8") as out:
        try:
            code = subprocess.run([str(word) for word in command], stdout=out, stderr=out, timeout=seconds + 120, check=False,
                                  env={**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}).returncode
        except subprocess.TimeoutExpired:
            code = "no end"
    text = log.read_text(errors="replace")
    runs = [int(n) for n in re.findall(r"^stat::number_of_executed_units: (\d+)", text, re.M)]
    covered = [int(n) for n in re.findall(r"\bcov: (\d+)", text)]
    faults = [f"input kept: {path}" for path in sorted(work.iterdir()) if path.is_file() and path != log]
    if code != 0:
        faults.append(f"exit {code}, log: {log}")
    elif not runs or runs[-1] < RUNS_MIN:
        faults.append(f"hardly ran, log: {log}")
    return Outcome(fuzzer, time.monotonic() - started, runs[-1] if runs else 0, max(covered, default=0), faults)


def tail(outcome: Outcome, build: Path) -> str:
    """What the sanitizer or the property said."""
    lines = (build / "runs" / outcome.fuzzer.name / "log").read_text(errors="replace").splitlines()
    first = next((number for number, line in enumerate(lines) if "ERROR" in line or "runtime error" in line or "BROKEN" in line), len(lines) - 20)
    return "\n".join(lines[max(first, 0):][:40])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    seed = int(os.environ.get("PENSTOCK_SEED", STANDING_SEED)) or random.randrange(1, 2**31)
    chosen = [fuzzer for fuzzer in FUZZERS if not arguments.targets or fuzzer.name in arguments.targets]
    print(f"PENSTOCK_SEED={seed}", flush=True)
    with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(lambda fuzzer: run(fuzzer, arguments.build, seed), chosen))
    head = f"{'fuzzer':16} {'runs':>10} {'runs/s':>10} {'edges':>9} {'seconds':>8}"
    report = "\n".join([f"fuzzing, PENSTOCK_SEED={seed}", head, *(outcome.line() for outcome in outcomes)]) + "\n"
    print(report)
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(report)
    for outcome in outcomes:
        if outcome.faults:
            print(f"--- {outcome.fuzzer.name}\n{tail(outcome, arguments.build)}")
    return 1 if any(outcome.faults for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
