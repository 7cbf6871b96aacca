"""
Who brings one receiver its messages: one at a time, in order, again and again until it took them.

A courier knows when to come again: after a pause between messages, after a failure, or when the
receiver asked for patience. Whatever it waits for, news wake it.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import httpx
import structlog

from watchdog.clock import Clock
from watchdog.errors import NotifyError, StateError
from watchdog.journal import Journal, Threads
from watchdog.lane import Lane, Letter
from watchdog.links import Links
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, Sending
from watchdog.records import write_notification
from watchdog.state import RETRIED, StateFile

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
SHARE_OF_OUTAGE = 0.04
"""A pause is at most this share of the outage so far: what waits goes out soon after its end."""
LONGEST_SEND = 6
"""An attempt is given up after so many times the receiver's time-out: it may ask for several answers."""
log = structlog.get_logger()


class Gate(Protocol):
    """Who decides whether this process is the one that sends (see `watchdog.pair`)."""

    def open(self, receiver: str) -> bool:
        """Say whether this process may tell *receiver* now."""

    async def opened(self, receiver: str) -> None:
        """Return once it may."""

    def sent(self, message: Notification) -> None:
        """Hear that *message* was taken."""


@dataclass(slots=True)
class Health:
    """How a receiver has been taking messages."""

    failing_since: datetime | None = None
    why: str = ""
    refusals: list[datetime] = field(default_factory=list)


class Standing(NamedTuple):
    """How a receiver that takes nothing stood when a process ended."""

    failing_since: datetime
    why: str


def read_standing(record: Mapping[str, Any]) -> Standing:
    """Return what `Courier.keep_standing` wrote."""
    return Standing(datetime.fromisoformat(record["failing_since"]), str(record["why"]))


@dataclass(slots=True)
class Office:
    """What all couriers share."""

    state: StateFile
    clock: Clock
    monotonic: Callable[[], float]
    journal: Journal
    threads: Threads
    links: Links
    expire_after: float

    def commit(self) -> None:
        """Write what is staged; what cannot be stays so, and a page is worth more than its record."""
        try:
            self.state.commit()
        except StateError as exc:
            log.error("state_not_saved", why=str(exc))


