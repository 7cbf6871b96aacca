"""
The scout goes over the keys of a server, in small steps, and turns what it finds into signals.

SCAN with MATCH and TYPE lets the server do the sorting, so a million other keys cost it little, and at no
moment much: each call looks at `COUNT` keys. A round is spread over its interval by what the round before
took. However many servers there are behind `ask`, a cursor is only handed back: in a cluster it leads on to
the next node.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from math import ceil
from typing import Any

from watchdog.config import Config, SignalSpec, discovery_key
from watchdog.discovery import HEARTBEAT, STREAM, Plan, groups_of
from watchdog.globs import common_match
from watchdog.model import Reading, SignalKey
from watchdog.prospects import config_of
from watchdog.roster import Change, Roster
from watchdog.signals import SIGNALS
from watchdog.signals.base import Command, Refused, Reply
from watchdog.signals.discovery import reading
from watchdog.signals.nodes import Away

COUNT, LARGEST_COUNT, GROW_AFTER = 500, 1_000, 100
"""
So many keys a SCAN looks at: half a millisecond of Redis 7.0's time, a sixth of that of Valkey 9's. Where
there are very many keys, and so very many round trips, twice as many.
"""
FEWEST = 10
"""So many times a step asks at least, if there is so much left."""
LONGEST, SHARE = 0.25, 0.1
"""No step goes on for more seconds, or for a larger share of the time from one tick to the next."""
SEEN_AT_ONCE, MOST_UNSEEN = 100, 1_000
"""So many streams are asked for their groups in one go; while so many wait for it, no more are looked for."""
BEGINNING = END = b"0"
TYPES = {STREAM: "stream", HEARTBEAT: "string"}
"""What kind of key each kind of signal looks at."""

Ask = Callable[[Sequence[Command]], Awaitable[Sequence[Reply]]]
"""Asks Redis and returns the raw replies in order, a `Refused` for an error."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """Which signals to watch from now on, and which no longer."""

    added: tuple[SignalSpec, ...] = ()
    gone: tuple[SignalKey, ...] = ()


@dataclass(slots=True)
class _Walk:
    """One way through all keys: which of them are wanted, and how far it has come."""

    kind: str
    wanted: Command
    cursor: bytes = BEGINNING


class Scout:
    """Finds what one plan covers on one server."""

    def __init__(self, plan: Plan, config: Config) -> None:
        """Find what *plan*, one of `config.discover`, covers and the file has not declared."""
        self.plan = plan
        self.key = discovery_key(plan)
        """The signal under which the scout tells how it fares."""
        self.server = config.server_of(plan)
        """The name of the Redis it is to be sent to."""
        before = config.discover[: config.discover.index(plan)]
        self.roster = Roster(
            plan,
            ((spec.key.kind, spec.config.labels()) for spec in config.declared if spec.server == self.server),
            [other for other in before if config.server_of(other) == self.server],
        )
        self.trouble: str | None = None
        """Why the last round could not be gone to its end."""
        self._every = config.every
        self._walks: list[_Walk] = []
        self._unseen: dict[bytes, None] = {}  # streams that were sighted, and still to be asked
        self._added: list[SignalSpec] = []
        self._gone: list[SignalKey] = []
        self._began: datetime | None = None  # the round that is on, or was the last
        self._whole_at: datetime | None = None
        self._calls = 0
        self._usual = 0  # what a whole round took
        self._said: object = None

    def due(self, now: datetime) -> bool:
        """Say whether there is a step to take: a round is on, or the next may begin."""
        if self._on:
            return True
        return self._began is None or not timedelta(0) <= now - self._began < self.plan.every

    async def step(self, ask: Ask, now: datetime) -> Discovered:
        """
        Take one small step and return what it brought.

        What `ask` raises is passed on: the round then begins anew, and what was found is not lost.
        """
        if not self._on:
            if not self.due(now):
                return self._told()
            self._begin(now)
        try:
            await self._go(ask, now)
        except BaseException:
            self._break_off()
            self._began = None
            raise
        return self._told()

    async def whole_round(self, ask: Ask, now: datetime) -> Discovered:
        """Go over all keys once, without a pause, and return what there is."""
        if not self._on:
            self._begin(now)
        found = [await self.step(ask, now)]
        while self._on:
            found.append(await self.step(ask, now))
        return Discovered(
            tuple(spec for one in found for spec in one.added),
            tuple(key for one in found for key in one.gone),
        )

    def memory(self) -> Mapping[str, Any]:
        """Return what the next process should know, by key; it changes only with `roster.version`."""
        return self.roster.memory()

    def remember(self, memory: Mapping[str, Any]) -> Discovered:
        """Take back what an earlier process gave as its memory, and return what is to be watched."""
        self._add(self.roster.remember(memory))
        return self._told()

    def reading(self, now: datetime) -> Reading | None:
        """Return how discovery fares, or None if that is as before."""
        news = (self.roster.version, self._whole_at, self.trouble)
        if self._said == news:
            return None
        self._said = news
        return reading(
            self.key,
            now,
            whole_at=self._whole_at,
            found=self.roster.found,
            missing=self.roster.missing(),
            left_out=self.roster.left_out,
            skipped=self.roster.skipped,
            elsewhere=self.roster.elsewhere,
            trouble=self.trouble,
        )

    # ---- a round ---------------------------------------------------------------------------------

    @property
    def _on(self) -> bool:
        return bool(self._walks or self._unseen)

    def _begin(self, now: datetime) -> None:
        self._began = now
        self._calls = 0
        self._walks = [_Walk(kind, wanted) for kind, wanted in walks_of(self.plan)]
        self.roster.begin_round()

    async def _go(self, ask: Ask, now: datetime) -> None:
        until = time.perf_counter() + max(LONGEST, self._every.total_seconds() * SHARE)
        allowed = self._allowed(now)
        while self._on and allowed > 0 and time.perf_counter() < until:
            await self._ask_on(ask, now)
            allowed -= 1
        if not self._on and self.trouble is None:
            self._add(self.roster.end_round(now))
            self._usual = self._calls
            self._whole_at = now

    def _allowed(self, now: datetime) -> float:
        """Return how often this step may ask, so that the round is spread over its interval."""
        assert self._began is not None
        left = self._usual - self._calls
        if left <= 0:  # nobody knows how much there is
            return float("inf")
        ticks = (self._began + self.plan.every - now) / self._every
        return max(FEWEST, ceil(left / max(1.0, ticks)))

    async def _ask_on(self, ask: Ask, now: datetime) -> None:
        """Take each walk one SCAN on, and go and see some of the streams that were sighted."""
        count = COUNT if self._calls < GROW_AFTER else LARGEST_COUNT
        walks = self._walks if len(self._unseen) < MOST_UNSEEN else []
        scans: list[Command] = [("SCAN", walk.cursor, *walk.wanted, "COUNT", count) for walk in walks]
        streams = [*islice(self._unseen, SEEN_AT_ONCE)]
        replies = await ask([*scans, *(("XINFO", "GROUPS", raw) for raw in streams)])
        self._calls += 1
        for raw, reply in zip(streams, replies[len(scans) :], strict=True):
            del self._unseen[raw]
            self._see(raw, reply, now)
        refused = [reply for reply in replies[: len(scans)] if isinstance(reply, Refused)]
        self.trouble = _refusal(refused[0]) if refused else None
        if refused:
            self._break_off()
            return
        for walk, (cursor, keys) in zip(walks, replies, strict=False):
            walk.cursor = cursor
            for raw in keys:
                self._sight(walk.kind, raw, now)
        self._walks = [walk for walk in self._walks if walk.cursor != END]

    def _sight(self, kind: str, raw: bytes, now: datetime) -> None:
        """Take note of a key; a stream is yet to be asked for its groups, and by then may be gone again."""
        if self.roster.sight(kind, raw):
            if kind == STREAM:
                self._unseen[raw] = None
            else:
                self._add(self.roster.take(kind, raw, None, now))

    def _see(self, raw: bytes, reply: Reply, now: datetime) -> None:
        """Take in a stream and its groups; one that was deleted meanwhile, or is none any more, is not."""
        if not isinstance(reply, Refused):
            self._add(self.roster.take(STREAM, raw, groups_of(reply), now))
        elif reply.code == "NOPERM":
            self._add(self.roster.take(STREAM, raw, None, now))

    def _break_off(self) -> None:
        """Forget how far the round has come: another server, or another process, has other cursors."""
        self._walks = []
        self._unseen = {}

    # ---- what is told ----------------------------------------------------------------------------

    def _add(self, change: Change) -> None:
        self._added += map(self._spec, change.added)
        self._gone += change.gone

    def _told(self) -> Discovered:
        found = Discovered(tuple(self._added), tuple(self._gone))
        self._added, self._gone = [], []
        return found

    def _spec(self, key: SignalKey) -> SignalSpec:
        return SignalSpec(key, SIGNALS[key.kind], config_of(key.kind, key.labels), self._every, self.server)


def walks_of(plan: Plan) -> list[tuple[str, Command]]:
    """
    Return the kind of each walk over all keys, and what SCAN is told to find.

    Patterns that begin alike are looked for together. Others are too where the type alone leaves few
    keys: there are few streams, but a million strings.
    """
    walks: list[tuple[str, Command]] = []
    for kind, patterns in ((STREAM, plan.streams), (HEARTBEAT, plan.heartbeats)):
        together = common_match(patterns) if patterns else None
        apart = kind == HEARTBEAT and together is None
        for match in [pattern.match for pattern in patterns] if apart else [together][: len(patterns)]:
            matching = ("MATCH", match) if match is not None else ()
            walks.append((kind, (*matching, "TYPE", TYPES[kind])))
    return walks


def _refusal(refused: Refused) -> str:
    """Say why the keys cannot be gone over."""
    if refused.code == "NOPERM":
        return "this Redis user may not SCAN, so nothing can be discovered (allow it: ACL SETUSER … +scan)"
    if "syntax error" in refused:
        return "this Redis has no SCAN with TYPE, so nothing can be discovered (it needs Redis 6.0)"
    why = refused.why if isinstance(refused, Away) else refused
    return f"the keys cannot be gone over: {why}"
