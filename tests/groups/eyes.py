"""The manners in which signals are made to look: every time and whole, torn, and as the reader does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.groups.wire import Wire
from watchdog.errors import CollectError
from watchdog.model import Reading, SignalKey
from watchdog.reader import RedisReader, Round
from watchdog.signals.base import LATENCY, Look, Reply
from watchdog.signals.consumes import Consumes, ConsumesConfig
from watchdog.wire import Batch

Between = Callable[[], None]
KEEP = timedelta(hours=1)


class Eyes:
    """A `consumes` signal for each of some groups, and the readings of them that are in force."""

    def __init__(self, wire: Wire, stream: str, groups: Sequence[str]) -> None:
        """Watch *groups* on *stream* through *wire*."""
        self._wire = wire
        self._stream = stream
        self._groups = groups
        self._memories: dict[str, Any] = {}
        self.readings: dict[str, Reading] = {}
        self._open()

    def _open(self) -> None:
        self._signals = {name: consumes(self._stream, name) for name in self._groups}
        self._reader = RedisReader(_Lines(self._wire))
        self._round = Round(self._signals.values())

    def whole(self, name: str, now: datetime, between: Between | None = None) -> None:
        """Look at one group whole, whatever was seen before; *between* happens after each batch of questions."""
        signal = self._signals[name]
        signal.wake_at = 0.0
        self.readings[name] = self._drive(signal, signal.look(now), now, between)

    def as_reader(self, loop: asyncio.AbstractEventLoop, now: datetime) -> dict[str, bool]:
        """
        Let the product's own reader look at all groups.

        Return who has something new to say, and whether the next process will know of it.
        """
        brought = {r.signal: r for r in loop.run_until_complete(self._reader.look([self._round], now))}
        new: dict[str, bool] = {}
        for name, signal in self._signals.items():
            if (reading := brought.get(signal.key)) is not None:
                self.readings[name] = reading
                memory = signal.memory()
                new[name] = memory != self._memories.get(name)
                self._memories[name] = memory
        return new

    def restart(self) -> None:
        """Begin as a new process does, with nothing but what the one before wrote down."""
        self._open()
        for name, signal in self._signals.items():
            signal.remember(json.loads(json.dumps(self._memories.get(name, {}))))

    def _drive(self, signal: Consumes, looking: Look, now: datetime, between: Between | None) -> Reading:
        try:
            wants = next(looking)
            while True:
                replies = dict(zip(wants, self._wire.ask([c for c in wants if c != LATENCY]), strict=True))
                if between is not None:
                    between()
                wants = looking.send([replies.get(command, 0.001) for command in wants])
        except StopIteration as done:
            found: Reading = done.value
            return found
        except CollectError as exc:
            return Reading(signal.key, now, trouble=str(exc))
        except (
            ValueError,
            LookupError,
            TypeError,
            OverflowError,
            RecursionError,
        ) as exc:  # as the reader does
            return Reading(signal.key, now, trouble=f"{type(exc).__name__}: {exc}")


def consumes(stream: str, group: str) -> Consumes:
    """Return the signal that rules.yaml would make for *group* on *stream*."""
    config = ConsumesConfig.model_validate({"stream": stream, "group": group})
    return Consumes(SignalKey("service", "consumes", config.labels()), config, KEEP)


class _Lines:
    """Our wire, as the reader wants it."""

    place = "the tests"

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def ask(self, batch: Batch) -> list[Reply]:
        """Ask at once: nothing else is on this loop."""
        return self._wire.ask(batch.commands)

    async def close(self) -> None:
        """Leave it open: it belongs to the test."""
