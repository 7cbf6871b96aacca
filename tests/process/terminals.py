"""A terminal of the test's own: a program runs in it, its screen can be read, its keys pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyte

CLEAN = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")


class Terminal:
    """A program in a terminal, and what stands on the screen."""

    def __init__(self, arguments: Sequence[str], columns: int, lines: int, **environment: str) -> None:
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._master, self._slave = pty.openpty()
        self._changed = threading.Condition()
        self.written = b""
        self._size(columns, lines)
        self.before = self.mode()
        kept = {name: told for name, told in os.environ.items() if name not in CLEAN}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "watchdog", *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**kept, "TERM": "xterm-256color", **environment},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            with self._changed:
                self.written += data
                self._stream.feed(data)
                self._changed.notify_all()

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def mode(self) -> list[Any]:
        """Return how the terminal is set."""
        return termios.tcgetattr(self._slave)

    @property
    def shown(self) -> list[str]:
        """Return the lines of the screen."""
        return [line.rstrip() for line in self.screen.display]

    def until(self, *texts: str, within: float = 20) -> list[str]:
        """Return the screen once all *texts* stand on it."""
        deadline = time.monotonic() + within
        with self._changed:
            while not all(text in "\n".join(self.shown) for text in texts):
                left = deadline - time.monotonic()
                assert left > 0, "\n".join([f"{texts} did not come:", *self.shown])
                self._changed.wait(left)
            return self.shown

    def press(self, keys: str) -> None:
        """Press *keys*."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        with self._changed:
            self.screen.resize(lines, columns)
        self._size(columns, lines)  # the kernel sends SIGWINCH

    def end(self, number: signal.Signals | None = None) -> int:
        """Return how the program ended, after *number* is sent to it if one is."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def drain(self) -> None:
        """Wait until all that the program wrote has been read: a mark of ours comes after it."""
        os.write(self._slave, b"\x1b]2;read\x07")
        with self._changed:
            self._changed.wait_for(lambda: self.screen.title == "read", timeout=10)

    def close(self) -> None:
        """End whatever is left."""
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)


@contextmanager
def terminal(*arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> Iterator[Terminal]:
    """Give a terminal in which `watchdog` runs with these *arguments*."""
    opened = Terminal(arguments, columns, lines, **environment)
    try:
        yield opened
    finally:
        opened.close()
