"""
A month in which everything is as it should be, and much happens: `python -m tests.incident.month --seed 1`.

Quiet nights and weekends, bursts, deploys, restarts (the watchdog's too), ghosts, rotated logs, a slow Redis, a
receiver that is down for an hour, steps of the clock, the change to summer time. Real code on the moved clock, in
strides of five minutes, of five seconds around whatever happens; `--write` puts the figures into docs/incidents.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.incident.lockstep import STRIDE, World, world
from tests.incident.pages import put
from watchdog.terminal import quiet_logs

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday; clocks go forward in Europe on the 29th
LONG_STRIDE = timedelta(minutes=5)
AROUND = timedelta(minutes=5)
HOME = ZoneInfo("Europe/Berlin")
BY_DAY, BY_NIGHT, AT_WEEKENDS, IN_A_BURST = 0.03, 0.003, 0.002, 1.0
"""Plans a second: an order every quarter of an hour by day, every few hours otherwise."""
BEFORE = timedelta(days=14)
"""So long the pipeline lived before anybody watched it; what its streams still hold is all that is known of that."""
SERVICES = (
    "intents",
    "intent_bridge",
    "permits",
    "apply_layer",
    "execution",
    "exits",
    "rl_feedback",
    "rl_trainer",
)
Happening = Callable[[World, random.Random], Awaitable[None]]


def rate(now: datetime) -> float:
    """Return how many plans a second are usual at *now*, by the market's own day."""
    here = now.astimezone(HOME)
    if here.weekday() >= 5:
        return AT_WEEKENDS
    return BY_DAY if 8 <= here.hour < 20 else BY_NIGHT


def set_rate(found: World, plans: float) -> None:
    """Have the generator propose *plans* a second."""
    found.keeper.generate(plans)


async def burst(found: World, chance: random.Random) -> None:
    """For five minutes the market moves."""
    set_rate(found, IN_A_BURST)
    await found.live(AROUND, 3 * STRIDE)


async def restart(found: World, chance: random.Random) -> None:
    """One service is restarted."""
    await found.keeper.restart(chance.choice(SERVICES))
    await found.live(AROUND)


async def crash(found: World, chance: random.Random) -> None:
    """One service is killed, and systemd starts it again."""
    await found.keeper.kill(chance.choice(SERVICES))
    await found.live(AROUND)


async def deploy(found: World, chance: random.Random) -> None:
    """All programs are replaced, and all services restarted, one after the other."""
    for service in SERVICES:
        at = found.clock.now().timestamp()
        os.utime(found.keeper.scripts[service], times=(at, at))
    for service in SERVICES:
        await found.keeper.restart(service)
        await found.live(STRIDE)
    await found.live(AROUND)


async def restart_watchdog(found: World, chance: random.Random) -> None:
    """The watchdog itself is restarted, and is away for a minute."""
    await found.reopen(away=timedelta(minutes=1))
    await found.live(AROUND)


async def ghosts(found: World, chance: random.Random) -> None:
    """A restart under another process id leaves consumers behind, with nothing in their hands."""
    for _ in range(3):
        found.stage.redis.xgroup_createconsumer(
            "quantum:stream:apply.plan", "apply_layer_entry", f"host_{chance.randrange(9_999)}"
        )


async def rotate(found: World, chance: random.Random) -> None:
    """All logs are rotated, in one of the two ways."""
    for log in found.keeper.logs.values():
        old = log.with_suffix(".log.1")
        if chance.random() < 0.5:
            log.replace(old)
            log.touch()  # as logrotate's `create` does
        else:
            shutil.copy2(log, old)
            os.truncate(log, 0)
    await found.live(timedelta(minutes=1))


async def slow_redis(found: World, chance: random.Random) -> None:
    """For a minute every command waits for most of a second."""
    for _ in range(12):
        found.stage.redis.client_pause(700)
        await found.live(STRIDE)


async def deaf_receiver(found: World, chance: random.Random) -> None:
    """For an hour the receiver refuses whatever comes."""
    found.inbox.status = 503
    await found.live(timedelta(hours=1), timedelta(minutes=1))
    found.inbox.status = 204


async def step_clock(found: World, chance: random.Random) -> None:
    """The machine's clock is set, by up to two minutes forward or back."""
    found.at += timedelta(seconds=chance.choice([-120, -30, -2, 2, 30, 120]))
    found.clock.move_to(found.at)
    await found.live(AROUND)


@dataclass(frozen=True)
class Kind:
    """Something that happens so many times in a month."""

    name: str
    times: int
    happen: Happening


