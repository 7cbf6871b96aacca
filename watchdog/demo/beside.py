"""
Who else is on the bus: a hundred services shared it, and the demo's units are only a few of them.

Those that merely write, read or beat need no process of their own. What they do every second is what
any client does, and each can be told to do it wrongly.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import redis

from watchdog.pipeline import market, names
from watchdog.pipeline.messages import envelope, iso

TURN = timedelta(seconds=1)
BACK_OFF = timedelta(seconds=10)
MOST_TURNS = 600
"""So many turns are made up for when time moved on by a leap."""
EVENT_DRIVEN = {"reconcile.close": "reconciler", "model.retrain": "retrainer"}
"""Streams that hold nothing for weeks, and the group that waits for what may come."""


@dataclass(slots=True)
class Producer:
    """Adds so many entries a turn to a stream that stays at about its cap (None: that has none)."""

    stream: str
    each: int
    cap: int | None
    entry: Callable[[float], dict[str, str]]
    running: bool = True


@dataclass(slots=True)
class Reader:
    """Reads at most so many entries a turn from where it *begins*, and acknowledges them."""

    stream: str
    group: str
    most: int = 100
    begins: str = ">"
    acknowledges: bool = True
    running: bool = True
    process: int = 7001

    @property
    def consumer(self) -> str:
        """Return its name in the group."""
        return f"{self.group.partition(':')[0]}-host-{self.process}"


@dataclass(slots=True)
class Beater:
    """Sets its heartbeat every turn, to expire after *ttl*, if it is to expire."""

    key: str
    text: Callable[[float], str]
    ttl: timedelta | None = timedelta(seconds=60)
    running: bool = True


def decision(now: float) -> dict[str, str]:
    """Return what the AI engine decided, and why nothing came of it."""
    said = {"symbol": "BTCUSDT", "action": "HOLD", "confidence": 0.41, "timestamp": iso(now)}
    return envelope("ai.decision.made", said, "ai-engine", now)


def tick(now: float) -> dict[str, str]:
    """Return a tick of the market."""
    return {"symbol": "BTCUSDT", "price": f"{market.price('BTCUSDT', now):.1f}", "ts": str(int(now * 1000))}


def exit_beat(now: float) -> dict[str, str]:
    """Return the entry that the exit service writes to say that it lives."""
    return {"status": "OK", "last_decision_ts": f"{now:.6f}"}


def epoch(now: float) -> str:
    """Return a heartbeat in whole seconds."""
    return str(int(now))


def _producers() -> dict[str, Producer]:
    return {
        "decisions": Producer(names.stream("ai.decision.made"), 1, 10_000, decision),
        "ticks": Producer(names.stream("market.tick"), 2, 720, tick),  # six minutes of them
        "exits": Producer(names.stream("exit.heartbeat"), 1, 100, exit_beat),
    }


def _readers() -> dict[str, Reader]:
    return {
        "router": Reader(names.stream("ai.decision.made"), "router"),
        "features": Reader(names.stream("market.tick"), "quantum:group:ai-engine:market.tick"),
        "harvest_brain": Reader(names.APPLY_RESULT, "harvest_brain:execution"),
        "trade_history_logger": Reader(names.APPLY_RESULT, "trade_history_logger"),
        "governor": Reader(names.APPLY_PLAN, "governor"),
    }


@dataclass
class Beside:
    """Everybody beside the units, on the Redis of *client*."""

    client: Any
    producers: dict[str, Producer] = field(default_factory=_producers)
    readers: dict[str, Reader] = field(default_factory=_readers)
    exit_agent: Beater = field(default_factory=lambda: Beater("quantum:exit_agent:heartbeat", epoch))
    _last: datetime | None = None
    _refused: datetime | None = None
    _order: int = 1

    def act(self, now: datetime) -> None:
        """Have everybody take the turns that are due at *now*; while Redis refuses, try now and then."""
        if self._refused is not None and timedelta(0) <= now - self._refused < BACK_OFF:
            return
        since = now - self._last if self._last is not None and self._last <= now else TURN
        turns = min(since // TURN, MOST_TURNS)
        if turns < 1:
            return
        try:
            if self._last is None:
                self.begin()
            self._write(now.timestamp(), turns)
            self._read(turns)
        except redis.RedisError:
            self._refused = now
        else:
            self._last, self._refused = now, None

    def begin(self) -> None:
        """Make every group that is not there."""
        for name, group in EVENT_DRIVEN.items():
            self._make(names.stream(name), group)
        for reader in self.readers.values():
            self._make(reader.stream, reader.group)

    def _make(self, stream: str, group: str) -> None:
        with contextlib.suppress(redis.ResponseError):  # it is there already
            self.client.xgroup_create(stream, group, id="0", mkstream=True)

    def _write(self, at: float, turns: int) -> None:
        sent = self.client.pipeline(transaction=False)
        for producer in self.producers.values():
            for _ in range(producer.each * turns if producer.running else 0):
                sent.xadd(producer.stream, producer.entry(at), maxlen=producer.cap, approximate=False)
        beater = self.exit_agent
        if beater.running:
            sent.set(beater.key, beater.text(at), px=beater.ttl)
        sent.execute()

    def _read(self, turns: int) -> None:
        """Read for everybody in one round trip; who finds no group makes it, as clients do."""
        reading = [reader for reader in self.readers.values() if reader.running]
        self._order = -self._order  # of two in one group now this one, now that one is first
        reading = reading[:: self._order]
        asked = self.client.pipeline(transaction=False)
        for reader in reading:
            asked.xreadgroup(
                reader.group, reader.consumer, {reader.stream: reader.begins}, count=reader.most * turns
            )
        done = self.client.pipeline(transaction=False)
        for reader, answer in zip(reading, asked.execute(raise_on_error=False), strict=True):
            if isinstance(answer, redis.ResponseError) and str(answer).startswith("NOGROUP"):
                self._make(reader.stream, reader.group)
            elif isinstance(answer, list) and reader.acknowledges:
                for _, entries in answer:
                    if entries:
                        done.xack(reader.stream, reader.group, *(found for found, _ in entries))
        done.execute()
