"""The sidecar in a process of its own, with readings of which so many change at every look."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.notify.child import ROOT, Child, serve
from watchdog.clock import utc_now
from watchdog.config import load
from watchdog.demo.server import tethered
from watchdog.garbage import collect_seldom, keep_for_good
from watchdog.model import Counted, Held, Reading, SignalKey, Since
from watchdog.sidecar import Sidecar
from watchdog.sources import Source, Turn
from watchdog.terminal import structured_logs
from watchdog.web.app import build_app
from watchdog.web.server import WebServer, bind

NOBODY = "redis://127.0.0.1:1/0"
"""Redis is never asked."""
LINE = 5
"""So many services stand in one line of needs."""


def rules_text(services: int) -> str:
    """Return a rules file of *services* with five signals each."""
    lines = [f'redis: {{url: "{NOBODY}"}}', "every: 5s", "state: ':memory:'", "services:"]
    for n in range(services):
        name, stream = f"service-{n:03}", f"bench:stream:{n:03}"
        lines += [
            f"  {name}:",
            *([f"    needs: [service-{n - 1:03}]"] if n % LINE else []),
            f'    heartbeat: {{key: "bench:beat:{n:03}", ttl: 1m}}',
            f'    consumes: {{stream: "{stream}:in", group: "{name}"}}',
            "    executions:",
            f'      {{stream: "{stream}:out", success: {{status: filled}}, input: "{stream}:in"}}',
            f"    unit: {{name: {name}.service}}",
            f"    log: {{path: /var/log/bench/{name}.log}}",
        ]
    return "\n".join(lines) + "\n"


# ---- seen from the benchmark -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ours:
    """The running sidecar."""

    child: Child
    port: int

    def change(self, share: float) -> None:
        """Have so large a share of its services change at every look from now on."""
        self.child.ask("change", share=share)


@contextmanager
def running_sidecar(directory: Path, services: int) -> Iterator[Ours]:
    """Run a sidecar that has looked, as long as the block lasts."""
    rules, log = directory / "rules.yaml", directory / "log"
    rules.write_text(rules_text(services))
    argv = tethered([sys.executable, "-m", __name__, str(rules)])
    with (
        log.open("w") as errors,
        subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            child = Child("served", process, log)
            yield Ours(child, child.ask("port")["port"])
        finally:
            process.kill()


# ---- the process -------------------------------------------------------------------------------


class Served:
    """The sidecar and what it is told."""

    def __init__(self, rules: Path) -> None:
        """Look at *rules* every few seconds, as `watchdog run` does."""
        self.sidecar = Sidecar(load(rules, {}), utc_now)
        every = timedelta(seconds=5)
        self.sidecar.sources = [Source("bench", [Turn(every, (), None)], self.look, late)]
        names = list(self.sidecar.config.services)
        self.places = {name: i for i, name in enumerate(names)}
        self.share = 0.0
        self.looks = 0
        self.began = utc_now()
        self.waits = [0.0] * len(names)
        listener = bind("127.0.0.1", 0)
        listener.listen()
        self.port = listener.getsockname()[1]
        self.web = WebServer(build_app(self.sidecar), listener)
        collect_seldom()
        keep_for_good()

    async def look(self, _: Sequence[Any], now: datetime) -> list[Reading]:
        """Tell of every signal; of the services whose turn it is, that other ones wait than before."""
        self.looks += 1
        count = round(self.share * len(self.waits))
        for i in range(count):
            self.waits[(self.looks * count + i) % len(self.waits)] += 1
        return [self.reading(spec.key, now) for spec in self.sidecar.config.signals]

    def reading(self, key: SignalKey, now: datetime) -> Reading:
        """Return what the signal *key* shows now."""
        stamp = now.timestamp()
        waits = self.waits[self.places[key.service]] if key.service in self.places else 0.0
        values: Mapping[str, Mapping[str, Held]] = {
            "redis": {"up": 1.0, "latency": 0.0004, "memory_ratio": 0.31, "uptime": 9e4, "clients": 9.0},
            "heartbeat": {"present": 1.0, "age": Since(stamp - 5), "ahead": 0.0, "unchanged": 0.0},
            "consumes": {"lag": waits % 7, "behind": 0.0, "pending": 0.0, "consumers": 1.0, "verdict": "ok"},
            "executions": {"age": Since(stamp - 4)},
            "unit": {"state": "active", "active": 1.0, "enabled": 1.0, "wanted": 1.0},
            "log": {"age": Since(stamp - 1)},
        }
        gained = {"executions": ("total", "succeeded", "offered"), "consumes": ("read",), "log": ("lines",)}
        counts = {(name, ""): Counted(self.began, ((now, 3.0),)) for name in gained.get(key.kind, ())}
        return Reading(key, now, values.get(key.kind, {}), counts)

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Do what the benchmark asks for."""
        if question["do"] == "change":
            self.share = question["share"]
            return {}
        while self.sidecar.latest is None:
            await asyncio.sleep(0.01)
        return {"port": self.port}


def late(signal: Any, now: datetime, why: str) -> Reading:
    """Return the reading of a look that came to nothing."""
    return Reading(signal.key, now, trouble=why)


async def main(rules: Path) -> None:
    """Watch until the benchmark ends."""
    structured_logs("warning")
    served = Served(rules)
    served.sidecar.start()
    served.web.start()
    await serve(served.answer)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
