"""Where faults happen: the pipeline's units, its server and files, and the one who is told of alerts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from watchdog.clock import Clock
from watchdog.demo.beside import Beside
from watchdog.demo.inbox import Inbox
from watchdog.demo.server import EmbeddedServer
from watchdog.demo.units import Keeper
from watchdog.pipeline.runtime import connect

Act = Callable[[datetime], None]
MOST_AT_ONCE = 1_000
"""So often an actor acts at most when time moved on by a leap."""


@dataclass(slots=True, eq=False)
class Actor:
    """Somebody beside the pipeline who does something again and again."""

    act: Act
    every: timedelta
    due: datetime
    cue: str = ""


@dataclass
class Stage:
    """
    The world of the demo, on whose clock everything happens.

    *passing* lets time pass: in the demo it is waited for, in the tests the clock is moved.
    """

    units: Keeper
    server: EmbeddedServer
    inbox: Inbox
    clock: Clock
    passing: Callable[[timedelta], Awaitable[None]]
    actors: list[Actor] = field(default_factory=list)
    cue: str = ""  # of which fault those are who enter or leave now
    redis: Any = field(init=False)  # what a person would do with redis-cli
    beside: Beside = field(init=False)

    def __post_init__(self) -> None:
        self.redis = connect(self.server.url)
        self.beside = Beside(connect(self.server.url, patience=3.0))

    @property
    def directory(self) -> Path:
        """Where the demo's files are."""
        return self.units.directory

    async def live(self, span: timedelta) -> None:
        """Let *span* pass, with everybody doing what they do."""
        await self.passing(span)

    def each(self, every: timedelta, act: Act) -> Actor:
        """Have somebody do *act* every so often from now on, until `dismiss`."""
        actor = Actor(act, every, self.clock(), self.cue)
        self.actors.append(actor)
        self.act()
        return actor

    def dismiss(self, *actors: Actor) -> None:
        """Have *actors* do nothing more, or everybody who entered at the same cue."""
        going = actors or [actor for actor in self.actors if actor.cue == self.cue]
        self.actors = [actor for actor in self.actors if actor not in going]

    def act(self) -> None:
        """Have everybody do what is due by now; each act is told its own moment."""
        now = self.clock()
        self.beside.act(now)
        for actor in list(self.actors):
            actor.due = max(actor.due, now - MOST_AT_ONCE * actor.every)
            while actor.due <= now:
                actor.act(actor.due)
                actor.due += actor.every

    def restart_redis(self) -> None:
        """Restart the server; it comes back with what it held."""
        self.redis.save()
        self.server.halt()
        self.server.resume()
