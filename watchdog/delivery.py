"""
Sending notifications: one worker a receiver, so that a slow one delays no other.

What waits is kept in memory for now; `Outbox.put` is the one door through which it comes.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import httpx
import structlog

from watchdog.clock import Clock
from watchdog.errors import NotifyError
from watchdog.notifications import Notification
from watchdog.notifiers.base import Notifier

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
GIVE_UP_AFTER = timedelta(hours=6)
MOST_WAITING = 1_000
OUTCOMES = ("sent", "retried", "refused", "expired", "dropped")
log = structlog.get_logger()


class Outbox:
    """The notifications on their way, in order for each receiver."""

    def __init__(self, receivers: Mapping[str, Notifier], link: str, clock: Clock) -> None:
        self._receivers = receivers
        self._link = link
        self._clock = clock
        self._waiting: dict[str, deque[Notification]] = {name: deque() for name in receivers}
        self._news: dict[str, asyncio.Event] = {name: asyncio.Event() for name in receivers}
        self._workers: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None
        self.outcomes: Counter[tuple[str, str]] = Counter(
            {(name, outcome): 0 for name in receivers for outcome in OUTCOMES}
        )

    def start(self) -> None:
        """Start a worker for every receiver."""
        self._client = httpx.AsyncClient(follow_redirects=False)
        self._workers = [
            asyncio.create_task(self._work(name), name=f"send {name}") for name in self._receivers
        ]

    async def stop(self) -> None:
        """Stop all workers; what still waits is counted and logged."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
        for name, waiting in self._waiting.items():
            if waiting:
                log.warning("undelivered_at_stop", receiver=name, notifications=len(waiting))

    def put(self, notifications: Iterable[Notification]) -> None:
        """Take *notifications* for delivery."""
        for notification in notifications:
            waiting = self._waiting[notification.receiver]
            if len(waiting) >= MOST_WAITING:
                self._count(waiting.popleft(), "dropped")
            waiting.append(notification)
            self._news[notification.receiver].set()

    def depth(self, receiver: str) -> int:
        """Return how many notifications wait for *receiver*."""
        return len(self._waiting[receiver])

    def oldest(self, receiver: str) -> datetime | None:
        """Return when the oldest notification waiting for *receiver* was decided."""
        waiting = self._waiting[receiver]
        return waiting[0].at if waiting else None

    def _count(self, notification: Notification, outcome: str, **more: object) -> None:
        self.outcomes[notification.receiver, outcome] += 1
        alerts = [f"{n.alert.name}/{n.alert.service}" for n in notification.notices]
        log.info(
            "notification",
            receiver=notification.receiver,
            outcome=outcome,
            key=notification.key,
            alerts=alerts,
            **more,
        )

    async def _work(self, name: str) -> None:
        waiting, news = self._waiting[name], self._news[name]
        while True:
            while waiting:
                notification = waiting[0]
                await self._deliver(notification)
                if waiting and waiting[0] is notification:
                    waiting.popleft()
            news.clear()
            await news.wait()

    async def _deliver(self, notification: Notification) -> None:
        """Send until it is taken, refused for good, or too old to matter."""
        assert self._client is not None
        notifier = self._receivers[notification.receiver]
        attempt = 0
        while True:
            try:
                await notifier.send(notification, self._client, self._link)
            except NotifyError as exc:
                if exc.permanent:
                    self._count(notification, "refused", why=str(exc))
                    return
                pause = exc.retry_after if exc.retry_after is not None else back_off(attempt, random.random())  # noqa: S311
                why = str(exc)
            except Exception as exc:
                log.exception("send_failed", receiver=notification.receiver)
                pause, why = back_off(attempt, 1.0), type(exc).__name__
            else:
                self._count(notification, "sent", attempt=attempt + 1)
                return
            if self._clock() - notification.at > GIVE_UP_AFTER:
                self._count(notification, "expired", why=why)
                return
            self._count(notification, "retried", why=why, pause=round(pause, 1))
            attempt += 1
            await asyncio.sleep(pause)


def back_off(attempt: int, luck: float) -> float:
    """
    Return the seconds to wait after failed *attempt* (from 0), *luck* in [0, 1).

    Exponential with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter").
    """
    return luck * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 10))
