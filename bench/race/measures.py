"""One race: everybody watches, one stream after another breaks, and everybody tells."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.notify.child import BenchError
from bench.poll.streams import running_world
from bench.race.faults import Saboteur, moments, traffic
from bench.race.postbox import running_postbox
from bench.race.sides import Runner, Timing, running_sidecar, running_stack

SAMPLE = 0.5
"""So often memory is looked at."""
STARTING = 60.0
"""So long at most, beside its own waiting, a side may take until it has told of its first fault."""


@dataclass(frozen=True, slots=True)
class Heat:
    """How one race is run: so many *trials* within so many *seconds*."""

    streams: int
    timing: Timing
    polls: Sequence[int]
    trials: int
    seconds: float
    seed: int = 7

    @property
    def paths(self) -> Mapping[int, str]:
        """Return where each sidecar posts to, by its poll."""
        return {every: f"/every/{every}" for every in self.polls}

    @property
    def patience(self) -> float:
        """Return how long to wait for the last pages: three times what the stack takes at the worst."""
        return 3.0 * (self.timing.scrape + self.timing.evaluate + self.timing.group_wait) + 10.0


@dataclass(frozen=True, slots=True)
class Finish:
    """
    How a side came in: the seconds from each fault to its page, and of how many faults it told nothing.

    *false* counts the pages about streams that nobody broke. *cpu* is a share of one core,
    *steady* and *peak* are bytes, by process.
    """

    name: str
    heat: Heat
    seconds: Sequence[float]
    missed: int
    false: int
    cpu: Mapping[str, float]
    steady: Mapping[str, float]
    peak: Mapping[str, int]


class Meter:
    """What a runner takes, from when this was made until `read`."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._sizes = {process: [size] for process, size in runner.rss().items()}
        self._began, self._cpu = time.perf_counter(), runner.cpu()

    def weigh(self) -> None:
        """Note how much memory each process has."""
        for process, size in self.runner.rss().items():
            self._sizes[process].append(size)

    def read(self, heat: Heat, came: Mapping[str, float], broken: Mapping[str, float]) -> Finish:
        """Return how the runner came in: of each stream when its page *came* and when it was *broken*."""
        took = time.perf_counter() - self._began
        told = [came[stream] - at for stream, at in broken.items() if stream in came]
        if min(told, default=0.0) < 0:
            raise BenchError(f"{self.runner.name} told of a fault before it was there")
        return Finish(
            self.runner.name,
            heat,
            sorted(told),
            len(broken) - len(told),
            len(came.keys() - broken.keys()),
            {process: (cpu - self._cpu[process]) / took for process, cpu in self.runner.cpu().items()},
            {process: statistics.median(sizes) for process, sizes in self._sizes.items()},
            self.runner.peak(),
        )


@contextmanager
def weighing(meters: Sequence[Meter]) -> Iterator[None]:
    """Weigh every now and then as long as the block lasts."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(SAMPLE):
            for meter in meters:
                meter.weigh()

    thread = threading.Thread(target=go_on, name="scales")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def measure_race(directory: Path, heat: Heat) -> list[Finish]:
    """Run one race; return how each side came in, the stack first."""
    with running_world(heat.streams) as world, running_postbox() as box, ExitStack() as sides:
        rehearsed, *streams = world.names[: 1 + heat.trials]
        saboteur = Saboteur(world)
        saboteur.break_one(rehearsed)
        stack = running_stack(directory, world, heat.timing, "/stack", box.url("/stack"))
        ours = [
            running_sidecar(directory, world, every, path, box.url(path))
            for every, path in heat.paths.items()
        ]
        runners = [sides.enter_context(side) for side in (stack, *ours)]
        paths = [runner.path for runner in runners]
        with traffic(world, [*streams, rehearsed]):
            # Who never tells of this one sees nothing, and will miss the others too.
            box.wait_for(paths, [rehearsed], STARTING + heat.patience)
            box.forget(rehearsed)
            meters = [Meter(runner) for runner in runners]
            with weighing(meters):
                broken = saboteur.break_all(streams, moments(heat.trials, heat.seconds, heat.seed))
                box.wait_for(paths, streams, heat.patience)
            return [meter.read(heat, box.arrivals(meter.runner.path), broken) for meter in meters]
