# SPDX-License-Identifier: Apache-2.0
"""Line coverage of the user-space code after runs of a build with PENSTOCK_COVERAGE, folder by folder, and the files with the
most lines that nothing ran.

usage: line_coverage.py ROOT BUILD REPORT
"""
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

MISSED_FILES = 10


def summary(root: Path, build: Path) -> list[dict]:
    """gcovr's row of each file; only sources of the product, not what is generated or tests them."""
    done = subprocess.run(["/usr/bin/gcovr", "--root", root, "--object-directory", build, "--filter", "policy/", "--filter", "userspace/", "-j", "2",
                           "--json-summary", "-", build], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["files"]


def row(name: str, covered: int, lines: int) -> str:
    return f"{name:32} {lines:7} {covered:8} {100 * covered / max(lines, 1):7.1f}"


def table(files: list[dict]) -> str:
    folders = defaultdict(lambda: [0, 0])
    for file in files:
        for name in (str(Path(file["filename"]).parent), "all"):
            folders[name][0] += file["line_covered"]
            folders[name][1] += file["line_total"]
    total = folders.pop("all")
    missed = sorted(files, key=lambda file: file["line_covered"] - file["line_total"])[:MISSED_FILES]
    return "\n".join([f"{'folder':32} {'lines':>7} {'covered':>8} {'percent':>7}", *(row(name, *folders[name]) for name in sorted(folders)),
                      row("all", *total), "", "most lines never run:",
                      *(row(file["filename"], file["line_covered"], file["line_total"]) for file in missed)]) + "\n"


def main() -> int:
    root, build, report = (Path(word).resolve() for word in sys.argv[1:4])
    files = summary(root, build)
    if not any(file["line_covered"] for file in files):
        print(f"line_coverage: nothing ran in {build}", file=sys.stderr)
        return 1
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(table(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
