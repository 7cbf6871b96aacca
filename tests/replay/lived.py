"""A sidecar on made-up sources: an hour of a pipeline with faults, recorded as it is lived."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.drawn import T0
from watchdog.config import Config
from watchdog.delivery import Outbox
from watchdog.model import Counted, Held, Labels, Reading, Series, SignalKey, Since
from watchdog.notifications import Notification
from watchdog.sidecar import Sidecar
from watchdog.signals.base import Signal
from watchdog.sources import Source, Turn
from watchdog.tape import Tape
from watchdog.telling import Ticket

RULES = """
redis: redis://127.0.0.1:1
every: 10s
services:
  trainer: {heartbeat: {key: beat}}
  apply: {needs: [trainer], consumes: {stream: plan, group: apply}}
  execution:
    needs: [apply]
    executions: {stream: result, success: {status: filled}, reason: error, input: in}
    log: {path: /execution.log}
rules:
  - {alert: HeartbeatStale, when: heartbeat.age > 1m, severity: critical}
  - {alert: NoExecutions, when: [executions.age > 5m, "executions.offered[5m] > 0"], severity: critical}
  - {alert: LogErrors, when: ["log.error_ratio[5m] > 10%", "log.lines[5m] >= 20"], for: 2m, severity: warning}
  - {alert: Rejections, when: "executions.top_reason_share[5m] > 50%", keep_firing_for: 3m, severity: warning}
receivers:
  ops: {webhook: {url: "http://h/ops"}}
  boss: {webhook: {url: "http://h/boss"}}
  pager: {alertmanager: {url: "http://h"}}
routes:
  - {severity: critical, to: [ops, pager], escalate: {after: 5m, to: [boss]}, group_wait: 20s, group_interval: 1m}
  - {to: [ops], repeat_interval: 10m}
notifications: {repeat_interval: 15m}
maintenance:
  - {cron: "20 1 * * *", for: 5m, service: [execution], reason: "every night"}
"""
EVERY = timedelta(seconds=10)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Hour:
    """What there is to see at each tick: faults begin and end at minutes of the hour."""

    faults: Mapping[str, tuple[float, float]] = field(
        default_factory=lambda: {
            "no beat": (5, 16),
            "no success": (8, 30),
            "reasons": (20, 26),
            "errors": (33, 44),
            "no answer": (35, 38),
            "redis away": (28, 29),
            "stalled": (52, 56),
        }
    )

    def on(self, fault: str, now: datetime) -> bool:
        """Say whether a fault is on."""
        begin, end = self.faults[fault]
        return T0 + timedelta(minutes=begin) <= now < T0 + timedelta(minutes=end)

    def begun(self, fault: str) -> datetime:
        """Return when a fault begins."""
        return T0 + timedelta(minutes=self.faults[fault][0])

    def readings(self, config: Config, now: datetime) -> Iterator[Reading]:
        """Yield what is seen at *now*; the group says nothing while nothing changes."""
        away = "redis" if self.on("redis away", now) else None
        for spec in config.signals:
            key = spec.key
            if key.kind == "redis":
                yield Reading(key, now, {"up": 0.0 if away else 1.0, "latency": 0.0004})
            elif key.kind in ("heartbeat", "executions", "consumes") and away:
                yield Reading(key, now, trouble="Redis does not answer", down="redis")
            elif key.kind == "heartbeat":
                last = self.begun("no beat") if self.on("no beat", now) else now - SECOND
                values: dict[str, Held] = {"present": 1.0, "age": Since(last.timestamp())}
                yield Reading(key, now, values, evidence={"last_beat": last.isoformat()})
            elif key.kind == "executions":
                yield self._executions(key, now)
            elif key.kind == "log":
                yield self._log(key, now)
            elif key.kind == "consumes" and (now - T0) % timedelta(minutes=1) == timedelta(0):
                stalled = self.on("stalled", now)
                yield Reading(key, now, {"verdict": "stalled" if stalled else "ok", "lag": 3.0 * stalled})

    def _executions(self, key: SignalKey, now: datetime) -> Reading:
        dead = self.on("no success", now)
        last = self.begun("no success") if dead else now - 2 * SECOND
        series: dict[Series, float] = {
            ("total", ""): 1.0,
            ("offered", ""): 1.0,
            ("succeeded", ""): float(not dead),
        }
        if self.on("reasons", now):
            series["reason", "no_position"] = 1.0
        counts = {s: Counted(T0 - EVERY, ((now - SECOND, by),) if by else ()) for s, by in series.items()}
        return Reading(key, now, {"age": Since(last.timestamp())}, counts, {"seen": [str(now)]})

    def _log(self, key: SignalKey, now: datetime) -> Reading:
        if self.on("no answer", now):
            return Reading(key, now, trouble="permission denied")
        errors = 3.0 * self.on("errors", now)
        series: dict[Series, float] = {("lines", ""): 10.0, ("errors", ""): errors}
        wobbles = round(math.sin(now.timestamp()), 3)
        counts = {s: Counted(T0 - EVERY, ((now, by),) if by else ()) for s, by in series.items()}
        return Reading(key, now, {"age": 0.1 + wobbles**2}, counts, gaps=())


class Living(Sidecar):
    """A sidecar whose every alert and message is written down; its receivers take all at once."""

    def __init__(self, config: Config, hour: Hour, tape: Tape | None) -> None:
        self.now = T0
        super().__init__(config, lambda: self.now, tape=tape)
        self.sent: list[Notification] = []
        self.states: list[tuple[datetime, str, str]] = []
        self.hour = hour
        every = list(self.fleet.signals.values())
        self.sources = [Source("made up", [Turn(EVERY, every, every)], self._ask, _never)]
        self.outbox = Outbox(
            config.receivers,
            config.links,
            self.state,
            self.clock,
            config.expire_after,
            monotonic=lambda: self.now.timestamp(),  # noqa: PLW0108 (it moves)
        )

    async def _ask(self, asked: Sequence[Any], now: datetime) -> list[Reading]:
        return [*self.hour.readings(self.config, now)]

    def tell(
        self, messages: tuple[Notification, ...] = (), withdrawn: frozenset[Ticket] = frozenset()
    ) -> None:
        """Queue what is told, and have everybody take it who is not to wait."""
        self.outbox.take(messages, withdrawn)
        self._send()

    def _send(self) -> None:
        for courier in self.outbox._couriers.values():
            while (letter := courier.lane.claim(self.now.timestamp())) is not None:
                courier.lane.settle()
                self.sent.append(letter.message)

    async def live(self, until: datetime) -> None:
        """Tick on until a moment."""
        while self.now <= until:
            before = self.alerts
            self._send()
            await self.tick(self.now)
            self.states += [
                (self.now, labels.fingerprint, str(alert.state))
                for labels, alert in self.alerts.items()
                if (was := before.get(labels)) is None or was.state is not alert.state
            ]
            self.now += EVERY


def _never(signal: Signal[Any], now: datetime, why: str) -> Reading:
    raise AssertionError(f"{signal.key} is out for too long: {why}")


def key(service: str, kind: str, **labels: str) -> SignalKey:
    """Return a signal."""
    return SignalKey(service, kind, Labels(labels))
