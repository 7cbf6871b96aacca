"""
The sources signals are read from, each looked at on its own so that a slow one delays nobody.

All Redis signals share one source; every other signal is a source of its own. A look that takes
longer than the tick is patient goes on in the background, and its signals keep their last reading;
when it is out for longer than `OVERDUE` they are unknown until it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from watchdog.config import Config
from watchdog.errors import CollectError
from watchdog.model import Reading
from watchdog.reader import RedisReader, down
from watchdog.signals.base import LocalSignal, RedisSignal, Signal
from watchdog.threads import in_thread

OVERDUE = timedelta(seconds=5)
"""How long a look may be out at least; for one that is due rarely it is twice its interval."""

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timed:
    """A signal and how often it is looked at."""

    signal: Signal[Any]
    every: timedelta


@dataclass(slots=True)
class Source:
    """One thing that can be slow by itself: a name, its signals, and how to look at some of them."""

    name: str
    signals: Sequence[Timed]
    ask: Callable[[Sequence[Signal[Any]], datetime], Awaitable[list[Reading]]]
    give_up: Callable[[Signal[Any], datetime, str], Reading]
    task: asyncio.Task[list[Reading]] | None = None
    asked: Sequence[Signal[Any]] = ()
    began: datetime | None = None
    took: float = 0.0  # seconds, the last look that ended
    failed: bool = False
    _due: dict[int, datetime] = field(default_factory=dict)

    def begin(self, now: datetime) -> bool:
        """Start looking at what is due at *now*, unless the last look is still on; say whether it started."""
        if self.task is not None:
            return False
        due = [i for i in range(len(self.signals)) if self._is_due(i, now)]
        if not due:
            return False
        for i in due:
            self._due[i] = now + self.signals[i].every - timedelta(milliseconds=200)
        self.asked = [self.signals[i].signal for i in due]
        self.began = now
        self.task = asyncio.create_task(self._look(now), name=f"look {self.name}")
        return True

    def _is_due(self, i: int, now: datetime) -> bool:
        """Say whether signal *i* is to be looked at; when the clock was set back it is."""
        due = self._due.get(i, now)
        return now >= due or due - now > self.signals[i].every

    def why_unseen(self, now: datetime, allowed: timedelta) -> str | None:
        """
        Say why this is not looked at as it should be, at most *allowed* after it is due; or None.

        A look that is out counts as one: what does not answer for too long is said to be unknown.
        """
        if self.failed:
            return f"looking at {self.name} failed inside the watchdog"
        waited = now - min(self._due.values()) if self._due else allowed
        return f"{self.name} was not looked at" if self.task is None and waited >= allowed else None

    async def _look(self, now: datetime) -> list[Reading]:
        began = time.perf_counter()
        try:
            readings = await self.ask(self.asked, now)
            self.failed = False
            return readings
        except Exception as exc:
            self.failed = True
            log.exception("look_failed", source=self.name)
            why = f"looking failed inside the watchdog ({type(exc).__name__}); please report it"
            return [Reading(signal.key, now, trouble=why) for signal in self.asked]
        finally:
            self.took = time.perf_counter() - began

    def collect(self, now: datetime) -> list[Reading]:
        """Return the readings of a finished look; *unknown* for one that is out for too long."""
        if self.task is None or self.began is None:
            return []
        self.began = min(self.began, now)  # the clock may have been set back
        if self.task.done():
            readings = self.task.result()
            self.task = None
            return readings
        out = now - self.began
        if out < max([OVERDUE, *(2 * timed.every for timed in self.signals)]):
            return []
        return self.abandon(now, out.total_seconds())

    def cancel(self) -> None:
        """Wait no longer for the look that is out, if one is."""
        if self.task is not None:
            self.task.cancel()

    def abandon(self, now: datetime, waited: float) -> list[Reading]:
        """Return what is to be said of signals that have not answered for *waited* seconds."""
        return [self.give_up(signal, now, f"no answer for {waited:.0f}s") for signal in self.asked]


def build_signals(config: Config) -> list[Timed]:
    """Return every signal of *config*, ready to look."""
    return [Timed(spec.build(config.keep), spec.every) for spec in config.signals]


def build_sources(timed: Sequence[Timed], reader: RedisReader) -> list[Source]:
    """Return the sources of all signals: Redis first, then one for each other signal."""
    from_redis = [t for t in timed if isinstance(t.signal, RedisSignal)]

    async def ask_redis(signals: Sequence[Signal[Any]], now: datetime) -> list[Reading]:
        return await reader.look([s for s in signals if isinstance(s, RedisSignal)], now)

    sources = [Source("redis", from_redis, ask_redis, down)]
    sources += [
        Source(str(t.signal.key), [t], _ask_here, _no_answer)
        for t in timed
        if isinstance(t.signal, LocalSignal)
    ]
    return sources


def _no_answer(signal: Signal[Any], now: datetime, why: str) -> Reading:
    return Reading(signal.key, now, trouble=why)


async def _ask_here(signals: Sequence[Signal[Any]], now: datetime) -> list[Reading]:
    readings = []
    for signal in signals:
        assert isinstance(signal, LocalSignal)
        try:
            readings.append(await in_thread(partial(signal.look_here, now)))
        except CollectError as exc:
            readings.append(Reading(signal.key, now, trouble=str(exc)))
    return readings


async def look(sources: Sequence[Source], now: datetime, patience: float) -> list[Reading]:
    """
    Look at every source that is due and return what came, waiting *patience* seconds at most.

    A source whose last look took longer than that is not waited for; what it brings comes a tick later.
    """
    begun = [source for source in sources if source.begin(now)]
    waiting = {source.task for source in begun if source.task is not None and source.took <= patience}
    if waiting:
        await asyncio.wait(waiting, timeout=patience)
    return [reading for source in sources for reading in source.collect(now)]
