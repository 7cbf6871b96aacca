"""What is measured of a running sidecar, from outside: of the kernel, of /metrics, of the state file."""

from __future__ import annotations

import os
import re
import sqlite3
import time
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.notify.child import BenchError
from bench.poll.process import cpu_of, rss
from bench.soak.verdict import Bound

PARTS = ("", "-wal", "-shm")
LINE = re.compile(r"^(watchdog_\w+) (\S+)$", re.MULTILINE)
PAGE = "/"
"""What somebody looks at who has the page open."""


@dataclass(frozen=True, slots=True)
class Sample:
    """
    What was seen at one moment.

    Sizes are in bytes; *kept* is the text of all that the state file keeps but for its two logs, of which
    *rows* are counted. *cpu*, *spent* (seconds in ticks) and *ticks* grow.
    """

    at: float
    rss: int
    fds: int
    threads: int
    file: int
    kept: int
    rows: int
    cpu: float
    spent: float
    ticks: int
    failed: int


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar: its process, its address, its state file."""

    pid: int
    url: str
    state: Path

    def ask(self, path: str) -> bytes:
        """Return what it answers."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def ready(self) -> bool:
        """Say whether it looks at all there is."""
        try:
            return self.ask("/-/ready") != b""
        except OSError:
            return False

    def sample(self) -> Sample:
        """Look at it; of what it serves only /metrics is asked."""
        own = {name: float(value) for name, value in LINE.findall(self.ask("/metrics").decode())}
        status = Path(f"/proc/{self.pid}/status").read_text()
        kept, rows = self._kept()
        return Sample(
            at=time.monotonic(),
            rss=rss(self.pid),
            fds=len(os.listdir(f"/proc/{self.pid}/fd")),
            threads=int(re.findall(r"Threads:\s*(\d+)", status)[0]),
            file=sum(part.stat().st_size for part in map(self._part, PARTS) if part.exists()),
            kept=kept,
            rows=rows,
            cpu=cpu_of(self.pid),
            spent=own["watchdog_tick_seconds_total"],
            ticks=int(own["watchdog_ticks_total"]),
            failed=int(own["watchdog_ticks_failed_total"]),
        )

    def _part(self, part: str) -> Path:
        return Path(f"{self.state}{part}")

    def _kept(self) -> tuple[int, int]:
        with closing(sqlite3.connect(f"file:{self.state}?mode=ro", uri=True, timeout=5)) as db:
            (kept,) = db.execute(
                "SELECT total(length(book) + length(key) + length(json)) FROM kept"
            ).fetchone()
            (rows,) = db.execute(
                "SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM events)"
            ).fetchone()
        return int(kept), int(rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """One column of the verdict: what it is, its unit, and how much it may grow."""

    title: str
    unit: str
    bound: Bound
    digits: int = 0


MB, KB, MS = 1e6, 1e3, 1e-3
FIGURES: Mapping[str, Figure] = {
    "rss": Figure("memory (RSS)", "MB", Bound(share=0.02, least=1.0), 1),
    "fds": Figure("file descriptors", "", Bound(least=0.5)),
    "threads": Figure("threads", "", Bound(least=0.5)),
    "file": Figure("state file with its WAL", "MB", Bound(share=0.05, least=0.5), 2),
    "kept": Figure("what the state file keeps, without its two logs", "kB", Bound(share=0.05, least=5.0), 1),
    "tick": Figure("a tick", "ms", Bound(share=0.1, least=1.0), 1),
    "cpu": Figure("CPU, of a core", "%", Bound(share=0.1, least=0.5), 2),
}
"""What must be flat, by name."""


def series(samples: list[Sample]) -> Mapping[str, list[tuple[float, float]]]:
    """Return each figure of `FIGURES` over time, in its unit; of what only grows, what it gained."""
    if len(samples) < 3:
        raise BenchError("too few samples for a verdict (let it run longer)")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in FIGURES}
    for before, after in pairwise(samples):
        seconds, ticks = after.at - before.at, after.ticks - before.ticks
        values = {
            "rss": after.rss / MB,
            "fds": after.fds,
            "threads": after.threads,
            "file": after.file / MB,
            "kept": after.kept / KB,
            "cpu": (after.cpu - before.cpu) / seconds * 100,
        }
        if ticks:
            values["tick"] = (after.spent - before.spent) / ticks / MS
        for name, value in values.items():
            found[name].append((after.at, value))
    return found
