"""The outage in small: a sidecar that saw a pipeline work, then its trainer die, then what that blocked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.drawn import T0, minutes
from tests.web.conftest import Hands
from watchdog.config import parse
from watchdog.model import Counted, Held, Reading, Series, Since
from watchdog.sidecar import Sidecar
from watchdog.sources import Source, Turn

EVERY = timedelta(seconds=30)
REASON = "risk_layer0_fail:heartbeat_missing"
HOSTILE = "<script>alert(1)</script>"
RULES = """
redis: {url: "redis://127.0.0.1:1", timeout: 500ms}
every: 30s
services:
  intents:
    stream: {key: "quantum:stream:trade.intent", expect_every: 2m}
  intent_bridge:
    needs: [intents]
    consumes: {stream: "quantum:stream:trade.intent", group: "quantum:group:intent_bridge"}
    settings: {file: /etc/quantum/intent_bridge.env}
  rl_feedback:
    heartbeat: {key: "quantum:svc:rl_feedback_v2:heartbeat", ttl: 30s}
  rl_trainer:
    heartbeat: {key: "quantum:svc:rl_trainer:heartbeat", ttl: 30s}
    unit: {name: quantum-rl-trainer.service}
  apply_layer:
    needs: [intent_bridge, rl_trainer, rl_feedback]
    consumes: {stream: "quantum:stream:apply.plan", group: apply_layer_entry}
    executions:
      stream: "quantum:stream:apply.result"
      success: {executed: true}
      reason: error
      input: "quantum:stream:apply.plan"
  execution:
    needs: [apply_layer]
    log: {path: /var/log/quantum/execution.log}
    rules: {LogErrors: {for: 5m}}
  "a/b <i>":
    log: {path: /var/log/alone.log}
receivers:
  ops: {webhook: {url: "http://127.0.0.1:1/ops"}}
