# SPDX-License-Identifier: Apache-2.0
"""Include directions of the house: who may include whom, and no loops. Pure: reads files, returns faults.

The arrows are those of the design (levels base < kernel < container, sync < telemetry < daemon, cli). A fault is
"file:line: what and why".
"""
import re
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".c", ".cpp", ".hpp"}

ABI = "bpf/abi.h"
U = "userspace/"
# area: areas its files may include, besides its own. Folders not named here (tests, bench) may include everything.
ALLOWED = {
    "bpf": set(),
    "policy": {ABI},
    U + "base": set(),
    U + "kernel": {U + "base", ABI},
    U + "container": {U + "base", U + "kernel", "policy", ABI},
    U + "sync": {U + "base", U + "kernel", "policy", ABI},
    U + "telemetry": {U + "base", U + "kernel", U + "container", "policy", ABI},
    U + "daemon": {U + "base", U + "kernel", U + "container", U + "sync", U + "telemetry", "policy", "cp_client", ABI},
    U + "cli": {U + "base", "policy", ABI},
    "cp_client": {U + "base"},
    "cp_server": {"policy", U + "base"},
}
# area: outside headers it must not see, with the reason
FOREIGN = {
    "policy": (("bpf/", "libbpf"), ("boost/asio", "Asio"), ("chrono", "a clock"), ("ctime", "a clock"), ("time.h", "a clock"),
               ("sys/", "the system"), ("linux/", "the system"), ("unistd.h", "the system"), ("fcntl.h", "files"),
               ("stdio.h", "files"), ("iostream", "files"), ("fstream", "files"), ("filesystem", "files")),
    "cp_client": (("bpf/", "libbpf"),),
}
LIBBPF_ONLY_IN = U + "kernel"


def area_of(path: str) -> str | None:
    """The longest area a path below the root stands in."""
    found = [area for area in ALLOWED if path.startswith(area + "/")]
    return max(found, key=len) if found else None


def sources(root: Path, folders=("bpf", "policy", "userspace", "cp_client", "cp_server", "tests", "bench")) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*") if path.suffix in SUFFIXES)


def includes(path: Path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1] == '"', match[2]


def target_of(root: Path, path: Path, quoted: bool, name: str) -> str | None:
    """The included file below the root, or None for a header from outside (or a generated one)."""
    candidates = [root / name]
    if quoted:
        candidates += [path.parent / name, root / "bpf" / name]
    for candidate in candidates:
        resolved = candidate.resolve()
        if resolved.is_file() and resolved.is_relative_to(root):
            return str(resolved.relative_to(root))
    return None


def fault_of(area: str, name: str, target: str | None) -> str | None:
    if target is None:
        for prefix, what in FOREIGN.get(area, ()):
            if name == prefix or name.startswith(prefix) and prefix.endswith(("/", "asio")):
                return f"{area} must not see {what}: {name}"
        libbpf = name.startswith("bpf/") or name.endswith(".skel.h")
        if libbpf and area not in (LIBBPF_ONLY_IN, "bpf"):
            return f"only {LIBBPF_ONLY_IN} may see libbpf: {name}"
        return None
    other = area_of(target)
    if other == area or target in ALLOWED[area] or other in ALLOWED[area]:
        return None
    return f"{area} must not include {other or 'that'}: {target}"


def loops(graph: dict[str, list[tuple[int, str]]]) -> list[str]:
    faults, state, trail = [], {}, []

    def visit(file: str) -> None:
        state[file] = "open"
        trail.append(file)
        for number, target in graph.get(file, []):
            if state.get(target) == "open":
                faults.append(f"{file}:{number}: include loop: {' > '.join(trail[trail.index(target):] + [target])}")
            elif target not in state:
                visit(target)
        trail.pop()
        state[file] = "done"

    for file in sorted(graph):
        if file not in state:
            visit(file)
    return faults


def check(root: Path) -> list[str]:
    root = root.resolve()
    faults, graph = [], {}
    for path in sources(root):
        relative = str(path.relative_to(root))
        area, edges = area_of(relative), []
        for number, quoted, name in includes(path):
            target = target_of(root, path, quoted, name)
            if target:
                edges.append((number, target))
            if area and (fault := fault_of(area, name, target)):
                faults.append(f"{relative}:{number}: {fault}")
        graph[relative] = edges
    return faults + loops(graph)
