"""The process that `ours.py` runs: the real sidecar, which ticks, serves and samples when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from bench.notify.child import Answer, serve
from bench.poll.stages import Sampler
from bench.poll.streams import GROUPS
from watchdog.clock import utc_now
from watchdog.config import load
from watchdog.demo.server import HOST
from watchdog.dividing import share
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.shards import parse_shard
from watchdog.sidecar import Sidecar
from watchdog.state import StateFile
from watchdog.terminal import quiet_logs
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

PATIENCE = 600.0
"""The sidecar goes on without a look that takes over a second; the benchmark wants it whole."""
SETTLE = 60
"""Ticks within which everything must have been seen: a new stream is noticed within a minute."""
BEAT = 0.001
COUNTERS = {"stream": "added", "consumes": "read"}
"""What grows when a stream moves, by the kind of signal."""


class Clocked:
    """What went by since this was made, in seconds."""

    def __init__(self) -> None:
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def spent(self) -> Answer:
        """Return wall and CPU time."""
        return {"wall": time.perf_counter() - self.began, "cpu": time.process_time() - self.cpu}


class Pulse:
    """Wants its turn on the loop every millisecond, and notes for how long it did not get it."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - BEAT)
            last = now


class Served:
    """The sidecar; each `do_` is a question of `ours.Ours`."""

    sidecar: Sidecar
    server: WebServer
    ticking: asyncio.Task[None]

    def __init__(self, rules: Path, streams: int, shard: str = "") -> None:
        self.rules = rules
        self.shard = shard
        self.expected = {"stream": streams, "consumes": streams * len(GROUPS)}
        self.builds = 0
        self.last = utc_now()
        self.before: dict[str, float] = {}
        self.took: list[Answer] = []
        self.enough = asyncio.Event()
        self.pulse: Pulse | None = None
        self.sampler = Sampler()

    async def answer(self, question: Answer) -> Answer:
        """Do what the benchmark asks for."""
        does: Callable[..., Awaitable[Answer]] = getattr(self, f"do_{question.pop('do')}")
        return await does(**question)

    async def do_load(self) -> Answer:
        """Read the rules file."""
        clock = Clocked()
        self.config = load(self.rules, {})
        if self.shard:
            self.config = share(self.config, parse_shard(self.shard))
        return clock.spent()

    async def do_build(self, patient: bool) -> Answer:
        """Build a sidecar that never ticked."""
        clock = Clocked()
        self.builds += 1
        state = StateFile(str(self.rules.with_name(f"{self.rules.stem}-{self.builds}.db")), utc_now)
        self.sidecar = Sidecar(self.config, utc_now, state)
        if patient:
            self.sidecar._patience = PATIENCE
        collect_seldom()  # as `watchdog run` does
        keep_for_good()
        return clock.spent()

    async def do_tick(self) -> Answer:
        """Tick once."""
        now, clock = self._due(), Clocked()
        await self.sidecar.tick(now)
        return clock.spent()

    def _due(self) -> datetime:
        """Return a time at which every signal is due again, however fast the ticks follow."""
        self.last = max(utc_now(), self.last + self.config.every)
        return self.last

    async def do_settle(self) -> Answer:
        """Tick until all is seen."""
        took = [await self.do_tick()]
        while self._unseen() and len(took) < SETTLE:
            took.append(await self.do_tick())
        self.before = self._counted()
        return {**{name: sum(one[name] for one in took) for name in ("wall", "cpu")}, "ticks": len(took)}

    # ---- does it tell the truth? -----------------------------------------------------------------

    async def do_check(self) -> Answer:
        """Say what is wrong, if anything is, and what was counted since it settled."""
        counted = {name: total - self.before[name] for name, total in self._counted().items()}
        return {"wrong": self._unseen() or self._alarm(), "counted": counted}

    def _unseen(self) -> str | None:
        """Say what is there and not seen."""
        latest = self.sidecar.latest
        reports = {} if latest is None else latest.signals
        kinds = Counter(key.kind for key in reports)
        for kind, number in self.expected.items():
            if kinds[kind] != number:
                return f"the sidecar sees {kinds[kind]} signals of kind {kind} instead of {number}"
        blind = [report.reading for report in reports.values() if not report.reading.known]
        return f"{len(blind)} signals are unknown ({blind[0].trouble or blind[0]})" if blind else None

    def _alarm(self) -> str | None:
        """Say which alerts fire though nothing is wrong."""
        notices = self.sidecar.latest.notices if self.sidecar.latest else ()
        firing = [notice.alert.summary for notice in notices if notice.alert.firing]
        return f"{len(firing)} alerts fire ({firing[0]})" if firing else None

    def _counted(self) -> dict[str, float]:
        """Return how many entries came into all streams, and how many all groups have read."""
        found = dict.fromkeys(COUNTERS.values(), 0.0)
        for key, report in self.sidecar.latest.signals.items() if self.sidecar.latest else ():
            if (name := COUNTERS.get(key.kind)) is not None:
                found[name] += report.totals.get(name, 0.0)
        return found

    # ---- serving, and what it takes --------------------------------------------------------------

    async def do_serve(self) -> Answer:
        """Serve HTTP at a port of its own choice."""
        listener = bind(HOST, 0)
        self.server = WebServer(build_app(self.sidecar), listener)
        self.server.start()
        self.sidecar.pulse.last_tick = utc_now()  # only its own driver notes that
        return {"port": listener.getsockname()[1]}

    async def do_gap(self) -> Answer:
        """Return the longest time in which nobody else got the loop, since this was asked last."""
        self.pulse = self.pulse or Pulse()
        longest, self.pulse.longest = self.pulse.longest, 0.0
        return {"seconds": longest}

    async def do_sample(self) -> Answer:
        """Begin to note where the CPU goes."""
        self.sampler.start()
        return {}

    async def do_sampled(self) -> Answer:
        """Return where it went."""
        return {"shares": self.sampler.stop(), "collecting": self.sampler.collecting}

    # ---- ticking by itself -----------------------------------------------------------------------

    async def do_keep_ticking(self, pause: float) -> Answer:
        """Tick, pause, and so on."""
        self.took.clear()
        self.enough.clear()
        self.ticking = asyncio.create_task(self._keep_ticking(pause))
        return {}

    async def _keep_ticking(self, pause: float) -> None:
        while not self.enough.is_set():
            self.took.append(await self.do_tick())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.enough.wait(), pause)

    async def do_halt(self) -> Answer:
        """Stop that, once the tick under way has ended: what a tick began to read is lost if nobody waits."""
        self.enough.set()
        await self.ticking
        middle = {name: statistics.median(one[name] for one in self.took) for name in ("wall", "cpu")}
        return {**middle, "ticks": len(self.took)}

    async def do_start(self) -> Answer:
        """Run by its own clock."""
        self.sidecar.start()
        return {}

    async def do_state(self) -> Answer:
        """Say how often it ticked, and whether it sees everything."""
        return {"ticks": self.sidecar.pulse.ticks, "whole": self._unseen() is None}

    async def do_stop(self) -> Answer:
        """Run no longer."""
        await self.sidecar.stop()
        return {}


async def main(rules: Path, streams: int, *shard: str) -> None:
    """Answer until the benchmark ends."""
    quiet_logs()
    await serve(Served(rules, streams, *shard).answer)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
