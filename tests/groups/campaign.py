"""Lets histories happen, holds every look to the truth, and makes what goes wrong small."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from tests.groups.eyes import Eyes
from tests.groups.histories import GROUPS, STREAM, Player, Step, draw, same_as_server
from tests.groups.judge import Judge, Moment, moment
from tests.groups.model import Truth
from tests.groups.wire import SERVERS, Wire
from watchdog.signals.base import Refused

MANNERS = ("reader", "whole", "torn")
"""As the product's reader does it; every time and whole; whole, and something happens in the midst of it."""


@dataclass
class Outcome:
    """What was wrong in one history, and the history as commands, as far as it came."""

    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Life:
    """One history on an empty server, with somebody who looks and somebody who knows."""

    def __init__(self, wire: Wire, server: str, loop: asyncio.AbstractEventLoop, tally: Counter[str]) -> None:
        wire.one("FLUSHALL")
        seconds, micros = wire.one("TIME")
        began = datetime.fromtimestamp(int(seconds), UTC) + timedelta(milliseconds=int(micros) // 1000)
        counts = SERVERS[server].counts
        self.wire = wire
        self.loop = loop
        self.tally = tally
        self.truth = Truth(GROUPS, drops_claimed=counts)
        self.player = Player(wire, self.truth, began, counts)
        self.eyes = Eyes(wire, STREAM, GROUPS)
        self.judges = {name: Judge(name, self.truth, counts, tally) for name in GROUPS}

    def live(self, steps: Sequence[Step], manner: str) -> Outcome:
        """Let *steps* happen, looking in *manner*; stop at the first thing that is wrong."""
        look = {"reader": self._as_reader, "whole": self._whole, "torn": self._torn}[manner]
        queue = list(reversed(steps))
        wrong: list[str] = []
        while queue and not wrong:
            step = queue.pop()
            if step.verb == "look":
                self.player.tick(step)
                wrong = same_as_server(self.player) or look(queue)
            elif step.verb != "restart":
                self.player.play(step)
            elif manner == "reader":
                self._restart()
        self.tally["histories"] += 1
        self.tally["wrong histories"] += bool(wrong)
        return Outcome(wrong, self.player.told)

    def _as_reader(self, queue: list[Step]) -> list[str]:
        self._server_says()
        new = self.eyes.as_reader(self.loop, self.player.now)
        wrong = []
        for name in GROUPS:
            wrong += self._judge(name, name in new, [moment(self.truth, name)])
            if new.get(name):
                self.judges[name].saved()
        return wrong

    def _whole(self, queue: list[Step]) -> list[str]:
        self._server_says()
        for name in GROUPS:
            self.eyes.whole(name, self.player.now)
        return [what for name in GROUPS for what in self._judge(name, True, [moment(self.truth, name)])]

    def _torn(self, queue: list[Step]) -> list[str]:
        wrong: list[str] = []
        for name in GROUPS:
            seen = [moment(self.truth, name)]

            def between(name: str = name, seen: list[Moment] = seen) -> None:
                if queue and queue[-1].verb not in ("look", "restart"):
                    self.player.told.append(f"# in the midst of a look at {name}:")
                    self.player.play(queue.pop())
                    seen.append(moment(self.truth, name))

            self.eyes.whole(name, self.player.now, between)
            wrong += self._judge(name, True, seen)
        return wrong

    def _judge(self, name: str, new: bool, seen: Sequence[Moment]) -> list[str]:
        self.tally["ticks"] += 1
        self.tally["looks"] += new
        return self.judges[name].judge(self.eyes.readings[name], new, seen, self.player.now)

    def _restart(self) -> None:
        self.player.told.append("# the watchdog restarts")
        self.eyes.restart()
        for judge in self.judges.values():
            judge.restarted()

    def _server_says(self) -> None:
        """Count how often the server's own lag is right, wrong, NULL or not told at all."""
        reply = self.wire.one("XINFO", "GROUPS", STREAM)
        for row in () if isinstance(reply, Refused) else reply:
            said = dict(zip(row[::2], row[1::2], strict=True))
            lag, true = said.get(b"lag"), len(self.truth.ahead(said[b"name"].decode()))
            kind = "right" if lag == true else "null" if lag is None else "wrong"
            self.tally[f"server {kind if b'lag' in said else 'silent'}"] += 1


def live_through(wire: Wire, steps: Sequence[Step], server: str, manner: str, tally: Counter[str]) -> Outcome:
    """Let *steps* happen on an empty server, looking in *manner*; stop at the first thing that is wrong."""
    with closing(asyncio.new_event_loop()) as loop:
        return Life(wire, server, loop, tally).live(steps, manner)


def campaign(
    wire: Wire, server: str, manner: str, histories: int, seed: int
) -> tuple[Counter[str], list[Outcome]]:
    """Live through that many histories and return the figures, and what was wrong, made small."""
    tally: Counter[str] = Counter()
    failures: list[Outcome] = []
    kinds: set[str] = set()
    for number in range(histories):
        steps = draw(Random(f"{seed}:{manner}:{number}"))
        outcome = live_through(wire, steps, server, manner, tally)
        kind = _kind(outcome)
        if kind and kind not in kinds:
            kinds.add(kind)
            failures.append(smallest(wire, steps, server, manner))
    return tally, failures


def smallest(wire: Wire, steps: Sequence[Step], server: str, manner: str) -> Outcome:
    """Leave out what can be left out of a history that goes wrong, and return the rest."""
    kept = list(steps)
    best = live_through(wire, kept, server, manner, Counter())
    kind = _kind(best)

    def try_instead(fewer: list[Step]) -> bool:
        nonlocal kept, best
        outcome = live_through(wire, fewer, server, manner, Counter())
        if _kind(outcome) != kind:
            return False
        kept, best = fewer, outcome
        return True

    size = max(1, len(kept) // 2)
    while size:
        at = 0
        while at < len(kept):
            if not try_instead(kept[:at] + kept[at + size :]):
                at += size
        size //= 2
    for at in range(len(kept)):
        for place in range(1, len(Step._fields)):
            smaller = (number for number in (0, 1, 4) if number < int(kept[at][place]))
            any(
                try_instead([*kept[:at], _with(kept[at], place, number), *kept[at + 1 :]])
                for number in smaller
            )
    return best


def _with(step: Step, place: int, number: int) -> Step:
    """Return *step* with another number at *place*."""
    numbers = [step.a, step.b, step.c]
    numbers[place - 1] = number
    return Step(step.verb, *numbers)


def _kind(outcome: Outcome) -> str:
    """Return the first complaint without its figures: what has the same kind is the same mistake."""
    first = outcome.wrong[0].split(": ", 1)[-1] if outcome.wrong else ""
    return "".join(letter for letter in first if not letter.isdigit() and letter not in "-.[]',")
