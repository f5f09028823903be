# SPDX-License-Identifier: Apache-2.0
"""Loads that are too fast for Python: the programs of load_programs/, built, started in a container and asked for their books."""
import subprocess
from pathlib import Path

from clients import tool
from container import HERE, Agent


class Programs:
    """Built once a lab."""

    def __init__(self, lab):
        self.lab = lab

    def built(self, name: str) -> str:
        program = self.lab.directory / name
        if not program.exists():
            source = HERE / "load_programs" / f"{name}.c"
            subprocess.run([tool("gcc"), "-O2", "-Wall", "-Werror", "-o", str(program), str(source)], check=True)
        return str(program)

    def start(self, container, name: str, *words, cgroup: Path | None = None) -> Agent:
        """In the container, or in its network namespace alone and that cgroup."""
        command = container.command(self.built(name), *map(str, words))
        if cgroup is not None:
            command[command.index(str(container.cgroup))] = str(cgroup)
        agent = Agent(command)
        self.lab.cleanups.append(agent.close)
        return agent


def end(*agents: Agent) -> list[dict]:
    """Stops them all; what each says it did."""
    for agent in agents:
        agent.process.stdin.write(b"\n")
        agent.process.stdin.flush()
    books = [agent.read_line(60) for agent in agents]
    for agent in agents:
        agent.close()
    assert all(book["error"] is None for book in books), books
    return books
