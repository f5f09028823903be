# SPDX-License-Identifier: Apache-2.0
"""Real DNS clients: how each is built, called and read. Knows nothing of containers, servers or Penstock.

Every client gives look-ups: what it says of an error, how long it took, the addresses, and the errno of a connect to one at once.
"""
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).parent / "client_programs"
TOOLS = "/usr/bin:/bin"  # the distribution's, as packages.txt installs them


@dataclass
class LookUp:
    error: str | None
    us: float
    addresses: list[str]
    connect: int | None = None  # None: the client does not connect


def tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS)
    if found is None:
        raise RuntimeError(f"{name} is not installed (./dev setup)")
    return found


def build(directory: Path) -> None:
    """The programs that are compiled: `resolve-glibc`, `resolve-musl`, `resolve-go`, side by side. Offline."""
    source = str(PROGRAMS / "resolve.c")
    go = {"PATH": TOOLS, "HOME": str(directory), "GOCACHE": str(directory / "go-cache"), "GOPROXY": "off", "GOFLAGS": "",
          "GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    commands = {"glibc": ([tool("gcc"), "-O2", "-o", "resolve-glibc", source], None),
                "musl": ([tool("musl-gcc"), "-static", "-O2", "-o", "resolve-musl", source], None),
                "go": ([tool("go"), "build", "-tags", "netgo", "-o", "resolve-go", str(PROGRAMS / "resolve.go")], go)}
    started = {name: subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
               for name, (command, environment) in commands.items()}
    failed = {name: said for name, process in started.items() if (said := process.communicate(timeout=120)[0]) and process.returncode}
    if failed:
        raise RuntimeError(f"the clients do not build: {failed}")


class Resolve:
    """One of our programs."""

    needs_server = False

    def __init__(self, name: str, *command: str):
        self.name, self.command = name, command

    def words(self, name: str, times: int, server: str = "", tcp: bool = False) -> list[str]:
        return [*self.command, name, str(times), "80"]

    def read(self, code: int, output: str, us: float) -> list[LookUp]:
        """A program that did not get to its first line (stopped while it waits) gives none."""
        rows = [json.loads(line) for line in output.splitlines()]
        return [LookUp(row["error"], row["us"], row["addresses"] or [], row.get("connect")) for row in rows]


class Curl:
    """Its time is that of the whole process; it says more in words than in its exit code."""

    name, needs_server = "curl", False

    def words(self, name: str, times: int, server: str = "", tcp: bool = False) -> list[str]:
        return [tool("curl"), "-sS", "-m", "20", "-o", os.devnull, "-w", "%{http_code} %{remote_ip}\\n", f"http://{name}/"]

    def read(self, code: int, output: str, us: float) -> list[LookUp]:
        status, _, address = output.splitlines()[0].strip().partition(" ")
        said = next((line for line in output.splitlines() if line.startswith("curl:")), None)
        return [LookUp(said, us, [address] if address else [], 0 if status == "200" else None)]


class Dig:
    """Asks the server it is given, for A, over UDP or TCP. One try of a second: by itself it would try three times, 5 or 10 s each."""

    name, needs_server = "dig", True

    def words(self, name: str, times: int, server: str = "", tcp: bool = False) -> list[str]:
        return [tool("dig"), "+short", "+tries=1", "+time=1", *(["+tcp"] if tcp else []), f"@{server}", name, "A"]

    def read(self, code: int, output: str, us: float) -> list[LookUp]:
        lines = output.splitlines()
        said = next((line for line in lines if line.startswith(";;")), None)
        return [LookUp(said if code else None, us, [line for line in lines if line[:1].isdigit()])]


def clients(directory: Path) -> dict[str, object]:
    """Those that read resolv.conf, and dig. `build` comes first."""
    ours = [Resolve(name, str(directory / f"resolve-{name}")) for name in ("glibc", "musl", "go")]
    python = Resolve("python", sys.executable, "-I", str(PROGRAMS / "resolve.py"))
    return {client.name: client for client in [*ours, python, Curl(), Dig()]}
