# SPDX-License-Identifier: Apache-2.0
"""`penstockd` and `penstock` in the lab: private directories, start, kill, API, CLI. Uses only public interfaces."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def build_directory() -> Path:
    """Where the built programs are: $PENSTOCK_BUILD, else the dev preset's."""
    return Path(os.environ.get("PENSTOCK_BUILD") or HERE.parent.parent / "build" / "dev")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float):
        super().__init__("penstock", timeout=timeout)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, directory: Path, cgroup: Path, gate: Path):
        self.directory, self.cgroup, self.gate = directory, cgroup, gate
        self.policies, self.bpffs = directory / "policies.d", directory / "bpffs"
        self.run, self.state, self.socket = directory / "run", directory / "state", directory / "run" / "api.sock"
        self.log, self.process, self.starts = directory / "penstockd.log", None, 0
        for path in (self.policies, self.bpffs, self.run, self.state):
            path.mkdir()
        subprocess.run(["mount", "-t", "bpf", "bpf", str(self.bpffs)], check=True)

    def program(self, name: str) -> str:
        folder = {"penstockd": "daemon", "penstock": "cli"}[name]
        path = build_directory() / "userspace" / folder / name
        if not path.exists():
            raise RuntimeError(f"{path} is not built (./dev build, or set PENSTOCK_BUILD)")
        return str(path)

    def flags(self) -> list[str]:
        return ["--gate-root", str(self.gate), "--policies", str(self.policies), "--state-dir", str(self.state),
                "--run-dir", str(self.run), "--bpffs", str(self.bpffs / "penstock"), "--api-socket", str(self.socket),
                "--log-level", "info"]

    def write(self, policies: dict[str, str]) -> None:
        """Replaces the policy directory's files; does not reload."""
        for old in self.policies.iterdir():
            if old.name not in policies:
                old.unlink()
        for name, text in policies.items():
            temporary = self.policies / f".{name}.new"
            temporary.write_text(text)
            temporary.rename(self.policies / name)

    def start(self, policies: dict[str, str] | None = None, *extra: str, deadline_s: float = 60) -> None:
        if policies is not None:
            self.write(policies)
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(HERE / "enter.py"), str(self.cgroup), "-", "-",
                 self.program("penstockd"), *self.flags(), *extra], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.starts += 1
        self.wait_ready(deadline_s)

    def wait_ready(self, deadline_s: float) -> None:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"penstockd ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"penstockd is not ready after {deadline_s} s:\n{self.log_tail()}")

    def log_tail(self, characters: int = 4000) -> str:
        return self.log.read_text()[-characters:] if self.log.exists() else "(no log)"

    def kill9(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self, deadline_s: float = 20) -> int:
        self.process.terminate()
        return self.process.wait(deadline_s)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float = 10) -> tuple[int, bytes]:
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def reload(self, timeout: float = 10) -> dict:
        """The policy directory as it is now is in force when this returns."""
        status, body = self.request("POST", "/v1/reload", b"", timeout)
        assert status == 200, (status, body[:2000])
        return json.loads(body)

    def get(self, path: str) -> dict:
        status, body = self.request("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:500]!r}")
        return json.loads(body)

    def cli(self, *words: str, timeout: float = 30) -> subprocess.CompletedProcess:
        return subprocess.run([self.program("penstock"), *words, "--api-socket", str(self.socket)],
                              capture_output=True, text=True, timeout=timeout)

    def detach_all(self) -> subprocess.CompletedProcess:
        return subprocess.run([self.program("penstockd"), *self.flags(), "--detach-all"], capture_output=True, text=True,
                              timeout=60)

    def close(self) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                try:
                    self.stop()
                except subprocess.TimeoutExpired:
                    self.kill9()
            if self.starts:
                done = self.detach_all()
                if done.returncode != 0:
                    raise RuntimeError(f"penstockd --detach-all: {done.returncode} {done.stderr}")
        finally:
            # Whatever is still pinned goes with the file system itself: pins hold the links, nothing else does.
            subprocess.run(["umount", str(self.bpffs)], check=True)
