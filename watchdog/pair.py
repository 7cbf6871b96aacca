"""
Two watchdogs on one pipeline: both look and judge, the one with the lease tells.

The lease is a key in Redis that only its holder renews; its *fence* grows with every holder, and
whoever speaks under an older one is not believed. What a receiver took goes into a stream, from
which the other learns what need not be told again: everything else waits there for its turn, so
that a takeover tells what the dead holder did not get out, and nothing else.

When in doubt, both tell. Without Redis there is no lease, so both do; and what the holder has not
told after a while, though it lives, the other one does.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from time import monotonic
from typing import Any, Protocol

import structlog

from watchdog.clock import Clock
from watchdog.config import Config
from watchdog.courier import where
from watchdog.delivery import Outbox
from watchdog.errors import CollectError
from watchdog.heard import Heard, read_told, told_by, write_told
from watchdog.lease import Lease
from watchdog.notifications import Notification
from watchdog.vigil import Signs
from watchdog.writer import RedisWriter

PAIR = "pair"
LONGEST_TURN = 1.0
"""Seconds between two renewals at most; a quarter of the lease's time if that is less."""
MARGIN = 0.2
"""The share of the lease's time that is left to clocks that run apart."""
LEFT_UNTOLD = timedelta(minutes=2)
"""What the holder has not told for so long, the other one tells."""
MOST_UNSAID = 1_000
"""So many words wait for Redis to come back."""
TOLD_AT_ONCE = 200
"""So many told things make one entry."""
WORDS_AT_ONCE = 200
UNFENCED = 2**53
FLUSH_WITHIN = 2.0
LEAST_TOLERANCE = timedelta(minutes=1)
"""So far apart the two may see the same thing begin, at least."""
log = structlog.get_logger()


class Role(StrEnum):
    """What this watchdog is to the other."""

    HOLDER = "holder"
    STANDBY = "standby"
    ALONE = "alone"


