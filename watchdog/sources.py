"""
The sources signals are read from, each looked at on its own so that a slow one delays nobody.

All Redis signals share one source, and so do those that are gathered (all units of one systemd); every
other signal is a source of its own. A look that takes
longer than the tick is patient goes on in the background, and its signals keep their last reading;
when it is out for longer than `OVERDUE` they are unknown until it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from watchdog.errors import CollectError
from watchdog.model import Reading, SignalKey
from watchdog.reader import Round
from watchdog.signals.base import GatheredSignal, LocalSignal, RedisSignal, Signal
from watchdog.threads import in_thread
from watchdog.units import EARLY

OVERDUE = timedelta(seconds=5)
"""How long a look may be out at least; for one that is due rarely it is twice its interval."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timed:
    """A signal and how often it is looked at."""

    signal: Signal[Any]
    every: timedelta


@dataclass(slots=True)
class Turn:
    """Signals of a source that are due together, as its `ask` wants them, and when they are due next."""

    every: timedelta
    signals: Sequence[Signal[Any]]
    prepared: Any
    due: datetime | None = None
    wait: timedelta = timedelta()
    """How long it was to wait for that when it was said."""

    def is_due(self, now: datetime) -> bool:
        """Say whether to look at *now*; when the clock was set back it is time."""
        return self.due is None or now >= self.due or self.due - now > self.wait

    def put_off(self, now: datetime, rest: timedelta) -> None:
        """Have it due again after its interval, or after *rest* if that is longer."""
        self.wait = max(self.every, rest)
        self.due = now + self.wait - EARLY


@dataclass(slots=True)
class Source:
    """One thing that can be slow by itself: a name, its signals, and how to look at those of some turns."""

    name: str
    turns: list[Turn]
    ask: Callable[[Sequence[Any], datetime], Awaitable[list[Reading]]]
    give_up: Callable[[Signal[Any], datetime, str], Reading]
    rest: Callable[[], timedelta] = timedelta
    """How long to leave it alone after a look, however often it is due."""
    task: asyncio.Task[list[Reading]] | None = None
    asked: Sequence[Turn] = ()
    monotonic: Callable[[], float] = time.monotonic
    began: float = 0.0  # monotonic: setting the other clock makes no look late
    took: float = 0.0  # seconds, the last look that ended
    failed: bool = False
    asked_at: datetime | None = None
    seen_at: datetime | None = None
    """Of when the last look is that ended."""

    def begin(self, now: datetime) -> bool:
        """Start looking at what is due at *now*, unless the last look is still on; say whether it started."""
        if self.task is not None:
            return False
        due = [turn for turn in self.turns if turn.is_due(now)]
        if not due:
            return False
        for turn in due:
            turn.put_off(now, self.rest())
        self.asked, self.asked_at = due, now
        self.began = self.monotonic()
        self.task = asyncio.create_task(self._look(now), name=f"look {self.name}")
        return True

    @property
    def is_out(self) -> bool:
        """Say whether a look is on that has not ended."""
        return self.task is not None and not self.task.done()

    def is_behind(self, now: datetime) -> bool:
        """Say whether it was not looked at although it was due: a look is on, or it is left alone."""
        if self.seen_at is None or not self.turns:
            return False
        return self.task is not None or now - self.seen_at > min(turn.every for turn in self.turns) + EARLY

    def why_unseen(self, now: datetime, allowed: timedelta) -> str | None:
        """
        Say why this is not looked at as it should be, at most *allowed* after it is due; or None.

        A look that is out counts as one: what does not answer for too long is said to be unknown.
        """
        if self.failed:
            return f"looking at {self.name} failed inside the watchdog"
        waited = now - min(turn.due or now - allowed for turn in self.turns)
        return f"{self.name} was not looked at" if self.task is None and waited >= allowed else None

    async def _look(self, now: datetime) -> list[Reading]:
        began = time.perf_counter()
        try:
            readings = await self.ask([turn.prepared for turn in self.asked], now)
            self.failed = False
            return readings
        except Exception as exc:
            self.failed = True
            log.exception("look_failed", source=self.name)
            why = f"looking failed inside the watchdog ({type(exc).__name__}); please report it"
            return [Reading(signal.key, now, trouble=why) for turn in self.asked for signal in turn.signals]
        finally:
            self.took = time.perf_counter() - began

    def collect(self, now: datetime) -> list[Reading]:
        """Return the readings of a finished look; *unknown* for one that is out for too long."""
        if self.task is None:
            return []
        if self.task.done():
            readings = self.task.result()
            self.task, self.seen_at = None, self.asked_at
            return readings
        out = timedelta(seconds=self.monotonic() - self.began)
        if out < max([OVERDUE, *(2 * turn.every for turn in self.turns)]):
            return []
        return self.abandon(now, out.total_seconds())

    def cancel(self) -> None:
        """Wait no longer for the look that is out, if one is."""
        if self.task is not None:
            self.task.cancel()

    def brought(self) -> list[Reading]:
        """Return the readings of a look that has ended and was not collected yet."""
        return (
            [] if self.task is None or self.is_out or self.asked_at is None else self.collect(self.asked_at)
        )

    def break_off(self) -> None:
        """Begin the look that is out anew, if one is: what it asks for is no longer what is wanted."""
        if self.task is not None:
            self.cancel()
            self.task = None
            for turn in self.turns:
                turn.due = None

    def abandon(self, now: datetime, waited: float) -> list[Reading]:
        """Return what is to be said of signals that have not answered for *waited* seconds."""
        why = f"no answer for {waited:.0f}s"
        return [self.give_up(signal, now, why) for turn in self.asked for signal in turn.signals]


