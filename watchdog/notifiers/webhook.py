"""`webhook`: Alertmanager's webhook payload, version 4, for everything that understands Alertmanager."""

from __future__ import annotations

import json
from typing import Any

import httpx

from watchdog.notifications import Notice, Notification, when
from watchdog.notifiers.base import Notifier


class Webhook(Notifier):
    """Posts JSON; the `Idempotency-Key` header is the same for every attempt."""

    async def send(self, notification: Notification, client: httpx.AsyncClient, link: str) -> None:
        """Post the payload; NotifyError if it is not taken."""
        headers = {"Idempotency-Key": notification.key}
        await self.post(client, headers=headers, json=payload(notification, link))


def payload(notification: Notification, link: str) -> dict[str, Any]:
    """Return what Alertmanager would post for the same alerts (its webhook data, version 4)."""
    alerts = [_alert(notice, link) for notice in notification.notices]
    return {
        "version": "4",
        "groupKey": f"{{}}:{notification.group!r}",
        "truncatedAlerts": 0,
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": link,
        "alerts": alerts,
    }


def _alert(notice: Notice, link: str) -> dict[str, Any]:
    alert = notice.alert
    return {
        "status": "resolved" if notice.resolved else "firing",
        "labels": dict(alert.labels),
        "annotations": remarks(notice),
        "startsAt": when(alert.active_since),
        "endsAt": when(alert.resolved_at),
        "generatorURL": f"{link}/api/v1/alerts?fingerprint={alert.labels.fingerprint}",
        "fingerprint": alert.labels.fingerprint,
    }


def remarks(notice: Notice) -> dict[str, str]:
    """Return what is said of an alert besides its labels, all as text."""
    alert = notice.alert
    said = {
        "summary": alert.summary,
        "description": "; ".join(alert.figures),
        "runbook_url": alert.runbook,
        "cause": notice.cause or "",
        "affects": ", ".join(notice.affects),
        "evidence": json.dumps(dict(alert.evidence), ensure_ascii=False, default=str)
        if alert.evidence
        else "",
        "blind_since": when(alert.blind_since) if alert.blind_since else "",
    }
    return {name: text for name, text in said.items() if text}


def _common(mappings: list[dict[str, str]]) -> dict[str, str]:
    first, *rest = mappings
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in rest)}