routes: [{to: [ops]}]
"""


@dataclass
class Outage:
    """The pipeline, its clock, and since when the trainer is dead."""

    sidecar: Sidecar
    clock: Hands
    dead_at: datetime
    unreadable: str = ""
    """The log that cannot be read, if there is one."""

    @property
    def now(self) -> datetime:
        """Return what the clock shows."""
        return self.clock.time

    async def go_on(self, span: timedelta) -> None:
        """Look every half a minute for so long."""
        until = self.now + span
        while self.now < until:
            self.clock.time += EVERY
            for source in self.sidecar.sources:
                source.took = 0.0  # a busy machine makes no slow pipeline
            await self.sidecar._tick_safely()

    # ---- what is seen --------------------------------------------------------------------------

    @property
    def dead(self) -> bool:
        """Say whether the trainer is dead."""
        return self.now >= self.dead_at

    def readings(self) -> Iterator[Reading]:
        """Yield what every signal shows now."""
        for spec in self.sidecar.config.signals:
            kind = spec.key.kind
            if kind == "watchdog":
                continue
            if kind == "log" and spec.key.labels["path"] == self.unreadable:
                yield Reading(spec.key, self.now, trouble=f"permission denied: {HOSTILE}")
                continue
            offered = spec.config.offered()
            shown = {n: v for n, v in self._values(spec.key.service, kind).items() if n in offered}
            counts = {series: self._counted(n) for series, n in self._counts(kind).items()}
            yield Reading(spec.key, self.now, shown, counts, evidence=self._evidence(spec.key.service, kind))

    def _counted(self, number: float) -> Counted:
        return Counted(T0 - timedelta(days=1), ((self.now, number),) if number else ())

    def _values(self, service: str, kind: str) -> Mapping[str, Held]:
        """Return values of every signal; those of the trainer, and what needs it, change when it dies."""
        stamp = self.now.timestamp()
        gone = self.dead_at.timestamp() if self.dead else None
        dead = gone is not None and service == "rl_trainer"
        last = gone if gone is not None and kind == "executions" else stamp - 4
        found: Mapping[str, Mapping[str, Held]] = {
            "redis": {"up": 1.0, "latency": 0.0004, "memory_ratio": 0.31, "uptime": 86_400.0, "clients": 9.0},
            "stream": {
                "length": 10_008.0,
                "age": Since(stamp - 3),
                "overdue": Since(stamp - 3, per=120),
                "expected": 120.0,
                "retained": Since(stamp - 90_000),
                "capped": 1.0,
                "groups": 1.0,
            },
            "consumes": {
                "lag": 0.0,
                "behind": 0.0,
                "pending": 0.0,
                "oldest_pending": 0.0,
                "idle": Since(stamp - 2),
                "consumers": 1.0,
                "ghosts": 0.0,
                "deliveries": 1.0,
                "bodies_gone": 0.0,
                "provenance": "reported",
                "verdict": "ok",
            },
            "settings": {"violations": 0.0, "warnings": 0.0, "age": Since(stamp - 40_000)},
            "heartbeat": {
                "present": 0.0 if dead else 1.0,
                "age": Since(gone if dead and gone else stamp - 5),
                **({} if dead else {"ttl": 25.0}),
                "ahead": 0.0,
                "unchanged": 0.0,
                "synthetic": 0.0,
            },
            "unit": {
                "state": "activating/auto-restart" if dead else "active",
                "active": 0.0 if dead else 1.0,
                "enabled": 1.0,
                "wanted": 1.0,
                "failed_runs": 1.0 if dead else 0.0,
                "exit_status": 203.0 if dead else 0.0,
                "result": "exit-code" if dead else "success",
            },
            "executions": {"age": Since(last), "rhythm": 0.0, "offered_since": self._offered_since()},
            "log": {"age": Since(stamp - 1), "behind": 0.0, "late": 0.0},
        }
        return found.get(kind, {})

    def _offered_since(self) -> float:
        return max(0.0, (self.now - self.dead_at) / EVERY)

    def _counts(self, kind: str) -> Mapping[Series, float]:
        """Return what every counter gained since the last look."""
        bad = self.dead
        some = float(3 + self.now.minute % 4)
        return {
            "redis": {("evicted", ""): 0.0},
            "stream": {("added", ""): some, ("resets", ""): 0.0},
            "consumes": {("read", ""): some, ("lost", ""): 0.0},
            "unit": {("restarts", ""): 3.0 if bad else 0.0},
            "executions": {
                ("total", ""): some,
                ("succeeded", ""): 0.0 if bad else some,
                ("answered", ""): some,
                ("offered", ""): some,
                **({("reason", REASON): some} if bad else {}),
            },
            "log": {
                ("lines", ""): 12.0,
                ("errors", ""): 6.0 if bad else 0.0,
                ("new_errors", ""): 0.0,
            },
        }.get(kind, {})

    def _evidence(self, service: str, kind: str) -> Mapping[str, object]:
        if kind == "unit" and self.dead:
            return {"why": "Failed at step EXEC: /opt/rl/train.sh is not executable", "line": HOSTILE}
        if kind == "consumes":
            return {
                "last_delivered": "1771462500000-0",
                "look": "redis-cli XINFO GROUPS quantum:stream:apply.plan; redis-cli XPENDING s g",
            }
        return {"last": HOSTILE} if (service, kind) == ("execution", "log") else {}


def outage(begin: datetime = T0, dead_after: float = 20, rules: str = RULES) -> Outage:
    """Return a pipeline that works from *begin* on, and whose trainer dies *dead_after* so many minutes."""
    clock = Hands()
    clock.time = begin
    sidecar = Sidecar(parse(rules), clock.now)
    world = Outage(sidecar, clock, begin + minutes(dead_after))

    async def ask(_: Sequence[Any], now: datetime) -> list[Reading]:
        return list(world.readings())

    def never_late(signal: Any, now: datetime, why: str) -> Reading:
        return Reading(signal.key, now, trouble=why)

    sidecar.sources = [Source("the pipeline", [Turn(EVERY, (), None)], ask, never_late)]
    return world