def behind(sources: Iterable[Source], now: datetime) -> dict[SignalKey, datetime]:
    """Return the signals of sources that are behind, each with the moment of which its last look is."""
    return {
        signal.key: source.seen_at
        for source in sources
        if source.is_behind(now) and source.seen_at is not None
        for turn in source.turns
        for signal in turn.signals
    }


def watch(redis: Source, timed: Iterable[Timed]) -> None:
    """Have *redis* look at the Redis signals among *timed* from now on, and no others."""
    by_interval: dict[timedelta, list[RedisSignal[Any]]] = {turn.every: [] for turn in redis.turns}
    for t in timed:
        if isinstance(t.signal, RedisSignal):
            by_interval.setdefault(t.every, []).append(t.signal)
    turns = {turn.every: turn for turn in redis.turns}
    redis.turns = []
    for every, signals in by_interval.items():
        turn = turns.get(every) or Turn(every, (), Round(()))
        turn.signals = signals
        turn.prepared.change(signals)
        redis.turns.append(turn)


def local_sources(timed: Iterable[Timed]) -> list[Source]:
    """Return the sources of the local signals among *timed*: one for all that ask the same, else one each."""
    sources: list[Source] = []
    gathered: dict[tuple[type[GatheredSignal[Any]], str], dict[timedelta, list[GatheredSignal[Any]]]] = {}
    for signal, every in ((each.signal, each.every) for each in timed):
        if isinstance(signal, GatheredSignal):
            crowd = gathered.setdefault((type(signal), signal.asked_of), {})
            crowd.setdefault(every, []).append(signal)
        elif isinstance(signal, LocalSignal):
            sources.append(local_source(signal, every))
    for (kind, name), crowd in gathered.items():
        turns = [Turn(every, signals, signals) for every, signals in crowd.items()]
        sources.append(Source(name, turns, partial(_gather, kind), _no_answer))
    return sources


def go_on(before: Iterable[Source], sources: Iterable[Source]) -> list[Source]:
    """Return *sources*, and instead of those that look at the same signals as one *before* that one."""
    known = {_what_it_sees(source): source for source in before}
    return [known.get(_what_it_sees(source), source) for source in sources]


def _what_it_sees(source: Source) -> tuple[object, ...]:
    return source.name, *((turn.every, *map(id, turn.signals)) for turn in source.turns)


def local_source(signal: LocalSignal[Any], every: timedelta) -> Source:
    """Return the source of a signal that is read from this machine or over HTTP."""
    return Source(str(signal.key), [Turn(every, (signal,), signal)], _ask_here, _no_answer)


def _no_answer(signal: Signal[Any], now: datetime, why: str) -> Reading:
    return Reading(signal.key, now, trouble=why)


async def _ask_here(signals: Sequence[LocalSignal[Any]], now: datetime) -> list[Reading]:
    readings = []
    for signal in signals:
        try:
            readings.append(await in_thread(partial(signal.look_here, now)))
        except CollectError as exc:
            readings.append(Reading(signal.key, now, trouble=str(exc)))
    return readings


async def _gather(
    kind: type[GatheredSignal[Any]], crowds: Sequence[Sequence[GatheredSignal[Any]]], now: datetime
) -> list[Reading]:
    signals = [signal for crowd in crowds for signal in crowd]
    return await in_thread(partial(kind.gather, signals, now))


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