KINDS: Sequence[Kind] = (
    Kind("bursts", 60, burst),
    Kind("restarts", 20, restart),
    Kind("crashes, started again at once", 6, crash),
    Kind("deploys of everything", 8, deploy),
    Kind("restarts of the watchdog", 4, restart_watchdog),
    Kind("ghosts", 10, ghosts),
    Kind("log rotations", 30, rotate),
    Kind("minutes of a slow Redis", 4, slow_redis),
    Kind("hours of a deaf receiver", 2, deaf_receiver),
    Kind("steps of the clock", 6, step_clock),
)


@dataclass
class Month:
    """What came of a month: what was said of it, and how it was lived."""

    seed: int
    days: float
    ticks: int = 0
    took: float = 0.0  # seconds of ours
    happened: Counter[str] = field(default_factory=Counter)
    said: list[tuple[datetime, str, str, str, str]] = field(default_factory=list)

    def of(self, severity: str) -> int:
        """Return how many alerts of *severity* fired."""
        return sum(said[1] == severity for said in self.said)


def undeclared(text: str) -> str:
    """Return the rules without any `expect_every`: how long quiet may be is learnt, or is not told of."""
    return re.sub(r",? *expect_every: \w+ *(#.*)?", "", text)


async def lived(
    seed: int,
    days: float,
    directory: Path,
    *,
    begin: datetime = BEGIN,
    before: timedelta = BEFORE,
    kinds: Sequence[Kind] = KINDS,
) -> Month:
    """Live a month, or some days of it, and return what was said."""
    chance = random.Random(seed)
    month = Month(seed, days)
    began = time.perf_counter()
    end = begin + timedelta(days=days)
    share = days / 30
    told: dict[tuple[datetime, str, str], tuple[str, str]] = {}
    plan = sorted(
        (
            (begin + timedelta(days=chance.uniform(0.1, 0.95) * days), kind)
            for kind in kinds
            for _ in range(max(1, round(kind.times * share)))
        ),
        key=lambda planned: planned[0],
    )
    async with world(directory, begin=begin - before, edit=undeclared) as found:
        while found.at < begin:
            set_rate(found, rate(found.at))
            await found.live(LONG_STRIDE, LONG_STRIDE, watched=False)
        while found.at < end:
            set_rate(found, rate(found.at))
            await found.live(LONG_STRIDE, LONG_STRIDE)
            while plan and plan[0][0] <= found.at:
                _, kind = plan.pop(0)
                month.happened[kind.name] += 1
                await kind.happen(found, chance)
            for (name, service), fired in found.fired.items():
                told.setdefault((fired.at, name, service), (fired.severity, fired.summary))
            found.fired.clear()
        month.ticks = found.ticks
    month.took = time.perf_counter() - began
    month.said = [
        (at, severity, name, service, text) for (at, name, service), (severity, text) in sorted(told.items())
    ]
    return month


def page(months: Sequence[Month]) -> str:
    """Return the months as a part of the page."""
    lines = [
        "`python -m tests.incident.month --seed 1`: the same services and the same watchdog for a month without any"
        " fault, but with everything that is usual: "
        + ", ".join(f"{kind.times} {kind.name}" for kind in KINDS)
        + ", quiet nights and weekends, streams that stay empty for weeks, and the change to summer time. Nothing is"
        " declared of how long quiet may last (no `expect_every`).\n",
        "| seed | days | looks | critical | warning | info | what was said |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for month in months:
        said = Counter(f"{name} of {service}" for _, _, name, service, _ in month.said)
        told = (
            ", ".join(f"{what} ({count}×)" if count > 1 else what for what, count in said.items())
            or "nothing"
        )
        lines.append(
            f"| {month.seed} | {month.days:g} | {month.ticks:,} | {month.of('critical')} | {month.of('warning')} |"
            f" {month.of('info')} | {told} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Live the months that are asked for; 1 if too much was said."""
    parser = argparse.ArgumentParser(prog="python -m tests.incident.month", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="may be given again (default 1)")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    given = parser.parse_args()
    quiet_logs()
    months = []
    for seed in given.seed or [1]:
        with tempfile.TemporaryDirectory(prefix="month-") as name:
            month = asyncio.run(lived(seed, given.days, Path(name)))
        months.append(month)
        sys.stdout.write(
            f"seed {seed}: {month.ticks:,} looks in {month.took:.0f} s; {dict(month.happened)}\n"
        )
        sys.stdout.writelines(f"  {at:%m-%d %H:%M} {rest}\n" for at, *rest in month.said)
        sys.stdout.flush()
    if given.write is not None:
        put(given.write, "month", page(months))
    return any(month.of("critical") or month.of("warning") > 2 for month in months)


if __name__ == "__main__":
    sys.exit(main())
