"""
The process under test: the real sidecar on scripted readings, born by fork and killed without warning.

`python -m tests.reliability.driver RULES SEED` reads one life a line from standard input and reports
on standard output. It loads everything once and forks for every life, so that a life costs
milliseconds. Nothing passes from one life to the next but the state file.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog

from tests.reliability.script import PLACES, Script
from watchdog.clock import Clock, utc_now
from watchdog.config import Config, load
from watchdog.delivery import AlwaysOpen
from watchdog.model import Reading, SignalKey
from watchdog.notifications import Notification
from watchdog.notifiers.base import Sending
from watchdog.notifiers.webhook import Webhook
from watchdog.sidecar import Sidecar
from watchdog.signals.base import Signal
from watchdog.sources import Source, Turn
from watchdog.state import StateFile

POINTS = ("decided", "before a commit", "after a commit", "before sending", "answered", "settled")
"""Where a process can be told to die, between what was decided and what is settled."""
LOOKS_BEFORE_JUMP = 3


@dataclass(frozen=True)
class Life:
    """How one life is to be lived: what it starts with, and how it ends."""

    state: str
    step: int
    offset: float = 0.0
    """By how many seconds the clock is wrong."""
    jump: float = 0.0
    """By how many seconds it is set after a few looks."""
    every: float = 0.01
    until_empty: bool = False
    """Stay at one step, and end once everything is told."""
    kill_after: float | None = None
    """Kill it from outside after so many seconds, if it still lives."""
    point: str = ""
    """Kill it when it comes to this one of `POINTS` for the *crossing*-th time."""
    crossing: int = 0
    call: int = 0
    """Kill it at its so-many-th system call that somebody outside could notice (killer.c)."""
    half: bool = False
    """Count only those that write, and let it write the first half."""


@dataclass
class Death:
    """Waits at one point, if at all."""

    point: str = ""
    crossings: int = 0

    def cross(self, point: str) -> None:
        """Pass *point*, unless this is the end."""
        if point == self.point:
            self.crossings -= 1
            if self.crossings == 0:
                os.kill(os.getpid(), signal.SIGKILL)


death = Death()


class WatchedState(StateFile):
    """The state file, with death around its commits."""

    def commit(self) -> None:
        """Commit."""
        death.cross("before a commit")
        super().commit()
        death.cross("after a commit")


class WatchedSidecar(Sidecar):
    """The sidecar, with death between its decision and everything else."""

    def tell(self, *decided: Any) -> None:
        """Tell."""
        death.cross("decided")
        super().tell(*decided)


class WatchedWebhook(Webhook):
    """The webhook, with death before and after the receiver is asked."""

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Send."""
        death.cross("before sending")
        try:
            return await super().send(notification, sending)
        finally:
            death.cross("answered")


class WatchedGate(AlwaysOpen):
    """The outbox's gate, with death once a message is done with."""

    def sent(self, message: Notification) -> None:
        """Hear that *message* was taken."""
        death.cross("settled")


def report(**said: Any) -> None:
    """Tell the parent, in one write that is whole or not at all."""
    os.write(1, (json.dumps(said, separators=(",", ":")) + "\n").encode())


class Readings:
    """What stands in for Redis: readings by the script, at the step the life is at."""

    def __init__(self, script: Script, step: int) -> None:
        self.script = script
        self.step = step

    async def look(self, asked: Sequence[Sequence[Signal[Any]]], now: datetime) -> list[Reading]:
        """Return a reading for each signal; what the script cannot tell is trouble."""
        truths = dict(zip(PLACES, self.script.truths(self.step), strict=True))
        places = [(s.key, s.key.service, s.key.labels["key"]) for signals in asked for s in signals]
        return [self._reading(key, truths[service, flag], now) for key, service, flag in places]

    def _reading(self, key: SignalKey, holds: bool | None, now: datetime) -> Reading:
        if holds is None:
            return Reading(key, now, trouble="nobody can tell")
        # What is sent again must read the same although the evidence has changed, and in its own order.
        evidence = {"value": str(int(holds)), "step": self.step, "at": now.isoformat()}
        return Reading(key, now, {"set": float(holds)}, evidence=evidence)


