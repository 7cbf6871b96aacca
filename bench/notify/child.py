"""Processes that are asked one question at a time: a line of JSON there, a line of JSON back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchdog.demo.server import tethered

ROOT = Path(__file__).resolve().parent.parent.parent
Answer = dict[str, Any]


class BenchError(RuntimeError):
    """The benchmark cannot be run, or did not measure what it says."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process that answers questions."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        """Return its process ID."""
        return self.process.pid

    def ask(self, do: str, **more: object) -> Answer:
        """Have it *do* something and return its answer; raise BenchError if it has none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            said = self.log.read_text(errors="replace")[-2000:].rstrip()
            raise BenchError(f"{self.name} ended with status {self.process.wait()} at {do!r}:\n{said}")
        answer: Answer = json.loads(line)
        return answer


@contextmanager
def running(module: str, *args: str, log: Path) -> Iterator[Child]:
    """Run a module of this package as long as the block lasts; what it logs goes to *log*."""
    argv = tethered([sys.executable, "-m", f"{__package__}.{module}", *args])
    with (
        log.open("w") as errors,
        subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield Child(module, process, log)
        finally:
            process.kill()


async def serve(answer: Callable[[Answer], Awaitable[Answer]]) -> None:
    """Answer the questions on standard input, in order, until there are no more."""
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(questions), sys.stdin
    )
    while line := await questions.readline():
        sys.stdout.write(json.dumps(await answer(json.loads(line))) + "\n")
        sys.stdout.flush()
