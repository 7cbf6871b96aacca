"""
Programs that are run to be asked something: without a shell, within a time, with all they started.

A program gets no input and a process group of its own. When its time is up the whole group is killed,
and when it ends by itself whatever it left behind is killed, so that nothing piles up look by look.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from watchdog.errors import CollectError
from watchdog.units import show_duration

LARGEST_BYTES = 1 << 20
"""What a program prints beyond this is read and thrown away."""
LAST_WAIT = 1.0
"""How many seconds the kernel has for ending what was killed."""
GLANCE = 0.02
"""How often, in seconds, to see whether it ended although something holds its output open."""
_groups: set[int] = set()


@atexit.register
def _leave_nothing() -> None:
    for group in list(_groups):
        _kill(group)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit status (below zero: the signal), what it printed, the seconds it took."""

    status: int
    out: str
    err: str
    took: float


class Program:
    """One program that is run again and again, never twice at once; for one thread at a time."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], folder: str | None) -> None:
        """Run *argv* with nothing but *environment*, in *folder* if one is given."""
        self.argv = list(argv)
        self._environment = dict(environment)
        self._folder = folder
        self._stuck: subprocess.Popen[bytes] | None = None

    def run(self, patience: timedelta) -> Ended:
        """
        Run it and return how it ended.

        Raise CollectError with one sentence if it cannot be started, or does not end within *patience*.
        """
        if self._stuck is not None and self._stuck.poll() is None:
            raise CollectError("the run before cannot be ended, not even by SIGKILL: it hangs in the kernel")
        self._stuck = None
        began = time.perf_counter()
        process = self._start()
        _groups.add(process.pid)
        try:
            said = _listen(process, began + patience.total_seconds())
            took = time.perf_counter() - began
        finally:
            self._bury(process)
        if said is None:
            raise CollectError(
                f"it did not end within {show_duration(patience.total_seconds())} and was killed"
            )
        out, err = (bytes(text).decode("utf-8", "replace") for text in said)
        return Ended(process.returncode, out, err, took)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - that is what the file asks for, and there is no shell
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._environment,
                cwd=self._folder,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            raise CollectError(_why_not(exc, self.argv[0], self._folder)) from exc

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the group, take in the exit status, and close the pipes."""
        _kill(process.pid)  # before the status is taken in, which would set the number free for others
        try:
            process.wait(LAST_WAIT)
        except subprocess.TimeoutExpired:
            self._stuck = process
        _groups.discard(process.pid)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _listen(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytearray, bytearray] | None:
    """Return what *process* printed once it ended, or None if it does not by *deadline*."""
    assert process.stdout is not None
    assert process.stderr is not None
    said: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
        while not _ended(process):
            left = deadline - time.perf_counter()
            if left <= 0:
                return None
            for key, _ in selector.select(min(left, GLANCE)):
                pipe = next(pipe for pipe in said if pipe is key.fileobj)
                if not _take(pipe, said[pipe]):
                    selector.unregister(pipe)
    for pipe, text in said.items():
        with contextlib.suppress(BlockingIOError):  # held open by one that was left behind
            while len(text) < LARGEST_BYTES and _take(pipe, text):
                pass
    return said[process.stdout], said[process.stderr]


def _take(pipe: IO[bytes], text: bytearray) -> bool:
    """Put what is in *pipe* into *text* as long as there is room; say whether there may come more."""
    found = os.read(pipe.fileno(), 1 << 16)
    text += found[: LARGEST_BYTES - len(text)]
    return bool(found)


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Say whether *process* ended, without taking its exit status in."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _why_not(exc: OSError | ValueError, program: str, folder: str | None) -> str:
    """Say in one sentence why *program* cannot be started, by looking."""
    if folder is not None and not Path(folder).is_dir():
        return f"it cannot be started: there is no folder {folder}"
    if isinstance(exc, FileNotFoundError):
        if Path(program).exists():
            return f"{program} cannot be started: the interpreter in its first line is missing"
        return f"there is no program {program}"
    if isinstance(exc, PermissionError):
        return f"{program} is not executable for the watchdog's user"
    if isinstance(exc, OSError) and exc.strerror == "Exec format error":
        return f'{program} is no program: its first line does not name an interpreter ("#!/bin/sh")'
    return f"{program} cannot be started: {exc.strerror if isinstance(exc, OSError) else exc}"
