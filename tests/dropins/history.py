"""
Hours of the reference pipeline's metrics at once, for pictures of dashboards.

The readings are simulated; what is made of them (alerts, statuses, metrics) is the product's own.

    python -m tests.dropins.history --fault W01 > history.om
    promtool tsdb create-blocks-from openmetrics history.om data/
    prometheus --storage.tsdb.path=data/ --config.file=empty.yml --storage.tsdb.retention.time=10y
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from watchdog.clock import utc_now
from watchdog.config import Config, SignalSpec, parse
from watchdog.model import Counted, Held, Reading, Series, Since
from watchdog.sidecar import Sidecar
from watchdog.sources import Source, Turn
from watchdog.terminal import quiet_logs
from watchdog.web.metrics import render

RULES = Path(__file__).parents[2] / "rules.yaml"
STEP = timedelta(seconds=15)
BEFORE = timedelta(hours=2)
"""For so long every counter is known before the first look."""
FAULTS = {
    "G01": "the heartbeat of rl_trainer is missing, its unit restarts, and the apply layer refuses everything",
    "U01": "the unit of rl_trainer cannot be executed and restarts again and again",
    "W01": "the execution service fails on every entry and acknowledges it",
    "W02": "the consumer of the execution service has died, its process lives on",
    "W13": "the HTTP port of the execution service accepts and never answers",
    "S08": "the intent bridge is so slow that entries are trimmed before it reads them",
}
Made = tuple[dict[str, Held], dict[Series, float]]


@dataclass
class World:
    """The pipeline at one moment; from *broken_at* on it has *faults*."""

    faults: Collection[str]
    broken_at: datetime
    now: datetime
    chance: random.Random

    def has(self, *faults: str) -> bool:
        """Say whether one of *faults* is there by now."""
        return self.now >= self.broken_at and any(fault in self.faults for fault in faults)

    @property
    def broken(self) -> float:
        """Return for how many seconds it has been broken."""
        return (self.now - self.broken_at).total_seconds()

    def ago(self, seconds: float) -> Since:
        """Return what is *seconds* old."""
        return Since(self.now.timestamp() - seconds)

    def about(self, number: float, spread: float = 0.2) -> float:
        """Return something near *number*, with the tides of a market."""
        tide = 1 + 0.25 * math.sin(self.now.timestamp() / 1300)
        return max(0.0, number * tide * self.chance.gauss(1, spread))

    def some(self, number: float) -> float:
        """Return how many of something happened in a step in which *number* are usual."""
        return float(round(self.about(number, 0.3)))


# ---- the signals -------------------------------------------------------------------------------


def heartbeat(world: World, service: str) -> Made:
    """A beat every five seconds, but for who cannot start."""
    if service == "rl_trainer" and world.has("G01", "U01"):
        return {"present": 0.0, "synthetic": 0.0, "age": world.broken}, {}
    age = world.chance.uniform(0, 5)
    beat: dict[str, Held] = {
        "present": 1.0,
        "age": world.ago(age),
        "ttl": 30 - age,
        "ahead": 0.0,
        "unchanged": 0.0,
    }
    return {**beat, "synthetic": 0.0}, {}


def stream(world: World, service: str) -> Made:
    """A capped stream; downstream of a dead consumer nothing is added."""
    rate = 24.0 if service == "intents" else 18.0
    if service == "intent_bridge" and world.has("S08"):
        rate /= 4
    return {
        "length": 10_000.0,
        "age": world.ago(world.chance.uniform(0.2, 2)),
        "overdue": 0.01,
        "retained": 10_000 / rate * 15,
        "skew": world.about(0.2),
        "capped": 1.0,
        "groups": 1.0,
        "constant_share.source": 0.8,
    }, {("added", ""): world.some(rate), ("bad_values", ""): 0.0, ("resets", ""): 0.0}


def consumes(world: World, service: str) -> Made:
    """A group that keeps up, one that has stopped, or one that falls behind until entries are lost."""
    values: dict[str, Held] = {
        "lag": float(world.chance.choice([0, 0, 0, 1, 2])),
        "provenance": "redis",
        "behind": 0.0,
        "pending": float(world.chance.choice([0, 0, 1, 3])),
        "oldest_pending": 0.0,
        "idle": world.ago(0.5),
        "consumers": 2.0,
        "ghosts": 0.0,
        "deliveries": 1.0,
        "bodies_gone": 0.0,
        "catch_up": 0.0,
        "verdict": "ok",
    }
    read, lost = world.some(18), 0.0
    if service == "execution" and world.has("W02"):
        stuck: dict[str, Held] = {
            "lag": world.broken * 1.2,
            "behind": world.broken,
            "idle": world.broken,
            "verdict": "stalled",
        }
        return {**values, **stuck, "pending": 7.0, "oldest_pending": world.broken}, {
            ("read", ""): 0.0,
            ("lost", ""): 0.0,
        }
    if service == "intent_bridge" and world.has("S08"):
        kept = 10_000 / 24 * 15
        behind = min(world.broken * 2.6, kept)
        left = max(0.0, kept - behind)
        lost = world.some(16) if not left else 0.0
        late: dict[str, Held] = {"lag": behind * 1.6, "behind": behind, "time_to_loss": left}
        return {**values, **late, "verdict": "losing_soon" if left < 1800 else "falling_behind"}, {
            ("read", ""): world.some(5),
            ("lost", ""): lost,
        }
    return values, {("read", ""): read, ("lost", ""): lost}


def executions(world: World, service: str) -> Made:
    """Offers that become successes and refusals, or refusals only."""
    last = service == "execution"
    refusing = world.has("W01", "W02") if last else world.has("G01")
    starved = last and world.has("G01")
    silent = last and world.has("W02")
    offered = 0.0 if starved else world.some(6 if last else 8)
    done = 0.0 if refusing or starved else round(offered * (0.9 if last else 0.7))
    refused = 0.0 if silent else offered - done
    reason = "heartbeat_missing" if not last and refusing else "parse_error" if refusing else "cooldown"
    values: dict[str, Held] = {
        "age": world.ago(world.broken if refusing or starved else world.chance.uniform(1, 20)),
        "skew": world.about(0.4),
        "of_limit": 0.0 if refusing or starved else world.about(0.4, 0.05),
        "constant_share.entry_price": 0.02,
    }
    total = 0.0 if silent else offered
    return values, {
        ("total", ""): total,
        ("attempted", ""): total,
        ("answered", ""): total,
        ("offered", ""): offered,
        ("succeeded", ""): done,
        ("reason", reason): refused,
        ("reason", "too_small"): 0.0,
        ("decided", ""): total * 3,
        ("decision", "SKIP"): total * 2,
        ("decision", "EXECUTE"): total,
        ("decision", "BLOCKED"): 0.0,
        ("bad_values", ""): 0.0,
        ("forbidden", ""): 0.0,
        ("old", ""): 0.0,
    }


def log(world: World, service: str) -> Made:
    """A log with few errors, or with one for each entry that cannot be parsed."""
    lines = world.some(40)
    bad = service == "execution" and world.has("W01")
    quiet = service == "execution" and world.has("W02")
    errors = float(round(lines / 2)) if bad else world.chance.choice([0.0, 0.0, 0.0, 1.0])
    new = 1.0 if bad and world.broken < STEP.total_seconds() else 0.0
    values: dict[str, Held] = {"age": world.ago(0.4), "overdue": 0.001, "behind": 0.0, "late": 0.0}
    if quiet:
        lines, errors, new = 0.0, 0.0, 0.0
        values |= {"age": world.broken, "overdue": world.broken / 900}
    return values, {
        ("lines", ""): lines,
        ("errors", ""): errors,
        ("new_errors", ""): new,
        ("ignored", ""): world.chance.choice([0.0, 0.0, 1.0]),
        ("matches.notional", ""): world.chance.choice([0.0] * 200 + [1.0]),
        ("matches.filled", ""): 0.0 if bad or quiet else world.some(5),
    }


def unit(world: World, service: str) -> Made:
    """A unit that runs, or one that systemd starts again and again."""
    well: dict[str, Held] = {"enabled": 1.0, "wanted": 1.0, "outdated": 0.0}
    if world.has("G01", "U01"):
        return {
            **well,
            "state": "activating/auto-restart",
            "active": 0.0,
            "failed_runs": world.broken // 5,
            "exit_status": 203.0,
            "result": "exit-code",
        }, {("restarts", ""): 3.0}
    run: dict[str, Held] = {
        "state": "active",
        "active": 1.0,
        "failed_runs": 0.0,
        "exit_status": 0.0,
        "result": "success",
    }
    return {**well, **run}, {("restarts", ""): 0.0}


def health(world: World, service: str) -> Made:
    """200, whatever happens: that is the trouble with it."""
    if world.has("W13"):
        return {"up": 0.0, "problem": "no_answer"}, {}
    body = {"body.errors_last_hour": world.about(3), "body.uptime": 86_400.0}
    return {"up": 1.0, "problem": "ok", "latency": world.about(0.012), "status": 200.0, **body}, {}


def plain(world: World, service: str) -> Made:
    """Everything that is well all the time."""
    return {
        "violations": 0.0,
        "warnings": 0.0,
        "age": 20.0,
        "set": 0.0,
        "status": "ok",
        "took": world.about(0.03),
        "perf./var": world.about(4e9, 0.01),
        "up": 1.0,
        "latency": world.about(0.0004),
        "memory_ratio": world.about(0.35, 0.01),
        "uptime": world.ago(1e6),
        "clients": 14.0,
        "found": 9.0,
        "missing": 0.0,
        "left_out": 0.0,
        "skipped": 0.0,
    }, {("evicted", ""): 0.0}


KINDS = {f.__name__: f for f in (heartbeat, stream, consumes, executions, log, unit, health)}


def reading(spec: SignalSpec, world: World, begin: datetime) -> Reading:
    """Return what *spec* shows of the *world*, cut down to what it offers."""
    values, counts = KINDS.get(spec.key.kind, plain)(world, spec.key.service)
    offered = spec.config.offered()
    wide = {name.partition(".")[0] for name in offered if name.endswith(".*")}
    seen = {n: v for n, v in values.items() if n in offered or n.partition(".")[0] in wide}
    if spec.key.kind == "flag":
        seen.pop("age", None)
    parts = {part for measure in offered.values() for part in measure.parts}
    made = {
        series: Counted(begin, ((world.now, number),) if number else ())
        for series, number in counts.items()
        if series[0] in offered or series[0] in parts
    }
    return Reading(spec.key, world.now, seen, made)


# ---- hours of it -------------------------------------------------------------------------------


async def history(config: Config, world: World, end: datetime) -> Iterator[str]:
    """Return the metrics of every step from where *world* is to *end*, as OpenMetrics."""
    begin = world.now - BEFORE
    sidecar = Sidecar(config, lambda: world.now)

    async def ask(_: Sequence[Any], now: datetime) -> list[Reading]:
        return [reading(spec, world, begin) for spec in config.signals if spec.key.kind != "watchdog"]

    turn = Turn(STEP, (), None)
    sidecar.sources = [Source("the world", [turn], ask, lambda s, now, why: Reading(s.key, now, trouble=why))]
    lines = []
    while world.now <= end:
        await sidecar.tick(world.now)
        sidecar.pulse.last_tick = world.now
        sidecar.pulse.ticks += 1
        sidecar.pulse.tick_seconds = world.about(0.02)
        at = f" {world.now.timestamp():.3f}\n"
        lines += [line + at for line in told(sidecar)]
        world.now += STEP
    await sidecar.fleet.close()
    return iter([*lines, "# EOF\n"])


def told(sidecar: Sidecar) -> Iterator[str]:
    """Yield the samples of a scrape, with the labels Prometheus adds."""
    who = 'instance="127.0.0.1:9821",job="watchdog"'
    yield f"up{{{who}}} 1"
    for line in render(sidecar).decode().splitlines():
        if line.startswith("#"):
            continue
        series, _, number = line.rpartition(" ")
        name, brace, rest = series.partition("{")
        yield f"{name}{{{who}{',' + rest if brace else '}'} {number}"


def rules() -> Config:
    """Return the repository's rules without receivers: there is nobody who would take a message."""
    return parse(RULES.read_text(encoding="utf-8").partition("\nreceivers:")[0], environment={})


def main() -> None:
    """Write the history to standard output."""
    parser = argparse.ArgumentParser(description="Hours of the reference pipeline's metrics, as OpenMetrics.")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS, help="may be given again")
    parser.add_argument("--hours", type=float, default=3, help="how much of it (default 3)")
    parser.add_argument("--broken-for", type=float, default=50, metavar="MINUTES", help="(default 50)")
    chosen = parser.parse_args()
    quiet_logs()
    end = utc_now().replace(second=0, microsecond=0)
    start = end - timedelta(hours=chosen.hours)
    broken_at = end - timedelta(minutes=chosen.broken_for)
    world = World(chosen.fault, broken_at, start, random.Random(19))
    sys.stdout.writelines(asyncio.run(history(rules(), world, end)))


if __name__ == "__main__":
    main()
