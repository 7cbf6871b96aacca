"""One stream signal on a bench, looked at as the reader does it: only when something changed."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

from tests.groups.wire import Wire
from tests.signals.conftest import Bench, signal_of
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Reading, Value
from watchdog.signals.base import Command
from watchdog.signals.stream import Stream


class Watcher:
    """A reader of one signal: asks its question at every tick and lets it look on when it has to."""

    def __init__(self, bench: Bench, **keys: Any) -> None:
        signal = signal_of("stream", key="s", **keys)
        assert isinstance(signal, Stream)
        self.bench = bench
        self.signal = signal
        self.asked: list[Command] = []  # beyond the question
        self._answers: list[Any] | None = None

    def look(self, seconds: float = 0.0) -> Reading:
        """Tick *seconds* after the test began; the signal has to have something to say."""
        found = self.tick(seconds)
        assert found is not None
        return found

    def looks(self, *seconds: float) -> list[Reading]:
        """Tick at each of *seconds*."""
        return [self.look(at) for at in seconds]

    def tick(self, seconds: float) -> Reading | None:
        """Tick *seconds* after the test began."""
        now = self.bench.after(seconds)
        with closing(Wire(self.bench.url)) as wire:
            answers = self.answers(wire)
            if answers == self._answers and now.timestamp() < self.signal.wake_at:
                return None
            self._answers = answers
            look = self.signal.look_on(now, answers)
            try:
                wants = next(look)
                while True:
                    self.asked += wants
                    wants = look.send(wire.ask(wants))
            except StopIteration as done:
                found: Reading | None = done.value
                return found
            except CollectError as exc:
                return Reading(self.signal.key, now, trouble=str(exc))

    def cut_short(self, seconds: float) -> None:
        """Let the signal ask for more, and have Redis go away before it answers."""
        with closing(Wire(self.bench.url)) as wire:
            look = self.signal.look_on(self.bench.after(seconds), self.answers(wire))
            assert next(look)
            look.close()

    def answers(self, wire: Wire) -> list[Any]:
        """Ask the question that is asked at every tick."""
        return [question.read(wire.one(*question.command)) for question in self.signal.questions]


def values(reading: Reading, at: datetime | None = None) -> dict[str, Value]:
    """Return what *reading* says at *at*, to the millisecond."""
    found: dict[str, Value] = {}
    for name, value in reading.seen(at or reading.at).items():
        if isinstance(value, AtLeast):
            found[name] = AtLeast(round(value.number, 3))
        else:
            found[name] = round(value, 3) if isinstance(value, float) else value
    return found


def since(reading: Reading, name: str = "added") -> datetime:
    """Return the moment from which on a counter missed nothing."""
    return reading.counts[name, ""].since
