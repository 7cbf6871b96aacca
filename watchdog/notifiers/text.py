"""A notification in plain lines: what people read in a mail, a chat or on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from watchdog.notifications import Notice, Notification, Reason, one_line
from watchdog.units import plain, rfc3339, show_duration

LATE = timedelta(minutes=1)
"""A message that is older than this says so."""
EVIDENCE_SHOWN = 8
EVIDENCE_LENGTH = 300
TOLD_WHOLE = 50
"""Of so many alerts a text tells everything; of the next ones a line each, then only the number."""
TOLD_SHORT = 200


class Fact(NamedTuple):
    """One thing said of an alert, in one line: ``since``, ``figure``, ``evidence``, ``cause`` …"""

    name: str
    text: str


def facts(notice: Notice) -> list[Fact]:
    """Return all that is said of an alert besides its summary, in the order in which one wants to know it."""
    alert = notice.alert
    reported = notice.reason in (Reason.REPORT, Reason.TEST)
    found = [] if reported else [("since", _since(notice))]
    found += [("figure", figure) for figure in alert.figures]
    found += [("evidence", line) for line in evidence_lines(alert.evidence)]
    if not reported:
        found += [
            ("cause", notice.cause or ""),
            ("affects", ", ".join(notice.affects)),
            ("also affected", ", ".join(notice.symptoms)),
            ("acknowledged", _acknowledged(notice)),
            ("next", "" if notice.resolved else f"watchdog explain {alert.name}"),
        ]
    found.append(("runbook", alert.runbook))
    return [Fact(name, flat(text)) for name, text in found if text]


def _since(notice: Notice) -> str:
    alert = notice.alert
    text = rfc3339(alert.active_since)
    if alert.resolved_at is not None:
        lasted = (alert.resolved_at - alert.active_since).total_seconds()
        text += f", ended {rfc3339(alert.resolved_at)} (after {show_duration(max(lasted, 0))})"
        return f"{text}, both told only now" if notice.unannounced else text
    if alert.blind_since is not None:
        text += f", cannot be seen since {rfc3339(alert.blind_since)}"
    return text if notice.reason else f"{text}, goes on"


def _acknowledged(notice: Notice) -> str:
    if notice.ack is None:
        return ""
    comment = f": {notice.ack.comment}" if notice.ack.comment else ""
    return f"by {notice.ack.by} at {rfc3339(notice.ack.at)}{comment}"


def evidence_lines(evidence: Mapping[str, object]) -> list[str]:
    """Return the first few pieces of evidence, a line each."""
    lines = [f"{name}: {clip(worded(found), EVIDENCE_LENGTH)}" for name, found in evidence.items()]
    left_out = len(lines) - EVIDENCE_SHOWN
    return [*lines[:EVIDENCE_SHOWN], f"… and {left_out} more"] if left_out > 0 else lines


def worded(found: object) -> str:
    """Return a piece of evidence as text."""
    if isinstance(found, Mapping):
        return ", ".join(f"{name}={value}" for name, value in found.items())
    if isinstance(found, list | tuple):
        return ", ".join(map(str, found))
    return str(found)


def headline(notification: Notification, most: int) -> str:
    """Return the worst of *notification*, and how much more there is, in one line of *most* characters."""
    more = len(notification.notices) - 1
    tail = f" (+{more} more)" if more else ""
    return clip(flat(one_line(notification.notices[0])), most - len(tail)) + tail


def delay(notification: Notification, now: datetime) -> str:
    """Say when *notification* was decided, and how late it is, if it waited; otherwise nothing."""
    late = show_duration((now - notification.due).total_seconds()) if now - notification.due > LATE else ""
    if notification.merged > 1:
        text = f"{notification.merged} messages that waited, the oldest decided at {rfc3339(notification.at)}"
    elif now - notification.at > LATE:
        text = f"decided at {rfc3339(notification.at)}"
    else:
        return ""
    return f"{text}, {late} late" if late else text


def text(notification: Notification, link: str, now: datetime) -> str:
    """Return the whole of *notification*, a paragraph an alert; *link* leads to the status page."""
    paragraphs = [said] if (said := delay(notification, now)) else []
    for notice in notification.notices[:TOLD_WHOLE]:
        lines = [f"  {name}: {said}" for name, said in facts(notice)]
        paragraphs.append("\n".join([flat(one_line(notice)), *lines]))
    rest = notification.notices[TOLD_WHOLE:]
    if rest:
        lines = [flat(one_line(notice)) for notice in rest[:TOLD_SHORT]]
        left_out = len(rest) - TOLD_SHORT
        paragraphs.append("\n".join([*lines, f"… and {left_out} more"] if left_out > 0 else lines))
    paragraphs.append(f"status: {link}")
    return "\n\n".join(paragraphs) + "\n"


def flat(text: str) -> str:
    """Return *text* in one line without control signs: nothing from outside can pose as a line of ours."""
    return plain("".join(" " if sign.isspace() else sign for sign in text))


def clip(text: str, most: int) -> str:
    """Return *text* in at most *most* characters, the last one an ellipsis if something is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"
