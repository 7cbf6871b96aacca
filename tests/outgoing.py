"""Messages to send, receivers that answer as told, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from werkzeug import Request, Response

from tests.drawn import T0
from watchdog.alerts import Alert, State
from watchdog.delivery import Outbox
from watchdog.links import Links
from watchdog.model import Labels, SignalKey
from watchdog.notifications import Notice, Notification, Reason, build
from watchdog.notifiers import NOTIFIERS
from watchdog.notifiers.base import Notifier
from watchdog.state import StateFile

LINK = Links("http://127.0.0.1:9821")


@dataclass
class Hands:
    """A clock by the wall and a monotonic one; both stand until they are moved."""

    wall: datetime = T0
    mono: float = 1_000.0

    def __call__(self) -> datetime:
        """Return what the clock by the wall shows."""
        return self.wall

    def monotonic(self) -> float:
        """Return what the monotonic clock shows."""
        return self.mono

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += timedelta(seconds=seconds)
        self.mono += seconds


def alert(name: str = "Stopped", service: str = "a", fired_at: datetime = T0, **more: Any) -> Alert:
    """Return an alert that fires."""
    labels = Labels(alertname=name, service=service, severity="critical")
    signal = SignalKey(service, "flag", Labels())
    fires = Alert(
        labels,
        signal,
        State.FIRING,
        active_since=fired_at,
        last_true=fired_at,
        summary=f"{name} of {service}",
        fired_at=fired_at,
        firings=(fired_at,),
    )
    return replace(fires, **more)


def ended(begun: Alert, at: datetime) -> Alert:
    """Return *begun* as it ended."""
    return replace(begun, state=State.RESOLVED, resolved_at=at)


def message(
    *about: Alert | Notice, to: str = "hook", at: datetime = T0, due: datetime | None = None
) -> Notification:
    """Return what is told of *about* to a receiver: beginnings and ends, unless they say something else."""
    notices = [
        one
        if isinstance(one, Notice)
        else Notice(one, None, (), reason=Reason.RESOLVED if one.resolved_at else Reason.FIRST)
        for one in about or (alert(),)
    ]
    service = notices[0].alert.service
    waits = Reason.GROUP_WAIT if due else None
    return build(to, Labels(service=service), notices, at, due=due, waits=waits)


def webhook(url: str, timeout: str = "2s") -> Notifier:
    """Return a webhook notifier as rules.yaml would make it."""
    return NOTIFIERS["webhook"].model_validate({"url": url, "timeout": timeout})


def post(outbox: Outbox, state: StateFile, *messages: Notification) -> None:
    """Put *messages* into *outbox* as a tick of the sidecar does."""
    outbox.take(messages)
    state.commit()
    outbox.wake()


async def until(holds: Callable[[], object], within: float = 20) -> None:
    """Return once *holds*, which takes events on this loop or in another thread to become true."""
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)


@dataclass
class Scripted:
    """
    A receiver that answers as told, once a request, then with what it says at last.

    *asked* is what it was asked: key and body. Unless *go_on* is set it keeps everybody waiting, from
    request *hold_at* on if there is one.
    """

    answers: list[Response] = field(default_factory=list)
    at_last: int = 200
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    hold_at: int = 0

    def __post_init__(self) -> None:
        self.go_on.set()

    def __call__(self, request: Request) -> Response:
        """Answer the next request."""
        self.asked.append((request.headers.get("Idempotency-Key", ""), request.get_data()))
        if len(self.asked) == self.hold_at:
            self.go_on.clear()
        assert self.go_on.wait(20)
        return self.answers.pop(0) if self.answers else Response(status=self.at_last)

    @property
    def keys(self) -> list[str]:
        """Return the keys it was asked with, in order."""
        return [key for key, _ in self.asked]


def answers(*statuses: int, **headers: str) -> list[Response]:
    """Return answers of such statuses, all with the same headers (``retry_after`` is ``Retry-After``)."""
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return [Response(status=status, headers=names) for status in statuses]
