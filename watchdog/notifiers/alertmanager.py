"""`alertmanager`: the alerts as Prometheus would post them, to one Alertmanager or a cluster of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field

from watchdog.errors import NotifyError
from watchdog.fields import Duration
from watchdog.later import later
from watchdog.links import Links
from watchdog.notifications import Notice, Notification, Reason
from watchdog.notifiers.base import (
    Headers,
    Notifier,
    SecretUrls,
    Sending,
    encode,
    none_took,
    note_partial,
    revealed,
)
from watchdog.notifiers.webhook import remarks
from watchdog.routing import Habit
from watchdog.units import rfc3339

if TYPE_CHECKING:
    import asyncio

    import httpx
else:
    asyncio, httpx = later("asyncio"), later("httpx")

PATH = "/api/v2/alerts"
LIVES = 4
"""An alert outlives its last sending by so many intervals: a lost one does not end it (as Prometheus)."""


class Alertmanager(Notifier):
    """Posts alerts to every peer and keeps re-sending them; taken once one peer has them."""

    url: SecretUrls = Field(
        description="the address of one Alertmanager, or of all peers of a cluster",
        examples=["http://127.0.0.1:9093", ["http://a:9093", "http://b:9093"]],
    )
    resend: Duration = Field(
        "1m", validate_default=True, description="how often to say that an alert goes on"
    )
    headers: Headers = Field(
        {},
        description="headers to send along, such as Authorization",
        examples=[{"Authorization": {"file": "/run/secrets/alertmanager"}}],
    )

    @property
    def habit(self) -> Habit:
        """Return that it forgets what it is not told again."""
        return Habit(resend=self.resend)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Post the alerts to all peers at once; NotifyError if none took them."""
        alerts = posted(notification, sending.links, sending.now, self.resend)
        if not alerts:
            return None
        body, headers = encode(alerts), revealed(self.headers)
        asked = [self.post(endpoint(url.get_secret_value()), sending, body, headers) for url in self.url]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        errors = []
        for answer in answers:
            if isinstance(answer, NotifyError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
        if len(errors) == len(self.url):
            raise none_took(errors)
        if errors:
            note_partial(notification.receiver, len(self.url), errors)
        return None


def endpoint(url: str) -> str:
    """Return where to post alerts at the Alertmanager whose address, path prefix included, is *url*."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise NotifyError("has a URL nobody can be reached at", permanent=True) from exc
    return str(base.copy_with(path=base.path.rstrip("/") + PATH))


def posted(
    notification: Notification, links: Links, now: datetime, resend: timedelta
) -> list[dict[str, Any]]:
    """
    Return the alerts of *notification* as Alertmanager's API takes them.

    It keeps one state an alert, so only the latest firing of each is told; a report is none. A test
    fires for a few minutes and ends by itself.
    """
    latest: dict[str, Notice] = {}
    for notice in notification.notices:
        mark = notice.alert.labels.fingerprint
        if notice.reason is not Reason.REPORT and (
            mark not in latest or _began(latest[mark]) < _began(notice)
        ):
            latest[mark] = notice
    return [_alert(notice, links, now + LIVES * resend) for notice in latest.values()]


def _began(notice: Notice) -> datetime:
    return notice.alert.fired_at or notice.alert.active_since


def _alert(notice: Notice, links: Links, forgotten: datetime) -> dict[str, Any]:
    alert = notice.alert
    ended = alert.resolved_at if notice.reason is not Reason.TEST else None
    return {
        "labels": dict(alert.labels),
        "annotations": remarks(notice, links),
        "startsAt": rfc3339(alert.active_since),
        # It refuses an end before the beginning, which a clock that was set back can bring about.
        "endsAt": rfc3339(forgotten if ended is None else max(ended, alert.active_since)),
        "generatorURL": links.alert(alert.service, alert.labels.fingerprint),
    }
