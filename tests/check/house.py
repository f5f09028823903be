# SPDX-License-Identifier: Apache-2.0
"""The house rules that a script can hold: include directions, SPDX lines, a README in every folder, size budgets, no
unfinished-work markers. Prints every fault as file:line: what; exit 1 if there is one.

usage: house.py ROOT
"""
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import include_directions  # noqa: E402

SKIPPED = {".git", "build", "__pycache__", ".pytest_cache", "cache"}
CODE = {".c", ".h", ".cpp", ".py", ".proto", ".sh"}
LINES_MAX = 300
MARKER = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
APACHE, DUAL = "Apache-2.0", "GPL-2.0-only OR BSD-2-Clause"


def files(root: Path) -> list[Path]:
    found = []
    for directory, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if folder not in SKIPPED and not folder.startswith("cmake-build")]
        found += [Path(directory, name).relative_to(root) for name in names]
    return sorted(found)


def is_script(root: Path, path: Path) -> bool:
    if path.suffix or not os.access(root / path, os.X_OK):
        return False
    with open(root / path, "rb") as file:
        return file.read(2) == b"#!"


def is_code(root: Path, path: Path) -> bool:
    return path.suffix in CODE or is_script(root, path)


def check_spdx(root: Path, paths: list[Path]) -> list[str]:
    faults = []
    for path in paths:
        head = "\n".join((root / path).read_text(errors="replace").splitlines()[:3])
        wanted = DUAL if path.parts[0] == "bpf" or path.name.endswith(".bpf.c") else APACHE  # the kernel takes no other
        if f"SPDX-License-Identifier: {wanted}" not in head:
            faults.append(f"{path}:1: no line SPDX-License-Identifier: {wanted}")
    return faults


def check_size(root: Path, paths: list[Path], exceptions: dict[str, int]) -> list[str]:
    faults = []
    for path in paths:
        lines = (root / path).read_text(errors="replace").count("\n")
        limit = exceptions.get(str(path), LINES_MAX)
        if lines > limit:
            faults.append(f"{path}:{lines}: {lines} lines, the budget is {limit} (split it, or tests/check/size_exceptions.txt)")
    return faults


def read_exceptions(file: Path) -> dict[str, int]:
    """Lines of "path lines reason"."""
    exceptions = {}
    if file.exists():
        for line in file.read_text().splitlines():
            if line and not line.startswith("#"):
                path, limit, reason = line.split(maxsplit=2)
                exceptions[path] = int(limit)
    return exceptions


def check_readme(paths: list[Path], code: list[Path]) -> list[str]:
    """Every folder with code at any depth, and every one of the first two levels; deeper ones of data alone are explained there."""
    folders = {Path(*path.parts[:depth]) for path in paths for depth in (1, 2) if len(path.parts) > depth}
    folders |= {folder for path in code for folder in path.parents if folder.parts}
    have = {path.parent for path in paths if path.name == "README.md"}
    return [f"{folder}/README.md:1: is missing" for folder in sorted(folders - have) if not folder.parts[0].startswith(".")]


def check_markers(root: Path, paths: list[Path]) -> list[str]:
    return [f"{path}:{number}: {match[1]}: finish it or open an issue" for path in paths
            for number, line in enumerate((root / path).read_text(errors="replace").splitlines(), 1)
            if (match := MARKER.search(line))]


def check(root: Path) -> list[str]:
    root = root.resolve()
    everything = files(root)
    code = [path for path in everything if is_code(root, path)]
    exceptions = read_exceptions(root / "tests/check/size_exceptions.txt")
    return (include_directions.check(root) + check_spdx(root, code) + check_size(root, code, exceptions)
            + check_readme(everything, code) + check_markers(root, code))


def main() -> int:
    faults = check(Path(sys.argv[1]))
    print("\n".join(faults) if faults else "house: clean")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
