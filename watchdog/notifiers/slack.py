"""`slack`: Block Kit within Slack's limits, one sentence first; untrusted text stays text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from watchdog.notifications import Notice, Notification, one_line
from watchdog.notifiers.base import Notifier
from watchdog.units import rfc3339

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3_000
EVIDENCE_SHOWN = 6
SHOWN = MAX_BLOCKS - 2
"""Alerts beyond so many are only counted."""


class Slack(Notifier):
    """Posts to an incoming webhook."""

    async def send(self, notification: Notification, client: httpx.AsyncClient, link: str) -> None:
        """Post the message; NotifyError if it is not taken."""
        await self.post(client, json=message(notification, link))


def message(notification: Notification, link: str) -> dict[str, Any]:
    """Return the message: a line for the phone, then a section an alert."""
    headline = one_line(notification.notices[0])
    more = len(notification.notices) - 1
    if more:
        headline = f"{headline} (+{more} more)"
    sections = [_section(notice) for notice in notification.notices[:SHOWN]]
    left_out = len(notification.notices) - SHOWN
    footer = f"{left_out} more alerts · <{link}|status>" if left_out > 0 else f"<{link}|status>"
    return {
        "text": escape(headline),
        "blocks": [
            {
                "type": "header",
                "text": {"type": "plain_text", "text": clip(headline, MAX_HEADER), "emoji": False},
            },
            *sections,
            {"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]},
        ],
    }


def _section(notice: Notice) -> dict[str, Any]:
    alert = notice.alert
    lines = [f"*{escape(alert.name)}* {escape(alert.summary)}", f"since {rfc3339(alert.active_since)}"]
    if alert.resolved_at is not None:
        lines[-1] += f", ended {rfc3339(alert.resolved_at)}"
    lines += [f"• {escape(figure)}" for figure in alert.figures]
    lines += [f"• {escape(line)}" for line in evidence_lines(alert.evidence)]
    if notice.cause is not None:
        lines.append(f"cause: *{escape(notice.cause)}*")
    if notice.affects:
        lines.append(f"affects: {escape(', '.join(notice.affects))}")
    if alert.runbook:
        lines.append(f"<{escape(alert.runbook)}|runbook>")
    return {"type": "section", "text": {"type": "mrkdwn", "text": clip("\n".join(lines), MAX_SECTION)}}


def evidence_lines(evidence: Mapping[str, object]) -> list[str]:
    """Return the first few pieces of evidence, a line each."""
    return [f"{name}: {clip(str(found), 300)}" for name, found in list(evidence.items())[:EVIDENCE_SHOWN]]


def escape(text: str) -> str:
    """Return *text* with Slack's three control signs replaced, so that it can link and mention nothing."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clip(text: str, most: int) -> str:
    """Return *text* in at most *most* characters, the last one an ellipsis if something is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"
