"""`pagerduty`: Events API v2, an event an alert; PagerDuty keeps its own incidents by `dedup_key`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import Field, PrivateAttr

from watchdog.alerts import State
from watchdog.errors import NotifyError
from watchdog.fields import Secret, SecretUrl
from watchdog.links import Links
from watchdog.notifications import Notice, Notification, Reason, one_line
from watchdog.notifiers.base import HttpNotifier, Sending, encode
from watchdog.notifiers.text import clip, commands, delay, flat, links_of, worded
from watchdog.routing import Habit
from watchdog.units import rfc3339

ENQUEUE = "https://events.pagerduty.com/v2/enqueue"
CLIENT = "Pipeline Watchdog"
MAX_SUMMARY = 1_024
MAX_WORD = 255
MAX_EVENT = 500_000
"""Bytes; PagerDuty takes 512 kB."""
DETAIL_LENGTHS = (10_000, 1_000, 100)
MAX_DETAILS = 100
Event = dict[str, Any]


@dataclass(slots=True)
class Progress:
    """How much of which message was taken; notifiers are equal whatever they have done."""

    key: str = field(default="", compare=False)
    done: int = field(default=0, compare=False)
    refused: NotifyError | None = field(default=None, compare=False)


class PagerDuty(HttpNotifier):
    """Sends events to PagerDuty: triggered, acknowledged, resolved."""

    url: SecretUrl = Field(ENQUEUE, validate_default=True, description="where to post events")
    routing_key: Secret = Field(
        description="the integration key of an Events API v2 integration",
        examples=[{"file": "/run/secrets/pagerduty"}, "${PAGERDUTY_KEY}"],
    )
    _progress: Progress = PrivateAttr(default_factory=Progress)

    @property
    def habit(self) -> Habit:
        """Return that it shows who has acknowledged."""
        return Habit(hears_acks=True)

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """
        Post the events in order; NotifyError if one is not taken.

        The next attempt goes on where this one ended: what PagerDuty takes in a minute is limited,
        and many events begun anew each time would never all get through. After a restart all are
        sent again, which the `dedup_key` makes harmless. An event that is refused for good does not
        keep the others back.
        """
        if self._progress.key != notification.key:
            self._progress = Progress(notification.key)
        progress = self._progress
        key = {"routing_key": self.routing_key.get_secret_value()}
        for event in events(notification, sending.links, sending.now)[progress.done :]:
            try:
                await self.post(self.url.get_secret_value(), sending, encode(key | event))
            except NotifyError as exc:
                if not exc.permanent:
                    raise
                progress.refused = exc
            progress.done += 1
        self._progress = Progress()
        if progress.refused is not None:
            raise NotifyError(f"{progress.refused} (is the routing key right?)", permanent=True)
        return None


def events(notification: Notification, links: Links, now: datetime) -> list[Event]:
    """
    Return the events that say what *notification* says, in the order in which it came about.

    What goes on without news is not told again, and a report is no incident.
    """
    order = sorted(notification.notices, key=lambda n: n.alert.fired_at or n.alert.active_since)
    late = delay(notification, now)
    merged = notification.merged > 1
    return [_event(action, n, links, late) for n in order for action in _actions(n, merged=merged)]


def _actions(notice: Notice, *, merged: bool) -> Iterator[str]:
    """Yield what PagerDuty has to do; a beginning it may not have heard of comes first."""
    if notice.reason in (None, Reason.REPORT):
        return
    if notice.reason is Reason.TEST:
        yield from ("trigger", "resolve")
        return
    acknowledged = notice.reason is Reason.ACKNOWLEDGED and not notice.resolved
    if notice.unannounced or not (notice.resolved or acknowledged) or (acknowledged and merged):
        yield "trigger"
    if acknowledged:
        yield "acknowledge"
    if notice.resolved:
        yield "resolve"


def _event(action: str, notice: Notice, links: Links, late: str) -> Event:
    alert = notice.alert
    event: Event = {"event_action": action, "dedup_key": clip(alert.labels.fingerprint, MAX_WORD)}
    if action != "trigger":
        return event
    if notice.resolved:
        alert = replace(alert, state=State.FIRING, resolved_at=None, ended="")
        notice = replace(notice, alert=alert)
    event |= {
        "client": CLIENT,
        "client_url": links.alert(alert.service, alert.labels.fingerprint),
        "links": [
            {"href": url, "text": name}
            for name, url in links_of(notice, links)
            if url.startswith(("http://", "https://"))
        ],
        "payload": {
            "summary": clip(flat(one_line(notice)), MAX_SUMMARY),
            "source": clip(str(alert.signal), MAX_WORD),
            "severity": str(alert.severity),
            "timestamp": rfc3339(alert.active_since),
            "component": clip(alert.service, MAX_WORD),
            "group": clip(notice.cause or alert.service, MAX_WORD),
            "class": clip(alert.name, MAX_WORD),
        },
    }
    for most in DETAIL_LENGTHS:
        event["payload"]["custom_details"] = _details(notice, late, most)
        if len(encode(event)) <= MAX_EVENT:
            break
    return event


def _details(notice: Notice, late: str, most: int) -> dict[str, Any]:
    """Return all that is known of an alert, each text clipped to *most* characters."""
    alert = notice.alert
    evidence = list(alert.evidence.items())[:MAX_DETAILS]
    said = {
        "figures": _clipped(alert.words or alert.figures, most),
        "evidence": {clip(name, MAX_WORD): clip(worded(found), most) for name, found in evidence},
        "cause": clip(notice.cause or "", most),
        "affects": _clipped(notice.affects, most),
        "symptoms": _clipped(notice.symptoms, most),
        "next": _clipped(commands(notice), most),
        "blind_since": rfc3339(alert.blind_since) if alert.blind_since else "",
        "note": late,
    }
    return {name: found for name, found in said.items() if found}


def _clipped(texts: Iterable[str], most: int) -> list[str]:
    return [clip(text, most) for text in list(texts)[:MAX_DETAILS]]
