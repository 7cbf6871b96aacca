"""
Faults on faults: `python -m tests.incident.chaos --seed 1`.

For an hour of the moved clock faults of the library begin and are mended at random, several at a time. At every
look what the watchdog names as causes is held against the faults that are in force; `--write` puts the figures
into docs/incidents.md.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.incident.lockstep import STRIDE, Past, World, lived, world
from tests.incident.pages import put
from watchdog.demo.faults import FAULTS
from watchdog.demo.faults.fault import LEEWAY, Alarm, Fault
from watchdog.terminal import quiet_logs

HOUR = timedelta(hours=1)
LONGEST_WINDOW = timedelta(minutes=12)
MOST = 4
"""So many faults are in force at most at the same time."""
EVERY = 240.0  # seconds between two breaks, in the mean
AFTERGLOW = timedelta(minutes=15)
"""So long after the repair an alert may go on: no window of a rule that names a fault here is longer."""
ALONE = frozenset({"X09", "X10", "X11", "X12", "S13", "S14", "W14"})
"""What takes everything else with it, or hides it: the server as a whole, and the watchdog's own."""


@dataclass
class Spell:
    """A fault from its break to its repair (None: still in force)."""

    fault: Fault
    begin: datetime
    until: datetime
    end: datetime | None = None

    def due(self, now: datetime) -> bool:
        """Say whether it must be named by *now*."""
        return self.end is None and now > self.begin + self.fault.window + LEEWAY

    def explains(self, alarm: Alarm, now: datetime) -> bool:
        """Say whether *alarm* may be there at *now* because of it."""
        known = alarm in self.fault.expected or alarm in self.fault.possible
        return known and (self.end is None or now <= self.end + AFTERGLOW)


@dataclass
class Score:
    """What was named, look by look."""

    seed: int
    spells: list[Spell] = field(default_factory=list)
    looks: int = 0
    due: int = 0  # faults that had to be named, summed over all looks
    named: int = 0  # of those, the ones that were
    roots: int = 0  # alerts that claimed to be a cause, summed over all looks
    true: int = 0  # of those, the ones a fault explains
    equal: int = 0  # looks at which both sets were the same
    unnamed: Counter[str] = field(default_factory=Counter)
    false: Counter[Alarm] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        """Return the share of what had to be named that was."""
        return self.named / self.due if self.due else 1.0

    @property
    def precision(self) -> float:
        """Return the share of what was named that was there."""
        return self.true / self.roots if self.roots else 1.0

    def look(self, found: World, now: datetime) -> None:
        """Hold what is named at *now* against the faults in force."""
        roots = causes_of(found)
        due = [spell for spell in self.spells if spell.due(now)]
        unnamed = [spell.fault.id for spell in due if not set(spell.fault.expected) & found.firing]
        false = [alarm for alarm in roots if not any(spell.explains(alarm, now) for spell in self.spells)]
        self.looks += 1
        self.due += len(due)
        self.named += len(due) - len(unnamed)
        self.roots += len(roots)
        self.true += len(roots) - len(false)
        self.equal += not unnamed and not false
        self.unnamed.update(unnamed)
        self.false.update(false)


def causes_of(found: World) -> set[Alarm]:
    """Return what fires, is worth a page or a mail, and names nobody else as its cause."""
    latest = found.sidecar.latest
    notices = latest.notices if latest is not None else ()
    return {
        (notice.alert.name, notice.alert.service)
        for notice in notices
        if notice.alert.firing and notice.cause is None and str(notice.alert.severity) != "info"
    }


def candidates(faults: Mapping[str, Fault]) -> list[Fault]:
    """Return the faults that can be mended within minutes, and named within as many."""
    return [
        fault
        for fault in faults.values()
        if fault.repairs and fault.expected and fault.window <= LONGEST_WINDOW and fault.id not in ALONE
    ]


def free(
    pool: Sequence[Fault], spells: Sequence[Spell], now: datetime, needs: Mapping[str, Collection[str]]
) -> list[Fault]:
    """
    Return those of *pool* that do not touch what another one has in hand.

    A service can be broken in one way at a time, and who waits for one that is broken shows nothing of its own.
    """
    busy = [spell for spell in spells if spell.end is None or now < spell.end + AFTERGLOW]
    places = {service for spell in busy for _, service in (*spell.fault.expected, *spell.fault.possible)}
    return [fault for fault in pool if not _touched(fault, needs) & places]


