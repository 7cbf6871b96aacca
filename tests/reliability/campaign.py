"""Kills at random moments, in front of receivers that fail at random; and the figures of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.account import Account, settle
from tests.reliability.lives import KILLED, LIVED, Lives
from tests.reliability.receivers import Receiver

BADNESS = {"prompt": 0.7, "calm": 0.5, "usual": 0.15}
"""How many of the requests to each receiver meet a fault."""
LONGEST_LIFE = 0.2
OLD_AGE = 1.5
"""How old a few grow, in seconds: old enough to come again after a pause."""
CLOCK_STEPS = 0.1
"""How often the clock is set in a life, by a day at most: so seldom to a time that was there before."""


@dataclass(frozen=True)
class Figures:
    """What a campaign came to."""

    seed: int
    kills: int
    ends: Counter[str]
    clock_steps: int
    ticks: int
    transitions: int
    undecided: int
    kept_after_all: int
    faults: Counter[str]
    accounts: dict[str, Account]
    seconds: float
    drained_after: float

    @property
    def wrong(self) -> list[str]:
        """Return everything that must not be."""
        return [f"{name}: {what}" for name, found in self.accounts.items() for what in found.wrong]

    def __str__(self) -> str:
        told = self.accounts.values()
        rows = [
            ("seed", self.seed),
            ("kills", self.kills),
            *((f"… {where}", count) for where, count in sorted(self.ends.items())),
            ("clock set", self.clock_steps),
            ("looks committed", self.ticks),
            ("transitions", self.transitions),
            ("killed in the very commit of some", self.undecided),
            ("… which were there afterwards", self.kept_after_all),
            ("requests read", sum(found.requests for found in told)),
            ("taken", sum(found.taken for found in told)),
            ("faults", sum(self.faults.values()) - self.faults["fine"]),
            *((f"… {fault}", count) for fault, count in sorted(self.faults.items()) if fault != "fine"),
            ("doubles, same key and same bytes", sum(found.doubles for found in told)),
            ("transitions lost, for any receiver", sum(len(found.lost) for found in told)),
            ("anything else wrong", sum(len(found.odd) for found in told)),
            ("seconds until all was told, once the receivers were well", f"{self.drained_after:.1f}"),
            ("seconds in all", f"{self.seconds:.0f}"),
        ]
        return "\n".join(
            f"| {what} | {count:,} |" if isinstance(count, int) else f"| {what} | {count} |"
            for what, count in rows
        )


async def campaign(directory: Path, seed: int, kills: int) -> Figures:
    """Kill *kills* lives at random moments, let the last one live, and compare."""
    luck, began = random.Random(seed), time.monotonic()
    offset, clock_steps = 0.0, 0
    async with AsyncExitStack() as stack:
        receivers = [
            await stack.enter_async_context(Receiver(name, f"{seed} {name}", badness))
            for name, badness in BADNESS.items()
        ]
        lives = await stack.enter_async_context(Lives(directory, seed, receivers))
        for _ in range(kills):
            jump = luck.uniform(-86_400, 86_400) if luck.random() < CLOCK_STEPS else 0.0
            clock_steps += jump != 0.0
            end = await lives.live(
                kill_after=luck.uniform(0, OLD_AGE if luck.random() < 0.03 else LONGEST_LIFE),
                every=luck.choice([0.002, 0.01, 0.03]),
                offset=offset,
                jump=jump,
            )
            assert end == KILLED, f"it ended by itself: {end}"
            offset += jump
            lives.step += luck.choice([0, 0, 1, 5, 20])  # things change while nobody looks
        ends = Counter(lives.ends)
        for receiver in receivers:
            receiver.healthy = True
        well = time.monotonic()
        end = await lives.live(until_empty=True, offset=offset, kill_after=60.0)
        assert end == LIVED, f"the last life did not end well: {end}"
        return Figures(
            seed,
            kills,
            ends,
            clock_steps,
            lives.ticks,
            lives.model.transitions,
            lives.model.undecided,
            lives.model.kept_after_all,
            sum((receiver.faults for receiver in receivers), Counter()),
            {r.name: settle(lives.model.lives, r.requests) for r in receivers},
            time.monotonic() - began,
            time.monotonic() - well,
        )
