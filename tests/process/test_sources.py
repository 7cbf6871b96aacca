"""A slow source is waited for once; from then on it brings what it has when it has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from tests.drawn import T0
from watchdog.config import parse
from watchdog.model import Held, Labels, Reading, SignalKey, Since
from watchdog.sidecar import Sidecar
from watchdog.signals.base import GatheredSignal, Signal, SignalConfig
from watchdog.sources import OVERDUE, Source, Timed, Turn, local_sources, look

PATIENCE = 3600.0
SECOND = timedelta(seconds=1)


class Slow:
    """A source that answers when it is let."""

    def __init__(self) -> None:
        self.signal: Signal[Any] = Signal(
            SignalKey("a", "log", Labels(path="/l")), SignalConfig(every=None), timedelta(0)
        )
        self.let = asyncio.Event()
        self.source = Source("slow", [Turn(SECOND, [self.signal], [self.signal])], self.ask, self.give_up)

    async def ask(self, asked: Sequence[Sequence[Signal[Any]]], now: datetime) -> list[Reading]:
        """Answer once it is let."""
        await self.let.wait()
        return [Reading(signal.key, now) for signals in asked for signal in signals]

    @staticmethod
    def give_up(signal: Signal[Any], now: datetime, why: str) -> Reading:
        """Return what is said of a look that is out for too long."""
        return Reading(signal.key, now, trouble=why)


async def test_a_source_that_was_slow_is_not_waited_for() -> None:
    """Its last look took two hours: the tick goes on at once, though it has an hour's patience."""
    slow = Slow()
    slow.source.took = 2 * PATIENCE
    async with asyncio.timeout(10):
        assert await look([slow.source], T0, PATIENCE) == []
        assert await look([slow.source], T0 + SECOND, PATIENCE) == []
    slow.let.set()
    assert slow.source.task is not None
    await slow.source.task
    (reading,) = await look([slow.source], T0 + 2 * SECOND, PATIENCE)
    assert (reading.at, reading.trouble) == (T0, None)


async def test_a_source_that_was_quick_is_waited_for() -> None:
    """What it brings belongs to this tick."""
    quick = Slow()
    asyncio.get_running_loop().call_later(0.01, quick.let.set)
    (reading,) = await look([quick.source], T0, PATIENCE)
    assert (reading.at, quick.source.took > 0) == (T0, True)


async def test_a_look_that_is_out_for_too_long_is_unknown_until_it_ends() -> None:
    """Not at once, and not for ever."""
    slow, passed = Slow(), timedelta(0)
    slow.source.monotonic = lambda: passed / SECOND
    assert await look([slow.source], T0, 0.001) == []
    passed = OVERDUE - SECOND
    assert await look([slow.source], T0 + passed, 0.001) == []
    passed = OVERDUE
    (unknown,) = await look([slow.source], T0 + passed, 0.001)
    assert unknown.trouble == "no answer for 5s"
    slow.let.set()
    assert slow.source.task is not None
    await slow.source.task
    (reading,) = await look([slow.source], T0 + passed + SECOND, 0.001)
    assert reading.trouble is None


async def test_setting_the_clock_makes_no_look_late() -> None:
    """An hour forward or back while it is out: it has still been out for a moment only."""
    slow = Slow()
    hour = timedelta(hours=1)
    for now in (T0, T0 + hour, T0 - hour):
        assert await look([slow.source], now, 0.001) == []
    slow.let.set()
    assert slow.source.task is not None
    await slow.source.task
    (reading,) = await look([slow.source], T0, 0.001)
    assert reading.trouble is None


async def test_a_late_answer_about_what_was_forgotten_is_not_taken() -> None:
    """What was discovered may be gone by the time its look ends; nobody would ever drop it again."""
    sidecar, slow = (
        Sidecar(parse("redis: redis://127.0.0.1:1\nservices: {a: {heartbeat: {key: a}}}\n"), lambda: T0),
        Slow(),
    )
    slow.let.set()
    sidecar.sources.append(slow.source)
    await sidecar.tick(T0)
    assert slow.source.took > 0
    assert {key.kind for key in sidecar.history.latest} == {"heartbeat", "redis", "watchdog"}
    await sidecar.stop()


class Counter(GatheredSignal[SignalConfig]):
    """A signal of many that are asked in one go, and that notes how often."""

    asks: ClassVar[list[list[str]]] = []

    @property
    def asked_of(self) -> str:
        """Return whom it asks: the first letter of its service."""
        return self.key.service[0]

    @classmethod
    def gather(cls, signals: Sequence[Counter], now: datetime) -> list[Reading]:
        """Answer for all of them."""
        cls.asks.append([signal.key.service for signal in signals])
        return [
            Reading(signal.key, now, trouble="no" if "2" in signal.key.service else None)
            for signal in signals
        ]


async def test_an_age_does_not_grow_while_nobody_looks() -> None:
    """A slow server is left alone for half a minute: that nothing was seen of a stream is not its silence."""
    config = parse("services: {a: {stream: {key: s, expect_every: 5s}}}")
    sidecar = Sidecar(config, lambda: T0)
    (key,) = (spec.key for spec in config.signals if spec.key.kind == "stream")
    resting = [30 * SECOND]
    newest = T0

    async def ask(asked: Sequence[Any], now: datetime) -> list[Reading]:
        values: dict[str, Held] = {
            "age": Since(newest.timestamp()),
            "overdue": Since(newest.timestamp(), per=5.0),
            "expected": 5.0,
        }
        return [Reading(key, now, values)]

    signal = sidecar.fleet.signals[key]
    turns = [Turn(5 * SECOND, [signal], None)]
    sidecar.sources = [Source("redis", turns, ask, Slow.give_up, lambda: resting[0])]

    async def firing(now: datetime) -> set[str]:
        await sidecar.tick(now)
        return {alert.name for alert in sidecar.alerts.values() if alert.firing}

    assert await firing(T0) == set()
    for seconds in (5, 10, 15, 20, 25):
        assert await firing(T0 + seconds * SECOND) == set(), seconds
    newest, resting[0] = T0 + 29 * SECOND, timedelta(0)  # all the while there were entries
    for seconds in (30, 35, 40):
        assert await firing(T0 + seconds * SECOND) == set(), seconds
    for seconds in (45, 50):  # and now there are none
        told = await firing(T0 + seconds * SECOND)
    assert told == {"StreamSilent"}
    await sidecar.fleet.close()


async def test_those_who_ask_the_same_are_asked_for_together() -> None:
    """In one source for each of whom they ask; one that is due more rarely joins when it is due."""
    Counter.asks.clear()
    every = {"a1": SECOND, "a2": SECOND, "a3": 3 * SECOND, "b1": SECOND}
    keys = {name: SignalKey(name, "unit", Labels(unit=name)) for name in every}
    timed = [
        Timed(Counter(keys[name], SignalConfig(every=None), SECOND), each) for name, each in every.items()
    ]
    sources = local_sources(timed)
    assert [source.name for source in sources] == ["a", "b"]
    for second in range(4):
        readings = await look(sources, T0 + second * SECOND, 10)
        assert {r.signal.service: r.trouble for r in readings if r.signal.service != "a3"} == {
            "a1": None,
            "a2": "no",
            "b1": None,
        }
    of_a = [asked for asked in Counter.asks if asked != ["b1"]]
    assert of_a == [["a1", "a2", "a3"], ["a1", "a2"], ["a1", "a2"], ["a1", "a2", "a3"]]