class Courier:
    """Brings messages to one receiver; all its times are monotonic."""

    def __init__(self, name: str, notifier: Notifier, office: Office) -> None:
        self.name = name
        self.lane = Lane(self.keep)
        self.news = asyncio.Event()
        self.sending = False
        self.closing = False
        self.failures = 0
        self._notifier = notifier
        self._office = office
        self._health = Health()
        self._failing_from: float | None = None
        self._rests_until = float("-inf")
        self._attempts = 0  # at what is claimed
        self._tried_from: float | None = None  # since when these fail

    # ---- what is kept --------------------------------------------------------------------------

    def keep(self, number: int, message: Notification | None) -> None:
        """Have letter *number* kept, or no longer."""
        record = None if message is None else write_notification(message)
        self._office.state.stage("outbox", f"{number:012d}", record)

    def keep_standing(self) -> None:
        """Have it kept since when the receiver takes nothing, if that is so."""
        since = self.health().failing_since
        record = None if since is None else {"failing_since": since.isoformat(), "why": self._health.why}
        self._office.state.stage("receivers", self.name, record)

    def recall(self, letters: Iterable[tuple[int, Notification]], standing: Standing | None) -> None:
        """Take up what an earlier process left: its letters, and how the receiver stood."""
        now, wall = self._office.monotonic(), self._office.clock()
        self.lane.recall(letters, now, wall)
        if standing is not None:
            self._failing_from = now - max(0.0, (wall - standing.failing_since).total_seconds())
            self._health.why = standing.why

    def change(self, notifier: Notifier) -> None:
        """Bring what there is by *notifier* from now on; by another one it is tried at once."""
        if notifier != self._notifier:
            self._notifier = notifier
            self._rests_until = float("-inf")
            self.news.set()

    def empty(self) -> list[Notification]:
        """Bring nothing any more, and return what there was to bring and has not been on its way."""
        letters = list(self.lane.letters.values())
        claimed = self.lane.claimed if self.sending else None
        for letter in letters:
            if letter.number != (claimed.number if claimed is not None else None):
                self.keep(letter.number, None)
                del self.lane.letters[letter.number]
        return [letter.message for letter in letters if letter is not claimed]

    def health(self) -> Health:
        """Return how the receiver has been taking messages."""
        if self._failing_from is None:
            self._health.failing_since = None
        else:  # by the clock as it is now: it may have been set since
            lasts = timedelta(seconds=self._office.monotonic() - self._failing_from)
            self._health.failing_since = self._office.clock() - lasts
        return self._health

    # ---- the way -------------------------------------------------------------------------------

    async def work(self, gate: Callable[[], Gate], client: httpx.AsyncClient) -> None:
        """Bring what there is to bring, until *closing*; no error of our own ends it."""
        stumbles = 0
        while not self.closing:
            self.news.clear()
            try:
                await self._step(gate(), client)
                stumbles = 0
            except Exception as exc:  # noqa: BLE001 (this is a loop that has to go on)
                self.failures += 1
                log.error("courier_failed", receiver=self.name, **where(exc))
                await asyncio.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(stumbles, 10)))
                stumbles += 1

    async def _step(self, gate: Gate, client: httpx.AsyncClient) -> None:
        """Send once, or return when there may be something to send."""
        if not gate.open(self.name):
            await gate.opened(self.name)
        elif self._rests_until > self._office.monotonic():
            await self._until(self._rests_until)
        elif (letter := self._claim()) is not None:
            self._office.commit()  # how it was claimed, and merged for that, is kept before it is sent
            if gate.open(self.name):  # a disk can take longer than the lease lasts
                await self._attempt(letter, gate, client)
        else:
            await self._until(self.lane.next_ready())

    async def _until(self, moment: float | None) -> None:
        """Return when there are news, or when it is time."""
        try:
            async with asyncio.timeout(
                None if moment is None else max(0.0, moment - self._office.monotonic())
            ):
                await self.news.wait()
        except TimeoutError:
            return

    def _claim(self) -> Letter | None:
        """Return what is to be sent next: from now on it can have reached the receiver."""
        before = self.lane.claimed
        letter = self.lane.claim(self._office.monotonic())
        if letter is not before:
            self._attempts, self._tried_from = 0, None
        return letter

    def drop(self, told: Callable[[Notification], Notification | None]) -> None:
        """Have *told* shorten every letter; what becomes None is gone."""
        for letter in list(self.lane.letters.values()):
            shorter = told(letter.message)
            if letter is not self.lane.claimed:
                self.lane.edit(letter, shorter)
            elif shorter is None:
                self.lane.settle()

    # ---- at the door -----------------------------------------------------------------------------

    async def _attempt(self, letter: Letter, gate: Gate, client: httpx.AsyncClient) -> None:
        """Send once, and note what came of it."""
        office, began = self._office, self._office.monotonic()
        thread, error = None, None
        self.sending = True
        try:
            thread = await self._send(letter.message, client)
        except NotifyError as exc:
            error = exc
        finally:
            self.sending = False
        self._attempts += 1
        ended = office.monotonic()
        self._rests_until = ended + self._notifier.pause.total_seconds()
        if error is None:
            if self._failing_from is not None:
                self._failing_from = None
                self.keep_standing()
            self._health.why = ""
            self._close(letter, "sent", thread, took=round(ended - began, 3))
            gate.sent(letter.message)
            return
        self._health.why = str(error)
        if error.permanent:
            self._health.refusals.append(office.clock())
            self._close(letter, "refused", why=str(error))
        else:
            self._come_again(letter, error, ended)

    def _come_again(self, letter: Letter, error: NotifyError, now: float) -> None:
        """Note that *letter* could not be taken, and when to try again; or give it up."""
        if self._failing_from is None:
            self._failing_from = now
            self.keep_standing()
        if self._tried_from is None:
            self._tried_from = now
        dropped = letter is not self.lane.claimed  # a partner has told it meanwhile
        if not dropped and now - self._tried_from > self._office.expire_after:
            self._close(letter, "expired", why=str(error))
            return
        pause = back_off(self._attempts - 1, now - self._failing_from, random.random())  # noqa: S311
        pause = max(pause, error.retry_after or 0.0)
        self._rests_until = max(self._rests_until, now + pause)
        self._office.journal.record(
            letter.message, RETRIED, attempt=self._attempts, why=str(error), pause=round(pause, 1)
        )
        self._office.commit()

    def _close(self, letter: Letter, outcome: str, thread: str | None = None, **more: object) -> None:
        """Be done with *letter*, in one transaction."""
        office = self._office
        self.lane.settle()
        office.threads.forget(letter.message)
        office.threads.tie(letter.message, thread)
        office.journal.record(letter.message, outcome, attempt=self._attempts, **more)
        office.commit()

    async def _send(self, message: Notification, client: httpx.AsyncClient) -> str | None:
        """Have the notifier send *message* and return its thread; whatever goes wrong is a NotifyError."""
        office = self._office
        sending = Sending(client, office.links, office.clock(), office.threads.of(message))
        longest = LONGEST_SEND * self._notifier.timeout.total_seconds()
        limit = asyncio.timeout(longest)
        try:
            async with limit:
                return await self._notifier.send(message, sending) or sending.thread
        except NotifyError:
            raise
        except Exception as exc:
            if limit.expired():
                raise NotifyError(f"came to no end within {longest:g}s", permanent=False) from exc
            log.error("send_failed", receiver=self.name, **where(exc))
            why = f"failed inside the watchdog ({type(exc).__name__}); please report it"
            raise NotifyError(why, permanent=False) from exc


def where(error: Exception) -> dict[str, object]:
    """Return what may be logged of *error*: its own words could hold a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno}" for frame in frames[-5:]],
    }


def back_off(attempt: int, outage: float, luck: float) -> float:
    """
    Return the seconds to wait after failed *attempt* (from 0) in an *outage* of so many seconds.

    Exponential with full jitter, *luck* in [0, 1) (AWS Architecture Blog, "Exponential Backoff And
    Jitter"), but never more than a small share of the outage so far.
    """
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10))
    return luck * min(longest, max(FIRST_PAUSE, SHARE_OF_OUTAGE * outage))
