"""
An emergency heartbeat: somebody's key kept alive by hand, marked as such, for a time that is told beforehand.

Both the key and its mark expire by themselves, so that they end with this process, however it ends; and
the moment somebody else writes the key, the service is taken to beat itself again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import cycle

from watchdog.clock import Clock
from watchdog.errors import CollectError, WatchdogError
from watchdog.synthetic import Form, Mark, form_of, is_over, mark_key, read_mark, write_beat
from watchdog.units import write_duration
from watchdog.writer import RedisWriter

LOOK = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
BEAT = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[4] ~= 'force' then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
"""
"""Renew the key, unless it holds what we did not write: then that is returned."""
DELETE = "return redis.call('DEL', KEYS[1])"
LOOK_EVERY = timedelta(milliseconds=250)
LONGEST_LOOK = timedelta(seconds=30)
OUTLIVES = timedelta(seconds=2)
"""So much longer the mark lives, so that the key never stands without it."""
UNEVEN = (1.0, 0.7)
"""Pauses between beats, by `every`: a service of the same pace could else write the same seconds as we."""


class RefusedError(WatchdogError):
    """Say why there is to be no emergency heartbeat."""


class End(StrEnum):
    """How an emergency heartbeat ended."""

    OVER = "its time is over"
    STOPPED = "it was stopped"
    BACK = "somebody else writes the key: the service beats itself again"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which key is kept alive, by whom and how."""

    key: str
    mark: Mark
    every: timedelta
    ttl: timedelta
    form: Form | None = None  # None: as the key was written, or else whole seconds
    force: bool = False


class StandIn:
    """Beats in the place of a service."""

    def __init__(self, writer: RedisWriter, plan: Plan, clock: Clock, say: Callable[[str], None]) -> None:
        """Carry out *plan* through *writer*, and *say* what people should know meanwhile."""
        self._writer = writer
        self._plan = plan
        self._clock = clock
        self._say = say
        self._held = ""
        self._form = plan.form or Form.EPOCH_S

    async def run(self, stop: asyncio.Event) -> End:
        """Beat until its time is over, *stop* is set or the service is back; RefusedError if it is there."""
        await self._look_first(stop)
        away = False
        pauses = cycle(UNEVEN)
        while not stop.is_set():
            left = self._plan.mark.until - self._clock()
            if left <= timedelta(0):
                return End.OVER
            try:
                back = await self._beat(min(self._plan.ttl, left))
            except CollectError as exc:
                if not away:
                    self._say(f"{exc}; trying again")
                away = True
            else:
                if back:
                    return End.BACK
                if away:
                    self._say("beating again")
                away = False
            await _rest(stop, min(self._plan.every * next(pauses), left))
        return End.STOPPED

    async def _look_first(self, stop: asyncio.Event) -> None:
        """See for as long as the key lives, and no longer than `LONGEST_LOOK`, that nobody renews it."""
        plan, now = self._plan, self._clock()
        found, _ = await self._look(mark_key(plan.key))
        if found is not None and not plan.force and not is_over(mark := read_mark(found), now):
            by, until = mark.get("by", "somebody"), mark.get("until", "later")
            raise RefusedError(f"{plan.key} is kept alive by {by} until {until} already (or use --force)")
        first, left = await self._look(plan.key)
        if first is not None and plan.form is None:
            try:
                self._form = form_of(first)
            except ValueError as exc:
                raise RefusedError(f"{plan.key}: {exc} (say how with --format epoch_s)") from exc
        if first is None or plan.force:
            return
        seen_enough = now + min(LONGEST_LOOK, left or LONGEST_LOOK)
        self._say(f"{plan.key} is there; seeing whether its service renews it")
        while not stop.is_set() and self._clock() < seen_enough:
            await _rest(stop, LOOK_EVERY)
            held, left_now = await self._look(plan.key)
            if held is None:
                return
            renewed = left is not None and left_now is not None and left_now > left
            if held != first or renewed:
                raise RefusedError(f"{plan.key} is renewed by its service (use --force if it must be)")
            left = left_now
        self._held = first

    async def _look(self, key: str) -> tuple[str | None, timedelta | None]:
        """Return what *key* holds, and how long it lives if it expires."""
        try:
            held, left = await self._writer.run(LOOK, (key,))
        except CollectError as exc:
            if "WRONGTYPE" in str(exc):
                raise RefusedError(f"{key} holds no text, so there is no beat to write") from exc
            raise
        return held, timedelta(milliseconds=left) if left >= 0 else None

    async def _beat(self, ttl: timedelta) -> bool:
        """Renew mark and key for *ttl*; if somebody else wrote the key, take the mark away and say so."""
        plan = self._plan
        await self._writer.set(mark_key(plan.key), plan.mark.text(), ttl + OUTLIVES)
        beat = write_beat(self._form, self._clock())
        life = max(1, ttl // timedelta(milliseconds=1))
        mode = "force" if plan.force else "gentle"
        found = await self._writer.run(BEAT, (plan.key,), self._held, beat, life, mode)
        if found is None:
            self._held = beat
            return False
        await self._writer.run(DELETE, (mark_key(plan.key),))
        return True


async def _rest(stop: asyncio.Event, duration: timedelta) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), duration.total_seconds())


def describe(plan: Plan) -> str:
    """Return one sentence on what is about to be done."""
    return (
        f"beating at {plan.key} until {plan.mark.until:%Y-%m-%d %H:%M:%S} UTC"
        f" (each {write_duration(plan.every)}, for {write_duration(plan.ttl)} at a time), marked as synthetic"
        f" by {plan.mark.by}: {plan.mark.reason}"
    )
