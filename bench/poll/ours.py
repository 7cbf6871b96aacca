"""The sidecar in a process of its own (`served.py`), seen from the benchmark."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.notify.child import ROOT, Answer, BenchError, Child
from bench.poll.streams import GROUPS, MOVED
from watchdog.demo.server import HOST, tethered


@dataclass(frozen=True, slots=True)
class Spent:
    """What a piece of work took, in seconds."""

    wall: float
    cpu: float
    ticks: int = 1


@dataclass(frozen=True, slots=True)
class Ours:
    """The running sidecar."""

    child: Child

    @property
    def pid(self) -> int:
        """Return its process ID."""
        return self.child.pid

    def load(self) -> Spent:
        """Have it read the rules file."""
        return Spent(**self.child.ask("load"))

    def build(self, *, patient: bool = True) -> Spent:
        """Have it build a sidecar that never ticked; *patient* waits for every look, however slow."""
        return Spent(**self.child.ask("build", patient=patient))

    def tick(self) -> Spent:
        """Have it tick, at least as much later than the last time as the file says."""
        return Spent(**self.child.ask("tick"))

    def settle(self) -> Spent:
        """Have it tick until it has seen everything."""
        found = Spent(**self.child.ask("settle"))
        self.check(0)
        return found

    def check(self, moved: int) -> None:
        """Raise BenchError unless it sees all, finds nothing wrong, and saw *moved* streams move."""
        answer = self.child.ask("check")
        if answer["wrong"]:
            raise BenchError(answer["wrong"])
        expected = {"added": moved * MOVED, "read": moved * MOVED * len(GROUPS)}
        if answer["counted"] != expected:
            raise BenchError(f"the sidecar counted {answer['counted']} instead of {expected}")

    def serve(self) -> str:
        """Have it serve HTTP, and return the address of its metrics."""
        return f"http://{HOST}:{self.child.ask('serve')['port']}/metrics"

    def longest_gap(self) -> float:
        """Return for how long its event loop got to nothing else, at most, since this was asked last."""
        return float(self.child.ask("gap")["seconds"])

    def sample(self) -> None:
        """From now on note where its CPU goes."""
        self.child.ask("sample")

    def sampled(self) -> tuple[dict[str, float], float]:
        """Return the share of each stage since `sample`, and that of garbage collection in all of them."""
        answer = self.child.ask("sampled")
        return answer["shares"], answer["collecting"]

    def keep_ticking(self, pause: float) -> None:
        """Have it tick, pause, and tick again, until `halt`."""
        self.child.ask("keep_ticking", pause=pause)

    def halt(self) -> Spent:
        """Stop what `keep_ticking` began; return the median of its ticks, and how many there were."""
        return Spent(**self.child.ask("halt"))

    def start(self) -> None:
        """Have it run as `watchdog run` does, by its own clock."""
        self.child.ask("start")

    def state(self) -> Answer:
        """Return its ``ticks`` so far, and whether it sees everything (``whole``)."""
        return self.child.ask("state")

    def stop(self) -> None:
        """End what `start` began."""
        self.child.ask("stop")


@contextmanager
def running_sidecar(rules: Path, streams: int, *shard: str) -> Iterator[Ours]:
    """Run the sidecar of *rules* (or one *shard*), which must find so many *streams*, within the block."""
    argv = tethered([sys.executable, "-m", "bench.poll.served", str(rules), str(streams), *shard])
    log = rules.with_suffix(".log")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield Ours(Child("the sidecar", process, log))
        finally:
            process.kill()