def never_late(_: Signal[Any], __: datetime, why: str) -> Reading:
    """Say what to make of a look that takes too long; none does."""
    raise AssertionError(why)


def scripted_sidecar(config: Config, state: StateFile, clock: Clock, readings: Readings) -> Sidecar:
    """Return the sidecar with nothing replaced but where its readings come from."""
    sidecar = WatchedSidecar(config, clock, state)
    sidecar.outbox.gate = WatchedGate()
    flags = [signal for signal in sidecar.fleet.signals.values() if signal.key.kind == "flag"]
    turn = Turn(timedelta(0), flags, flags)
    sidecar.sources = [Source("script", [turn], readings.look, never_late)]
    return sidecar


def recalled(sidecar: Sidecar) -> dict[str, list[str | None]]:
    """Return every alert the file gave back: its beginning, and its end if it ended."""
    return {
        f"{alert.service} {alert.labels['key']}": [
            alert.active_since.isoformat(),
            alert.resolved_at.isoformat() if alert.resolved_at else None,
        ]
        for alert in sidecar.alerts.values()
    }


async def live(config: Config, script: Script, life: Life) -> None:
    """Tick through the script from the life's step on, until killed; or until all is told."""
    readings = Readings(script, life.step)

    def clock() -> datetime:
        jumped = life.jump if readings.step >= life.step + LOOKS_BEFORE_JUMP else 0.0
        now = utc_now() + timedelta(seconds=life.offset + jumped)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)  # as payloads have it

    sidecar = scripted_sidecar(config, WatchedState(life.state, clock), clock, readings)
    waiting = sum(sidecar.outbox.depth(name) for name in config.receivers)
    aside = sidecar.state.set_aside
    report(recalled=recalled(sidecar), pid=os.getpid(), waiting=waiting, aside=aside)
    sidecar.outbox.start()
    while True:
        now = clock()
        report(step=readings.step, now=now.isoformat())
        await sidecar.tick(now)
        report(kept=readings.step)
        if not life.until_empty:
            readings.step += 1
        elif not any(sidecar.outbox.depth(name) for name in config.receivers):
            break
        await asyncio.sleep(life.every)
    await sidecar.stop()


def born(config: Config, script: Script, life: Life) -> None:
    """Live one life in this forked process, and leave without looking back."""
    status = 1
    try:
        death.point, death.crossings = life.point, life.crossing
        if life.call:
            ctypes.CDLL(None).arm(life.call, int(life.half))
        asyncio.run(live(config, script, life))
        status = 0
    except BaseException as exc:  # noqa: BLE001 (whatever it is, the parent must know)
        report(failed=f"{type(exc).__name__}: {exc}")
    finally:
        os._exit(status)


def main(rules: str, seed: str) -> None:
    """Bear and kill lives as told."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    config, script = load(rules), Script(int(seed))
    watched = {name: WatchedWebhook.model_construct(**dict(hook)) for name, hook in config.receivers.items()}
    config = replace(config, receivers=watched)
    httpx.AsyncClient()  # loads what would otherwise be loaded anew in every life
    importlib.import_module("anyio._backends._asyncio")
    report(ready=True)
    for line in sys.stdin:
        life = Life(**json.loads(line))
        child = os.fork()
        if child == 0:
            born(config, script, life)
        handle = os.pidfd_open(child)
        ended, _, _ = select.select([handle], [], [], life.kill_after)
        os.close(handle)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        report(over=os.waitstatus_to_exitcode(status), from_outside=not ended)


def write(life: Life) -> bytes:
    """Return *life* as `main` reads it."""
    return json.dumps(asdict(life)).encode() + b"\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