class Owner(Protocol):
    """The sidecar, as far as its pair has to do with it."""

    def why_unwell(self, now: datetime) -> str | None:
        """Say why it does not do its work, or None."""

    def adopt(self, heard: Heard) -> None:
        """Take over what the other announced."""

    def take_wish(self, book: str, record: Mapping[str, Any], *, known: bool) -> None:
        """Take a silence or an acknowledgement of the other's; unless *known*, one we have stays as it is."""

    def wishes_said(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Return all silences and acknowledgements."""


class Pair:
    """This watchdog's half of a pair: the gate of its outbox."""

    def __init__(
        self,
        lease: Lease,
        ttl: timedelta,
        outbox: Outbox,
        owner: Owner,
        clock: Clock,
        *,
        receivers: Collection[str],
        tolerance: timedelta,
        signs: Signs,
    ) -> None:
        """Gate *receivers* of *outbox*; two looks at one thing differ by *tolerance* at most."""
        self.holder = ""
        self.heard = Heard(tolerance, clock())
        self._lease = lease
        self._outbox = outbox
        self._owner = owner
        self._clock = clock
        self._receivers = receivers
        self._signs = signs
        self._signs.update({(PAIR, outcome): 0 for outcome in ("sent", "failed", "spared")})
        self._ttl = ttl.total_seconds()
        self._pause = min(LONGEST_TURN, self._ttl / 4)
        self._fence = 0
        self._valid_until = float("-inf")  # monotonic
        self._heard_at = float("-inf")  # monotonic
        self._lost = 0.0  # seconds awake without an answer
        self._ended_at = 0.0  # monotonic, the last turn
        self._seen = "0"
        self._joined = False
        self._unheeded = False
        self._unsaid: deque[_Word] = deque(maxlen=MOST_UNSAID)
        self._news = asyncio.Event()
        self._turned = asyncio.Event()
        self._shown: Role | None = None
        self._task: asyncio.Task[None] | None = None

    def change(self, receivers: Collection[str], tolerance: timedelta) -> None:
        """Gate *receivers* from now on; two looks at one thing differ by *tolerance* at most."""
        self._receivers = receivers
        self.heard.tolerance = tolerance

    # ---- the gate --------------------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """
        Return what we are at this very moment.

        The lease counts from before it was asked for, by a clock that goes on while the process is
        stopped: one that was paused does not send on a lease that is somebody else's by now.
        """
        if monotonic() < self._valid_until:
            return Role.HOLDER
        return Role.ALONE if self._lost >= self._ttl else Role.STANDBY

    def open(self, receiver: str) -> bool:
        """Say whether we may tell *receiver* now."""
        if receiver not in self._receivers:
            return True
        return self.role is not Role.STANDBY or self._left_untold(receiver)

    def _left_untold(self, receiver: str) -> bool:
        """Say whether something waits that the holder should have told long ago, and by its word has not."""
        if monotonic() - self._heard_at >= self._ttl:
            return False
        oldest = min((message.due for message in self._outbox.waiting(receiver)), default=None)
        return oldest is not None and self._clock() - oldest >= LEFT_UNTOLD

    async def opened(self, receiver: str) -> None:
        """Return once we may tell *receiver*."""
        while not self.open(receiver):
            await self._turned.wait()

    def sent(self, message: Notification) -> None:
        """Have the other know that *message* was taken."""
        if message.receiver not in self._receivers:
            return
        told = told_by(message, self._clock())
        for one in told:
            self.heard.add(one, own=True)
        for start in range(0, len(told), TOLD_AT_ONCE):
            some = [write_told(one) for one in told[start : start + TOLD_AT_ONCE]]
            self._say("told", some, self._fence)

    def spare(self) -> None:
        """Take out of the outbox what the other has told."""
        for receiver in self._receivers:
            if waiting := self._outbox.waiting(receiver):
                self._outbox.drop(receiver, self.heard.shorten(waiting))
                if spared := len(waiting) - self._outbox.depth(receiver):
                    self._signs[PAIR, "spared"] += spared
                    log.info("told_by_the_other", receiver=receiver, messages=spared)

    # ---- what is said to the other ---------------------------------------------------------------

    def share(self, book: str, record: Mapping[str, Any]) -> None:
        """Have the other take the same silence or acknowledgement."""
        self._say(book, record, UNFENCED)

    def _say(self, kind: str, what: object, fence: int) -> None:
        said = {"by": self._lease.me, "kind": kind, "what": what}
        self._unsaid.append(_Word(json.dumps(said, separators=(",", ":")), fence))
        self._news.set()

    def _hear(self, id_: str, text: str) -> None:
        """Take in what was said; of our own words only that we have joined."""
        self._seen, self._unheeded = id_, True
        said = json.loads(text)
        kind, what = said["kind"], said["what"]
        if said["by"] == self._lease.me:
            self._joined = self._joined or kind == "hello"
        elif kind == "told":
            for told in map(read_told, what):
                if told.receiver in self._receivers:
                    self.heard.add(told, own=False)
        elif kind == "hello":
            self._welcome(what)
        else:
            self._owner.take_wish(kind, what, known=True)

    def _welcome(self, wishes: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """
        Take what the other brings that is new to us, and say what we know.

        Not to one that came before us: it has been running, so it knows better.
        """
        for book, wish in wishes:
            self._owner.take_wish(book, wish, known=False)
        for book, wish in self._owner.wishes_said() if self._joined else ():
            self.share(book, wish)

    # ---- the lease -------------------------------------------------------------------------------

    def start(self) -> None:
        """Take turns from now on."""
        self._ended_at = monotonic()
        self._say("hello", [*self._owner.wishes_said()], UNFENCED)
        self._task = asyncio.create_task(self._run(), name=PAIR)

    async def stop(self) -> None:
        """Say what is unsaid, and leave the lease to the other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            try:
                async with asyncio.timeout(FLUSH_WITHIN):
                    await self._speak()
                    await self._lease.release()
            except (CollectError, TimeoutError) as exc:
                log.warning("lease_not_released", why=str(exc))
        await self._lease.writer.close()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._speak()
                await self._turn()
            except CollectError as exc:
                self._miss(str(exc))
            except Exception as exc:  # noqa: BLE001 (this is a loop that has to go on)
                log.error("pair_failed", **where(exc))
                self._miss(f"failed inside the watchdog ({type(exc).__name__}); please report it")
            else:
                self._lost = 0.0
            self._ended_at = monotonic()
            self._show()
            self._turned.set()
            self._turned.clear()
            try:
                async with asyncio.timeout(self._pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _turn(self) -> None:
        """Take or renew the lease, and hear all that was said by then before it is of any use to us."""
        while True:
            began = monotonic()
            well = self._owner.why_unwell(self._clock()) is None
            turn = await self._lease.turn(self._seen, well=well)
            for id_, text in turn.said:
                self._hear(id_, text)
            if turn.all_said:
                break
        taken = turn.held and turn.holder != self.holder
        self.holder, self._fence, self._heard_at = turn.holder, turn.fence, began
        if self._unheeded:
            self.heard.forget(self._clock())
            self.spare()
            self._unheeded = False
        if taken:
            self._owner.adopt(self.heard)
        self._valid_until = began + self._ttl * (1 - MARGIN) if turn.held else float("-inf")

    async def _speak(self) -> None:
        """Say what is to be said, in order."""
        while self._unsaid:
            fence = self._unsaid[0].fence
            words = _under(fence, self._unsaid)
            taken = await self._lease.say([word.text for word in words], fence)
            self._signs[PAIR, "sent" if taken else "failed"] += len(words)
            for word in words:
                if self._unsaid and self._unsaid[0] is word:  # what is too much has made room meanwhile
                    self._unsaid.popleft()

    def _miss(self, why: str) -> None:
        """Note that Redis gave no answer; time in which the process was stopped is not without an answer."""
        self._signs[PAIR, "failed"] += 1
        if not self._lost:
            log.warning("pair_not_reached", why=why)
        self._lost += min(monotonic() - self._ended_at, self._pause + self._lease.writer.timeout)

    def _show(self) -> None:
        """Log a change of our role."""
        role = self.role
        if role is not self._shown:
            self._shown = role
            log.info("pair", role=str(role), me=self._lease.me, holder=self.holder, fence=self._fence)


@dataclass(frozen=True, slots=True)
class _Word:
    """Something to be said, unless somebody has held the lease since *fence*."""

    text: str
    fence: int


def _under(fence: int, words: Iterable[_Word]) -> list[_Word]:
    """Return the first of *words*, as far as they were found under one *fence*."""
    return list(takewhile(lambda word: word.fence == fence, islice(words, WORDS_AT_ONCE)))


def gated(config: Config) -> list[str]:
    """Return the receivers that only one of a pair tells."""
    return [name for name, notifier in config.receivers.items() if notifier.habit.resend is None]


def tolerance_of(config: Config) -> timedelta:
    """Return by how much two looks at one thing may differ."""
    longest = max(config.every, *(spec.every for spec in config.signals))
    return max(LEAST_TOLERANCE, 3 * config.every, longest + config.every)


def pair_of(config: Config, outbox: Outbox, owner: Owner, clock: Clock, signs: Signs) -> Pair | None:
    """
    Return the half of a pair that rules.yaml asks for, as the gate of *outbox*; or None.

    A receiver that wants to be told again and again removes doubles itself: both tell it.
    """
    model = config.pair
    if model is None:
        return None
    me = f"{model.name or f'{socket.gethostname()}-{os.getpid()}'}-{secrets.token_hex(3)}"
    writer = RedisWriter(config.redis_url, min(config.redis_timeout, model.ttl / 4))
    pair = Pair(
        Lease(model.lease, me, model.ttl, writer),
        model.ttl,
        outbox,
        owner,
        clock,
        receivers=gated(config),
        tolerance=tolerance_of(config),
        signs=signs,
    )
    outbox.gate = pair
    return pair
