"""
The edge to Redis: puts the questions of all signals into batches and hands out the answers.

Signals are generators (see `watchdog.signals.base`); those of a batch advance in step, so one look
at a thousand signals costs a handful of round trips. The questions of a signal that rests are part
of a `Round`, packed once; whoever gets the same answers as before is not woken. Replies stay raw:
what they mean is the signals' business.
"""

from __future__ import annotations

import asyncio
import marshal
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from watchdog.errors import CollectError, SourceDownError
from watchdog.model import Reading, SignalKey
from watchdog.signals.base import (
    LATENCY,
    LONGEST_REST,
    Command,
    Look,
    NextLook,
    Question,
    RedisSignal,
    Refused,
    Reply,
    RestingSignal,
    Signal,
)
from watchdog.signals.nodes import Away
from watchdog.signals.redis import RedisServer, away
from watchdog.wire import Batch, Wire

BATCH = 125
"""Commands a batch: more spares us little, and another client of Redis waits for two of them."""
LONGEST_HOLD = 0.005
"""How many seconds of work on replies go by before others on the loop get their turn."""
SOURCE = "redis"
PING = Batch([("PING",)])
AHEAD = 1
"""So many batches are asked for before their answers are needed."""
NO_PRINT = 0
PINGS_OF_REST = 100
"""A server that takes a tenth of a second for a PING is asked every ten seconds at most."""
LONGEST_PAUSE = timedelta(seconds=30)
"""However slow it is, it is asked as often as this."""


@dataclass(slots=True)
class _Page:
    """
    What one batch of a round asks: questions, and the signals that want to know.

    *prints* are fingerprints of the answers of the look before, *wanted* says for each signal which of
    the batch's answers are its own.
    """

    batch: Batch
    questions: Sequence[Question]
    signals: Sequence[RestingSignal[Any]]
    wanted: Sequence[tuple[int, ...]]
    prints: list[int]


class Round:
    """Signals that are looked at together, prepared once; `change` when others join or leave."""

    def __init__(self, signals: Iterable[RedisSignal[Any]]) -> None:
        self.signals: tuple[RedisSignal[Any], ...] = ()
        self.pages: list[_Page] = []
        self.restless: list[RedisSignal[Any]] = []
        self.broken = False
        """Whether the look before ended in the middle, so that nobody knows who saw what."""
        self.lost: dict[SignalKey, str] = {}
        """Those of which one node of many is away, and why."""
        self.told: str | None = None
        """Why the server is away, if every signal has said so."""
        self.change(signals)

    def change(self, signals: Iterable[RedisSignal[Any]]) -> None:
        """Look at *signals* from now on; those that were there go on resting."""
        prints = {q: p for page in self.pages for q, p in zip(page.questions, page.prints, strict=True)}
        self.signals = tuple(signals)
        self.restless = [s for s in self.signals if not isinstance(s, RestingSignal)]
        resting = [s for s in self.signals if isinstance(s, RestingSignal)]
        resting.sort(key=lambda signal: str(signal.questions[0].command))  # who asks the same stands together
        self.pages = list(_pages(resting))
        for page in self.pages:
            page.prints = [prints.get(question, NO_PRINT) for question in page.questions]
        self.told = None

    def lose(self, signal: RestingSignal[Any], away: Away, looking: _Looking) -> None:
        """Have *signal* say once that the one node is away that it is read from, and rest meanwhile."""
        if self.lost.get(signal.key) != away.why:
            looking.readings.append(down(signal, looking.now, away.why))
            self.lost[signal.key] = away.why
        signal.wake_at = (looking.now + LONGEST_REST).timestamp()

    def wake(self) -> None:
        """Have every signal look on, whatever its answers are."""
        for page in self.pages:
            for signal in page.signals:
                signal.wake_at = 0.0


@dataclass(slots=True)
class _Asking:
    """One signal in the middle of its look."""

    signal: RedisSignal[Any]
    look: Look | NextLook
    wants: Sequence[Command]


