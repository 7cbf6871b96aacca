"""
Processes of the program without what a start costs: born by fork from one that has loaded everything.

Each is a process as a shell would start it, with an environment, open files, signals and an end of its
own; it only need not load the modules, which takes a second each. `python -m tests.nursery MODULE…`
loads these, then reads from the socket that is its standard input whom to bear and whose end to tell.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
LONGEST = 1 << 20
PR_SET_PDEATHSIG = 1
WATCHDOG = (
    "watchdog.commands.running",
    "watchdog.commands.auditing",
    "watchdog.commands.checking",
    "watchdog.commands.alerts",
    "watchdog.commands.silences",
    "watchdog.commands.reaching",
    "watchdog.remote",
    "watchdog.logs.book",
    "watchdog.logs.journal",
    "watchdog.logs.logset",
    "watchdog.logs.reader",
    "watchdog.endpoints.question",
    "watchdog.settings.files",
    "watchdog.systemctl.culprit",
    "watchdog.notifiers.webhook",
    "structlog",
    "email.utils",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "anyio._backends._asyncio",
)
"""What `watchdog run` has loaded once it is ready, and the commands that are tried on it."""


class Born:
    """A process that was born, with what tests need of `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return how it ended, or None if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended."""
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = self._nursery.end_of(self.pid)
            os.close(self._handle)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that bears others; it ends with this one, and they with it."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._lock = threading.Lock()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, *modules],
                stdin=its.fileno(),
                cwd=ROOT,
                # Threads would not be there after a fork.
                env={**os.environ, **(environment or {}), "OPENBLAS_NUM_THREADS": "1"},
            )

    def __enter__(self) -> Nursery:
        """Return itself, to be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def pid(self) -> int:
        """Return its process."""
        return self._process.pid

    def close(self) -> None:
        """End it, and whoever is left of those it bore."""
        self._socket.close()
        self._process.wait()

    def bear(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        out: IO[Any],
        err: IO[Any],
        directory: str | Path = "",
    ) -> Born:
        """Start `python -m` *argv* in a session of its own, with its output going to *out* and *err*."""
        wanted = {"argv": list(argv), "environment": dict(environment), "cwd": str(directory or Path.cwd())}
        return Born(self, self._ask(wanted, [out.fileno(), err.fileno()]))

    def end_of(self, pid: int) -> int:
        """Return how *pid* ended, as `Popen.returncode` has it."""
        return self._ask({"ended": pid})

    def _ask(self, wanted: Mapping[str, object], files: Sequence[int] = ()) -> int:
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], files)
            answer = self._socket.recv(LONGEST)
        assert answer, "the nursery ended"
        return int(answer)


@functools.cache
def of_the_watchdog() -> Nursery:
    """Return the nursery of `watchdog`, started when it is first needed."""
    nursery = Nursery(WATCHDOG)
    atexit.register(nursery.close)
    return nursery


# ---- the nursery's side ------------------------------------------------------------------------


def tend(parent: socket.socket) -> list[str] | None:
    """Bear and bury until *parent* is gone; in a process that was born return its arguments."""
    alive: set[int] = set()
    while True:
        asked, files, _, _ = socket.recv_fds(parent, LONGEST, 2)
        if not asked:
            break
        wanted = json.loads(asked)
        if "ended" in wanted:
            _, status = os.waitpid(wanted["ended"], 0)
            alive.discard(wanted["ended"])
            parent.send(str(os.waitstatus_to_exitcode(status)).encode())
        elif child := os.fork():
            alive.add(child)
            for file in files:
                os.close(file)
            parent.send(str(child).encode())
        else:
            return begin(parent, wanted, files)
    for child in alive:
        with contextlib.suppress(ProcessLookupError):  # its session may be made yet
            os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return None


def begin(parent: socket.socket, wanted: Mapping[str, Any], files: Sequence[int]) -> list[str]:
    """Become the process that is *wanted* and return its arguments."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # even if the nursery is killed
    parent.close()
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, *files)):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    time.tzset()
    os.chdir(wanted["cwd"])
    return list(wanted["argv"])


def main(modules: Sequence[str]) -> None:
    """Load *modules*, then do as told."""
    for module in modules:
        importlib.import_module(module)
    if modules == list(WATCHDOG):
        importlib.import_module("watchdog.config").load(
            ROOT / "rules.yaml", {}
        )  # most shapes are made by this
    argv = tend(socket.socket(fileno=os.dup(0)))
    if argv is not None:
        sys.argv = argv
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
