"""`webhook`: Alertmanager's webhook payload, version 4, for everything that understands Alertmanager."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from watchdog.fields import Secret
from watchdog.links import Links
from watchdog.notifications import Notice, Notification, Reason, when
from watchdog.notifiers.base import Headers, HttpNotifier, Sending, encode, revealed
from watchdog.notifiers.text import commands


class Webhook(HttpNotifier):
    """Posts JSON; the `Idempotency-Key` header is the same for every attempt."""

    secret: Secret | None = Field(
        None,
        description="signs each request: X-Watchdog-Signature",
        examples=[{"file": "/run/secrets/webhook"}],
    )
    headers: Headers = Field(
        {},
        description="headers to send along, such as Authorization",
        examples=[{"Authorization": {"file": "/run/secrets/webhook"}}],
    )

    async def send(self, notification: Notification, sending: Sending) -> str | None:
        """Post the payload; NotifyError if it is not taken."""
        body = encode(payload(notification, sending.links))
        headers = {**revealed(self.headers), "Idempotency-Key": notification.key}
        if self.secret is not None:
            headers |= signature(body, self.secret.get_secret_value(), sending.now)
        await self.post(self.url.get_secret_value(), sending, body, headers)
        return None


def payload(notification: Notification, links: Links) -> dict[str, Any]:
    """Return what Alertmanager would post for the same alerts (its webhook data, version 4)."""
    alerts = [_alert(notice, links) for notice in notification.notices]
    return {
        "version": "4",
        "groupKey": f"{{}}:{notification.group!r}",
        "truncatedAlerts": 0,
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": links.base,
        "alerts": alerts,
    }


def _alert(notice: Notice, links: Links) -> dict[str, Any]:
    alert = notice.alert
    news = {"reason": str(notice.reason)} if notice.reason else {}
    if notice.reason is Reason.FLAPPING:
        news["flapping"] = "true"
    return {
        "status": "resolved" if notice.resolved else "firing",
        "labels": dict(alert.labels),
        "annotations": remarks(notice, links) | news,
        "startsAt": when(alert.active_since),
        "endsAt": when(alert.resolved_at),
        "generatorURL": _status(notice, links),
        "fingerprint": alert.labels.fingerprint,
    }


def remarks(notice: Notice, links: Links) -> dict[str, str]:
    """Return what is said of an alert besides its labels, all as text."""
    alert = notice.alert
    said = {
        "summary": alert.summary,
        "description": description(notice),
        "next": "; ".join(commands(notice)),
        "runbook_url": alert.runbook,
        "status_url": _status(notice, links),
        "dashboard_url": links.dashboard(alert.service),
        "cause": notice.cause or "",
        "affects": ", ".join(notice.affects),
        "also_affected": ", ".join(notice.symptoms),
        "evidence": json.dumps(dict(alert.evidence), ensure_ascii=False, default=str)
        if alert.evidence
        else "",
        "blind_since": when(alert.blind_since) if alert.blind_since else "",
        "acknowledged_by": notice.ack.by if notice.ack else "",
        "ended_because": alert.ended or (alert.ended_by if notice.resolved else ""),
    }
    return {name: text for name, text in said.items() if text}


def _status(notice: Notice, links: Links) -> str:
    """Return where the sidecar shows what *notice* is about."""
    if notice.reason is Reason.REPORT:
        return links.base
    return links.alert(notice.alert.service, notice.alert.labels.fingerprint)


def description(notice: Notice) -> str:
    """Return the figures as sentences, then whom it affects and why; no age, which `startsAt` tells."""
    if not notice.alert.words:  # a report's lines begin with names, which are written as they are
        return "; ".join(notice.alert.figures)
    said = [*notice.alert.words]
    said += [f"because of {notice.cause}"] if notice.cause else []
    said += [f"affects {', '.join(notice.affects)}"] if notice.affects else []
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in said)


def _common(mappings: Sequence[dict[str, str]]) -> dict[str, str]:
    first, *rest = mappings
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in rest)}


def signature(body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """
    Return the headers that prove who sent *body*, and when.

    The signature covers the time as well, so that a receiver can refuse what is replayed later.
    """
    timestamp = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Watchdog-Timestamp": timestamp, "X-Watchdog-Signature": f"sha256={digest}"}
