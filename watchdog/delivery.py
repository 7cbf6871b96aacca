"""
The outbox: what waits for each receiver, and the couriers that bring it, so that a slow one delays no other.

A message is in the state file before it is sent and leaves it after the receiver took it, so that
whatever happens in between it is sent again, under the same key.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

import httpx
import structlog

from watchdog.clock import Clock
from watchdog.courier import Courier, Gate, Health, Office, read_standing
from watchdog.journal import OUTCOMES, Journal, Threads
from watchdog.links import Links
from watchdog.model import Reading, SignalKey
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier, trusting
from watchdog.records import read_notification
from watchdog.signals.receiver import reading
from watchdog.state import StateFile
from watchdog.telling import Ticket

__all__ = ["OUTCOMES", "AlwaysOpen", "Gate", "Health", "Outbox"]
RECEIVER_REMOVED = "the receiver is no longer in the rules file"
LAST_WORDS = 0.5
"""Seconds for which `Outbox.stop` waits for answers to what is being sent, lest it be sent once more."""
log = structlog.get_logger()


class AlwaysOpen:
    """The gate of a sidecar that has no partner."""

    def open(self, _receiver: str) -> bool:
        """Say yes."""
        return True

    async def opened(self, _receiver: str) -> None:
        """Return at once."""

    def sent(self, message: Notification) -> None:
        """Tell nobody."""


class Outbox:
    """The messages on their way, in order for each receiver."""

    def __init__(  # noqa: PLR0917 (as its users know it)
        self,
        receivers: Mapping[str, Notifier],
        links: Links,
        state: StateFile,
        clock: Clock,
        expire_after: timedelta = timedelta(days=1),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take up what an earlier process left in *state*."""
        self.gate: Gate = AlwaysOpen()
        self._state = state
        self._clock = clock
        self._monotonic = monotonic
        self._journal = Journal(state, clock)
        self._journal.count_for(receivers)
        threads = Threads(state, receivers)
        seconds = expire_after.total_seconds()
        self._office = Office(state, clock, monotonic, self._journal, threads, links, seconds)
        self._couriers = {name: Courier(name, n, self._office) for name, n in receivers.items()}
        self._number = 0
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self._recall()

    def _recall(self) -> None:
        left: dict[str, list[tuple[int, Notification]]] = {name: [] for name in self._couriers}
        for key, message in self._state.read("outbox", read_notification).items():
            number = int(key)
            self._number = max(self._number, number)
            if message.receiver in left:
                left[message.receiver].append((number, message))
            else:
                self._state.stage("outbox", key, None)
                self._journal.record(message, "dropped", why=RECEIVER_REMOVED)
        standings = self._state.read("receivers", read_standing)
        for name in standings.keys() - left.keys():
            self._state.stage("receivers", name, None)
        for name, letters in left.items():
            self._couriers[name].recall(letters, standings.get(name))

    def keep_all(self) -> None:
        """Stage everything anew, for a file that was set aside."""
        for courier in self._couriers.values():
            for letter in courier.lane.letters.values():
                courier.keep(letter.number, letter.message)
            courier.keep_standing()
        self._office.threads.keep_all()

    def change(self, receivers: Mapping[str, Notifier], links: Links, expire_after: timedelta) -> None:
        """
        Tell *receivers* from now on.

        Who stays keeps what waits, and its pauses; who is told in another way is tried at once. What
        waits for who is no more is dropped, with a record.
        """
        self._office.links, self._office.expire_after = links, expire_after.total_seconds()
        for name in [name for name in self._couriers if name not in receivers]:
            self._part_with(name)
        self._office.threads.keep_for(receivers)
        self._journal.count_for([name for name in receivers if name not in self._couriers])
        for name, notifier in receivers.items():
            if name in self._couriers:
                self._couriers[name].change(notifier)
            else:
                self._couriers[name] = Courier(name, notifier, self._office)
                self._send_out(name)
        self._couriers = {name: self._couriers[name] for name in receivers}

    def _part_with(self, name: str) -> None:
        """Drop what waits for a receiver; what is being sent at this moment may come to its end."""
        courier, worker = self._couriers.pop(name), self._workers.pop(name, None)
        for message in courier.empty():
            self._journal.record(message, "dropped", why=RECEIVER_REMOVED)
        self._state.stage("receivers", name, None)
        courier.closing = True
        if worker is not None and not courier.sending:
            worker.cancel()
        elif worker is not None:
            self._leaving.add(worker)
            worker.add_done_callback(self._leaving.discard)

    # ---- what comes in ---------------------------------------------------------------------------

    def beginnings(self) -> frozenset[Ticket]:
        """Return what can still be withdrawn: beginnings that wait for their group."""
        now = self._monotonic()
        return frozenset(
            (name, mark) for name, courier in self._couriers.items() for mark in courier.lane.beginnings(now)
        )

    def take(self, messages: Iterable[Notification], withdrawn: Iterable[Ticket] = ()) -> None:
        """Queue *messages* and take back what was *withdrawn*; nothing is sent before `wake`."""
        now, wall = self._monotonic(), self._clock()
        marks: dict[str, set[str]] = {}
        for receiver, fingerprint in withdrawn:
            marks.setdefault(receiver, set()).add(fingerprint)
        for receiver, found in marks.items():
            self._couriers[receiver].lane.withdraw(frozenset(found))
        for message in messages:
            self._number += 1
            lane = self._couriers[message.receiver].lane
            lane.put(self._number, message, now + message.wait(wall).total_seconds(), now)
            if lane.dropped:
                why = f"{lane.dropped} ends of long ago were too many"
                self._journal.record(message, "dropped", why=why)
                lane.dropped = 0

    def wake(self) -> None:
        """Have everybody look whether there is something to send."""
        for courier in self._couriers.values():
            courier.news.set()

    def drop(self, receiver: str, told: Callable[[Notification], Notification | None]) -> None:
        """Have *told* shorten every letter that waits for *receiver*; what becomes None is gone."""
        self._couriers[receiver].drop(told)

    @property
    def receivers(self) -> Collection[str]:
        """Return the names of all receivers."""
        return self._couriers.keys()

    # ---- how it stands ---------------------------------------------------------------------------

    @property
    def outcomes(self) -> Counter[Ticket]:
        """Return how often each outcome came, by receiver."""
        return self._journal.outcomes

    @property
    def failures(self) -> int:
        """Return how many errors of our own the couriers survived."""
        return sum(courier.failures for courier in self._couriers.values())

    def depth(self, receiver: str) -> int:
        """Return how many messages wait for *receiver*."""
        return len(self._couriers[receiver].lane.letters)

    def oldest(self, receiver: str) -> datetime | None:
        """Return when the oldest message waiting for *receiver* was decided."""
        return min((message.at for message in self.waiting(receiver)), default=None)

    def waiting(self, receiver: str) -> list[Notification]:
        """Return the messages that wait for *receiver*, in order."""
        return [letter.message for letter in self._couriers[receiver].lane.letters.values()]

    def health(self, receiver: str) -> Health:
        """Return how *receiver* has been taking messages."""
        return self._couriers[receiver].health()

    def reading(self, key: SignalKey, name: str, since: datetime, now: datetime) -> Reading:
        """Return what the signal of *key* tells of receiver *name*, and each refusal once."""
        health = self.health(name)
        refusals, health.refusals = tuple(health.refusals), []
        return reading(
            key,
            now,
            since=since,
            failing_since=health.failing_since,
            why=health.why,
            refusals=refusals,
            waiting=self.depth(name),
            oldest=self.oldest(name),
        )

    @property
    def working(self) -> bool:
        """Say whether a courier is on its way for every receiver."""
        living = {name for name, worker in self._workers.items() if not worker.done()}
        return living == self._couriers.keys()

    # ---- sending ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Send a courier to every receiver."""
        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._client = httpx.AsyncClient(follow_redirects=False, limits=unlimited, verify=trusting())
        self._office.commit()
        for name in self._couriers:
            self._send_out(name)

    def _send_out(self, name: str) -> None:
        if self._client is not None:
            work = self._couriers[name].work(lambda: self.gate, self._client)
            self._workers[name] = asyncio.create_task(work, name=f"send {name}")

    async def stop(self) -> None:
        """
        Call all couriers back; what still waits is kept for the next start.

        What is being sent may come to its end, if that is a matter of moments.
        """
        for courier in self._couriers.values():
            courier.closing = True
        sending = {worker for name, worker in self._workers.items() if self._couriers[name].sending}
        for worker in self._workers.values():
            if worker not in sending:
                worker.cancel()
        if sending:
            await asyncio.wait(sending, timeout=LAST_WORDS)
        for worker in (*sending, *self._leaving):
            worker.cancel()
        await asyncio.gather(*self._workers.values(), *self._leaving, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        for name in self._couriers:
            if self.depth(name):
                log.warning("undelivered_at_stop", receiver=name, messages=self.depth(name))