def _touched(fault: Fault, needs: Mapping[str, Collection[str]]) -> set[str]:
    """Return the services that *fault* concerns, with all that they wait for."""
    touched = {service for _, service in (*fault.expected, *fault.possible)}
    waiting = list(touched)
    while waiting:
        more = set(needs.get(waiting.pop(), ())) - touched
        touched |= more
        waiting += more
    return touched


async def run(seed: int, past: Past, directory: Path, span: timedelta = HOUR) -> Score:
    """Live through *span* of faults on faults."""
    chance = random.Random(seed)
    score = Score(seed)
    pool = candidates(FAULTS)
    async with world(directory, past) as found:
        needs = found.sidecar.config.policy.needs
        end = found.at + span
        next_break = found.at + timedelta(minutes=2)
        while found.at < end:
            now = found.at
            for spell in score.spells:
                if spell.end is None and now >= spell.until:
                    await _mend(spell, found)
            in_force = sum(spell.end is None for spell in score.spells)
            choice = free(pool, score.spells, now, needs)
            if now >= next_break and in_force < MOST and choice:
                fault = chance.choice(choice)
                pool.remove(fault)
                lasts = fault.window + timedelta(seconds=chance.uniform(60, 300))
                found.stage.cue = fault.id
                spell = Spell(fault, now, now + lasts)
                score.spells.append(spell)
                await fault.breaks(found.stage)
                next_break = found.at + timedelta(seconds=chance.expovariate(1 / EVERY))
            await found.live(STRIDE)
            score.look(found, found.clock.now())
    return score


async def _mend(spell: Spell, found: World) -> None:
    assert spell.fault.repairs is not None
    found.stage.cue = spell.fault.id
    await spell.fault.repairs(found.stage)
    spell.end = found.at


def page(scores: Sequence[Score]) -> str:
    """Return the scores as a part of the page."""
    lines = [
        "`python -m tests.incident.chaos --seed 1`: for an hour faults of the library begin and are mended at random,"
        f" up to {MOST} at a time, at different services. At every look (5 s) each fault in force for longer than its"
        " window and 10 s must be named (recall), and each alert above info that names no other cause must belong to a"
        " fault in force, or to one mended within a quarter of an hour (precision).\n",
        "| seed | faults | looks | recall | precision | looks at which both were whole | not named | false |",
        "| ---: | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for score in scores:
        unnamed = ", ".join(f"{fault} ({count}×)" for fault, count in score.unnamed.most_common()) or "–"
        false = ", ".join(f"{n} of {s} ({count}×)" for (n, s), count in score.false.most_common()) or "–"
        lines.append(
            f"| {score.seed} | {' '.join(spell.fault.id for spell in score.spells)} | {score.looks} |"
            f" {score.recall:.1%} | {score.precision:.1%} | {score.equal / max(1, score.looks):.1%} | {unnamed} |"
            f" {false} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the hours that are asked for; 1 if anything was missed or false."""
    parser = argparse.ArgumentParser(prog="python -m tests.incident.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="may be given again (default 1 to 5)")
    parser.add_argument("--past", type=Path, metavar="DIR", help="a healthy past, as tests.incident keeps it")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    given = parser.parse_args()
    quiet_logs()
    scores = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        directory = Path(name)
        past = Past.of(given.past) if given.past else asyncio.run(lived(directory / "past", 3 * HOUR))
        for seed in given.seed or range(1, 6):
            score = asyncio.run(run(seed, past, directory / str(seed)))
            scores.append(score)
            sys.stdout.write(f"seed {seed}: recall {score.recall:.1%}, precision {score.precision:.1%}\n")
            for spell in score.spells:
                sys.stdout.write(
                    f"  {spell.fault.id} {spell.begin:%H:%M:%S} – {spell.end or spell.until:%H:%M:%S}\n"
                )
            sys.stdout.write(f"  not named {dict(score.unnamed)}, false {dict(score.false)}\n")
            sys.stdout.flush()
    if given.write is not None:
        put(given.write, "chaos", page(scores))
    return any(score.unnamed or score.false for score in scores)


if __name__ == "__main__":
    sys.exit(main())
