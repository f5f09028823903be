# SPDX-License-Identifier: Apache-2.0
"""A program in a terminal of its own: what it draws, keys pressed, the window's size, the mode it leaves behind.

Understands no more of ANSI than a table needs that is drawn whole from the upper left corner.
"""
import fcntl
import os
import pty
import re
import selectors
import struct
import subprocess
import termios
import time

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOME = "\x1b[H"


class Terminal:
    def __init__(self, *command: str, columns: int = 80, lines: int = 24):
        self.master, self.slave = pty.openpty()
        self.resize(columns, lines)
        self.before = self.mode()
        self.text = ""
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env={**os.environ, "TERM": "xterm"}, start_new_session=True, preexec_fn=self.take_terminal)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.master, selectors.EVENT_READ)

    @staticmethod
    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # keys like ^C are signals of its own session

    def mode(self) -> list:
        return termios.tcgetattr(self.slave)

    def resize(self, columns: int, lines: int) -> None:
        """Tells the program, too."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, seconds: float) -> None:
        if self.selector.select(seconds):
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def screen(self) -> list[str]:
        """The last picture that is whole: it ends by clearing what is below."""
        whole = self.text[:self.text.rfind("\x1b[J") + 1]
        last = whole[whole.rfind(HOME):] if HOME in whole else ""
        return [ESCAPE.sub("", line).rstrip("\r\x1b") for line in last.split("\n")]

    def until(self, check, deadline_s: float, what: str) -> list[str]:
        end = time.monotonic() + deadline_s
        while not check(self.screen()):
            assert time.monotonic() < end, f"not within {deadline_s} s: {what}; the screen is\n" + "\n".join(self.screen())
            self.read(0.1)
        return self.screen()

    def wait(self, deadline_s: float) -> int:
        """Its exit code; reads on meanwhile, as nobody can end who has to write."""
        end = time.monotonic() + deadline_s
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        code = self.process.wait(0.1)
        self.read(0.05)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        self.selector.close()
        os.close(self.master)
        os.close(self.slave)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_) -> None:
        self.close()