@dataclass(slots=True)
class _Looking:
    """One look under way: when, what it brought, and who still asks."""

    now: datetime
    latency: float = 0.0
    readings: list[Reading] = field(default_factory=list)
    asking: list[_Asking] = field(default_factory=list)
    breath: float = field(default_factory=time.perf_counter)

    def begin(self, signal: RedisSignal[Any], look: Look | NextLook) -> None:
        """Let *signal* say what it wants to know first."""
        self.advance(signal, look, None)

    def advance(
        self, signal: RedisSignal[Any], look: Look | NextLook, replies: Sequence[Reply] | None
    ) -> None:
        """Let *look* go on with *replies*; put its reading away when it is done."""
        try:
            wants = next(look) if replies is None else look.send(replies)
        except StopIteration as done:
            if isinstance(signal, RestingSignal):
                signal.settled = True
            if done.value is not None:
                self.readings.append(done.value)
        except CollectError as exc:
            self.readings.append(Reading(signal.key, self.now, trouble=str(exc)))
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as exc:
            why = f"an answer makes no sense ({type(exc).__name__}: {exc})"
            self.readings.append(Reading(signal.key, self.now, trouble=why))
        else:
            self.asking.append(_Asking(signal, look, wants))

    async def breathe(self) -> None:
        """Let others on the loop have their turn, if this look has been at work for long."""
        if time.perf_counter() - self.breath > LONGEST_HOLD:
            await asyncio.sleep(0)
            self.breath = time.perf_counter()


