"""The sidecar in a process of its own: the real one, but for its sources, which say what they are told."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.notify.child import Child, running, serve
from bench.poll import forget_peak, peak_rss
from watchdog.clock import utc_now
from watchdog.config import load
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.model import Reading, SignalKey
from watchdog.reader import down
from watchdog.rules import ZERO
from watchdog.sidecar import Sidecar
from watchdog.signals.base import RedisSignal, Signal
from watchdog.sources import Source, Turn
from watchdog.state import StateFile
from watchdog.terminal import structured_logs

ALERT = "FlagSet"
SUMMARY = "{service}: flag {key} is set"
NOBODY = "redis://127.0.0.1:1/0"
"""Redis is never asked."""


def service_name(number: int) -> str:
    """Return the name of service *number*."""
    return f"service-{number:05d}"


def key_name(number: int) -> str:
    """Return the key of flag *number*."""
    return f"bench:flag:{number:05d}"


def spread(flags: int, services: int) -> list[range]:
    """Return which flags each service has: all as many, but for the last."""
    each = -(-flags // services)
    return [range(start, min(start + each, flags)) for start in range(0, flags, each)]


def rules_text(flags: int, services: int, receivers: dict[str, str]) -> str:
    """Return a rules file in which every flag that is set is an alert, told to *receivers* (name: URL)."""
    lines = [f'redis: {{url: "{NOBODY}"}}', "every: 5s", "services:"]
    for number, own in enumerate(spread(flags, services)):
        lines += [f"  {service_name(number)}:", "    flag:"]
        lines += [f'      - {{key: "{key_name(flag)}"}}' for flag in own]
    rule = f'{{alert: {ALERT}, when: flag.set == 1, severity: critical, summary: "{SUMMARY}"}}'
    lines += ["rules:", f"  - {rule}", "receivers:"]
    lines += [f'  {name}: {{webhook: {{url: "{url}"}}}}' for name, url in receivers.items()]
    lines += [f"routes: [{{to: [{', '.join(receivers)}]}}]"]
    lines += ["notifications: {group_wait: 0s, group_interval: 0s, flapping: off}"]
    return "\n".join(lines) + "\n"


# ---- seen from the benchmark -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick: when it began (`time.perf_counter`), and what it took in seconds."""

    began: float
    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Ours:
    """The running sidecar."""

    child: Child

    def tick(self, flags: range, is_set: bool) -> Tick:
        """Have it tick, and find *flags* set or not set from now on."""
        answer = self.child.ask("tick", first=flags.start, last=flags.stop, is_set=is_set)
        return Tick(**answer)

    def idle(self) -> None:
        """Return once everything was sent and settled."""
        self.child.ask("idle")

    def peak(self) -> int:
        """Return the most memory it had since it was started or `forget_peak`, in bytes."""
        return peak_rss(self.child.pid)

    def forget_peak(self) -> int:
        """Let the peak begin anew, and return what it begins at."""
        forget_peak(self.child.pid)
        return peak_rss(self.child.pid)


@contextmanager
def running_sidecar(directory: Path, flags: int, services: int, receivers: dict[str, str]) -> Iterator[Ours]:
    """Run a sidecar that has ticked once and found nothing wrong, as long as the block lasts."""
    place = directory / f"ours-{flags}-{services}-{len(list(directory.iterdir()))}"
    place.mkdir()
    rules = place / "rules.yaml"
    rules.write_text(rules_text(flags, services, receivers))
    with running("ours", str(rules), log=place / "log") as child:
        ours = Ours(child)
        ours.tick(range(0), is_set=False)
        ours.forget_peak()
        yield ours


# ---- the process -------------------------------------------------------------------------------


class Served:
    """The sidecar and the flags it is told of."""

    def __init__(self, rules: Path) -> None:
        config = load(rules, {})
        self.sidecar = Sidecar(config, utc_now, StateFile(str(rules.with_name("state.db")), utc_now))
        signals = [s for s in self.sidecar.fleet.signals.values() if isinstance(s, RedisSignal)]
        self.sidecar.sources = [Source("bench", [Turn(ZERO, signals, signals)], self.look, down)]
        self.flags = [signal.key for signal in signals if signal.key.kind == "flag"]
        self.is_set: set[SignalKey] = set()
        self.receivers = tuple(config.receivers)
        collect_seldom()  # as `watchdog run` does
        keep_for_good()
        self.sidecar.outbox.start()

    async def look(self, asked: Sequence[Sequence[Signal[Any]]], now: datetime) -> list[Reading]:
        """Say of every flag what the benchmark wants said."""
        keys = [signal.key for signals in asked for signal in signals]
        return [Reading(key, now, {"set": float(key in self.is_set), "up": 1.0}) for key in keys]

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Do what the benchmark asks for."""
        if question["do"] == "idle":
            while any(self.sidecar.outbox.depth(receiver) for receiver in self.receivers):
                await asyncio.sleep(0.001)
            return {}
        flags = self.flags[question["first"] : question["last"]]
        self.is_set = self.is_set.union(flags) if question["is_set"] else self.is_set.difference(flags)
        began, cpu = time.perf_counter(), time.process_time()
        await self.sidecar.tick(utc_now())
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        await asyncio.sleep(0)  # the workers come first
        return {"began": began, "wall": wall, "cpu": cpu}


async def main(rules: Path) -> None:
    """Watch until the benchmark ends."""
    structured_logs("info")
    await serve(Served(rules).answer)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