class RedisReader:
    """Looks at the signals of one Redis through one wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._latency = 0.0

    def rest(self) -> timedelta:
        """Return how long to leave the server alone: the slower it answers a PING, the longer."""
        return min(LONGEST_PAUSE, timedelta(seconds=self._latency * PINGS_OF_REST))

    async def look(self, rounds: Sequence[Round], now: datetime) -> list[Reading]:
        """
        Look at all signals of *rounds* and return the readings of those that have something new to say.

        A server that is away makes one reading of `redis.up == 0`; all others say once that it is down.
        """
        looking = _Looking(now)
        try:
            first = await self._ping()  # it may wait for the loop, and may have to connect
            self._latency = looking.latency = min(first, await self._ping())
            for one in rounds:
                if one.broken:
                    one.wake()
                one.broken = True
                await self._look(one, looking)
                one.broken, one.told = False, None
        except SourceDownError as exc:
            await self.wire.close()
            return list(_down(rounds, looking, str(exc)))
        return looking.readings

    async def close(self) -> None:
        """Drop the connection; the next look opens a new one."""
        await self.wire.close()

    async def _look(self, one: Round, looking: _Looking) -> None:
        for signal in one.restless:
            looking.begin(signal, signal.look(looking.now))
            await looking.breathe()
        moment = looking.now.timestamp()
        async with aclosing(self._answered(one.pages)) as answered:
            async for page, replies in answered:
                for signal, answers in _awake(page, replies, moment):
                    if (away := _away(answers)) is not None:
                        one.lose(signal, away, looking)
                        continue
                    if one.lost.pop(signal.key, None) is not None:
                        signal.wake_at = 0.0
                    signal.settled = False
                    looking.begin(signal, signal.look_on(looking.now, answers))
                await looking.breathe()
                if len(looking.asking) >= BATCH:
                    await self._step(looking)
        while looking.asking:
            await self._step(looking)

    async def _answered(self, pages: Sequence[_Page]) -> AsyncGenerator[tuple[_Page, list[Reply]]]:
        """Yield every page with its replies; the next ones are asked meanwhile."""
        asked: deque[tuple[_Page, asyncio.Task[list[Reply]]]] = deque()
        try:
            for page in pages:
                asked.append((page, asyncio.create_task(self.wire.ask(page.batch))))
                if len(asked) > AHEAD:
                    first, replies = asked.popleft()
                    yield first, await replies
            while asked:
                first, replies = asked.popleft()
                yield first, await replies
        finally:
            for _, task in asked:
                task.cancel()
            await asyncio.gather(*(task for _, task in asked), return_exceptions=True)

    async def _step(self, looking: _Looking) -> None:
        """Ask what every signal wants to know next, and let each go on with its answers."""
        asking, looking.asking = looking.asking, []
        for some, commands in _batches(asking):
            replies = dict(zip(commands, await self.wire.ask(Batch(commands)), strict=True))
            replies[LATENCY] = looking.latency
            for one in some:
                answers = [replies[command] for command in one.wants]
                if (away := _away(answers)) is None or isinstance(one.signal, RedisServer):
                    looking.advance(one.signal, one.look, answers)
                else:
                    looking.readings.append(down(one.signal, looking.now, away.why))
                await looking.breathe()

    async def _ping(self) -> float:
        began = time.perf_counter()
        (reply,) = await self.wire.ask(PING)
        if isinstance(reply, Away):
            raise SourceDownError(reply.why)
        return time.perf_counter() - began


def _pages(signals: Iterable[RestingSignal[Any]]) -> Iterator[_Page]:
    """Yield the pages that ask all that *signals* want: about BATCH questions each, none twice in it."""
    places: dict[Question, int] = {}
    some: list[RestingSignal[Any]] = []
    wanted: list[tuple[int, ...]] = []
    for signal in signals:
        if len(places) >= BATCH and not places.keys() >= set(signal.questions):
            yield _page(places, some, wanted)
            places, some, wanted = {}, [], []
        some.append(signal)
        wanted.append(tuple(places.setdefault(question, len(places)) for question in signal.questions))
    if some:
        yield _page(places, some, wanted)


def _page(
    questions: Iterable[Question], signals: Sequence[RestingSignal[Any]], wanted: Sequence[tuple[int, ...]]
) -> _Page:
    asked = tuple(questions)
    return _Page(Batch([q.command for q in asked]), asked, signals, wanted, [NO_PRINT] * len(asked))


def _away(answers: Sequence[Any] | None) -> Away | None:
    """Return the answer of a node that is away, if one of *answers* is."""
    for answer in answers or ():  # a loop: this is asked of every answer there is
        if type(answer) is Away:
            return answer
    return None


def _awake(
    page: _Page, replies: Sequence[Reply], moment: float
) -> Iterator[tuple[RestingSignal[Any], list[Any] | None]]:
    """Yield who has to look on at *moment*, with its answers if they are new; each is read once."""
    prints = [_print(reply) for reply in replies]
    before, page.prints = page.prints, prints
    answers: dict[int, Any] = {}
    latest = moment + LONGEST_REST.total_seconds()  # beyond it the clock was set back
    for signal, wanted in zip(page.signals, page.wanted, strict=True):
        for i in wanted:  # a loop, for this is what every signal costs at every tick
            if prints[i] != before[i]:
                break
        else:
            if moment < signal.wake_at <= latest:
                continue
            if signal.settled and signal.wake_at:
                yield signal, None
                continue
        for i in wanted:
            if i not in answers:
                answers[i] = _read(page.questions[i], replies[i])
        yield signal, [answers[i] for i in wanted]


def _read(question: Question, reply: Reply) -> Any:
    """Return what *reply* says; one that makes no sense counts as a refusal."""
    try:
        return question.read(reply)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as exc:
        return Refused(f"NONSENSE {type(exc).__name__}: {exc}")


def _print(reply: Reply) -> int:
    """Return a number that is another one if *reply* is another one (but for 1 in 2**64)."""
    try:
        return hash(marshal.dumps(reply, 2))  # an older version: it has no references, so equal means equal
    except ValueError:
        return hash(repr(reply))  # a refusal is no plain string


def _batches(asking: Iterable[_Asking]) -> Iterator[tuple[list[_Asking], list[Command]]]:
    """
    Yield who asks together, and what: about BATCH commands, none twice.

    A few at a time, so that the replies of a thousand signals need not be held at once.
    """
    some: list[_Asking] = []
    commands: dict[Command, None] = {}
    for one in asking:
        some.append(one)
        commands.update((command, None) for command in one.wants if command is not LATENCY)
        if len(commands) >= BATCH:
            yield some, list(commands)
            some, commands = [], {}
    if some:
        yield some, list(commands)


def _down(rounds: Sequence[Round], looking: _Looking, why: str) -> Iterator[Reading]:
    """
    Yield what is to be said of a server that is away, because of *why*.

    A signal that was told so at the look before need not be told again.
    """
    server = {s.key for one in rounds for s in one.signals if isinstance(s, RedisServer)}
    seen = [
        reading for reading in looking.readings if reading.signal not in server
    ]  # it is away, though INFO came
    yield from seen
    done = {reading.signal for reading in seen}
    for one in rounds:
        missing = [signal for signal in one.signals if signal.key not in done]
        for signal in missing:
            if one.told != why or signal.key in server:
                yield down(signal, looking.now, why)
        one.broken = True
        one.told = why if len(missing) == len(one.signals) else None


def down(signal: Signal[Any], now: datetime, why: str) -> Reading:
    """Return the reading of *signal* while the server is away; it will speak again when that is over."""
    if isinstance(signal, RestingSignal):
        signal.wake_at = 0.0
    if isinstance(signal, RedisServer):
        return away(signal.key, now, why)
    return Reading(signal.key, now, trouble=why, down=SOURCE)
