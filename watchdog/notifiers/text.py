"""A notification in plain lines: what people read in a mail, a chat or on a phone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from watchdog.links import Links
from watchdog.notifications import WORTH_TELLING, Notice, Notification, Reason, lasted, one_line
from watchdog.units import from_ms, plain, show_duration

LATE = timedelta(minutes=1)
"""A message that is older than this says so."""
EVIDENCE_SHOWN = 8
EVIDENCE_LENGTH = 300
TOLD_WHOLE = 50
"""Of so many alerts a text tells everything; of the next ones a line each, then only the number."""
TOLD_SHORT = 200
LOOK = "look"
"""The evidence that is commands to look further with, divided by `; `."""
COMMANDS = 2
"""So many of these are shown; all of them are in what `watchdog explain` tells."""
HOW_SEEN = frozenset({LOOK, "format", "value", "backlog", "unit_file"})
"""The evidence that says how something was seen, not what; `watchdog explain` has it."""
TELLING = ("culprit", "last_failure", "last_error", "top_errors", "new_errors", "last_lines")
"""The evidence that most often names the cause; it comes first."""
_ENTRY = re.compile(r"(\d{13})-\d+")


class Fact(NamedTuple):
    """One thing said of an alert, in one line: ``since``, ``figure``, ``evidence``, ``cause`` …"""

    name: str
    text: str


def facts(notice: Notice) -> list[Fact]:
    """Return all that is said of an alert besides its summary, in the order in which one wants to know it."""
    alert = notice.alert
    reported = notice.reason in (Reason.REPORT, Reason.TEST)
    found = [] if reported else [("since", since(notice))]
    over = notice.resolved and not reported
    if over:
        found.append(("ended by", "" if alert.ended else alert.ended_by))
    if not over or notice.unannounced:  # whoever heard of the beginning knows them, and they are past
        found += [("figure", figure) for figure in alert.words or alert.figures]
        found += [("evidence", line) for line in evidence_lines(telling(alert.evidence))]
    found += [
        ("cause", notice.cause or ""),
        ("affects", ", ".join(notice.affects)),
        ("also affected", ", ".join(notice.symptoms)),
        ("acknowledged", _acknowledged(notice)),
    ]
    found += [("next", command) for command in commands(notice)]
    found.append(("silence", silencing(notice)))
    return [Fact(name, flat(text)) for name, text in found if text]


def links_of(notice: Notice, links: Links) -> list[Fact]:
    """Return where one finds more about an alert: its page, its runbook, its dashboard."""
    alert = notice.alert
    if notice.reason is Reason.REPORT:  # nothing on any page is what it tells
        return []
    found = [
        ("status page", links.alert(alert.service, alert.labels.fingerprint)),
        ("runbook", alert.runbook),
        ("Grafana", links.dashboard(alert.service)),
    ]
    return [Fact(name, flat(url)) for name, url in found if url]


def since(notice: Notice) -> str:
    """Say since when it is so and for how long, or from when to when it was."""
    alert = notice.alert
    time = show_duration(lasted(alert).total_seconds())
    if alert.resolved_at is not None:
        text = f"{moment(alert.active_since)}, ended {moment(alert.resolved_at)} (after {time})"
        return f"{text}, both told only now" if notice.unannounced else text
    text = moment(alert.active_since) + (f", for {time}" if lasted(alert) >= WORTH_TELLING else "")
    if alert.blind_since is not None:
        text += f", cannot be seen since {moment(alert.blind_since)}"
    return text if notice.reason else f"{text}, goes on"


def moment(at: datetime) -> str:
    """Return *at* as people compare it with a log: in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def commands(notice: Notice) -> list[str]:
    """Return what to type in order to see more."""
    alert = notice.alert
    if notice.resolved or notice.reason is Reason.TEST:
        return []
    named = f"{shlex.quote(alert.name)} --service {shlex.quote(alert.service)}"
    return [f"watchdog explain {named}", *_parts(str(alert.evidence.get(LOOK, "")))[:COMMANDS]]


def _parts(line: str) -> list[str]:
    """Return the commands of a shell's *line*; what is quoted in it divides nothing."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == ";":
            parts.append([])
        else:
            parts[-1].append(word)
    return [shlex.join(words) for words in parts if words]


def silencing(notice: Notice) -> str:
    """Return the command that silences the alert for an hour; nobody needs it of what has ended."""
    alert = notice.alert
    if notice.resolved or notice.reason is Reason.TEST:
        return ""
    matchers = shlex.join([f"alertname={alert.name}", f"service={alert.service}"])
    return f"watchdog silence add {matchers} --for 1h --comment WHY"


def telling(evidence: Mapping[str, object]) -> dict[str, object]:
    """Return the part of *evidence* that says what is wrong, what most often names the cause first."""
    kept = {name: found for name, found in evidence.items() if name not in HOW_SEEN}
    return {name: kept[name] for name in dict.fromkeys([*TELLING, *kept]) if name in kept}


def _acknowledged(notice: Notice) -> str:
    if notice.ack is None:
        return ""
    comment = f": {notice.ack.comment}" if notice.ack.comment else ""
    return f"by {notice.ack.by} at {moment(notice.ack.at)}{comment}"


def evidence_lines(evidence: Mapping[str, object]) -> list[str]:
    """Return the first few pieces of evidence, a line each."""
    lines = [
        f"{name.replace('_', ' ')}: {clip(worded(found), EVIDENCE_LENGTH)}"
        for name, found in evidence.items()
    ]
    left_out = len(lines) - EVIDENCE_SHOWN
    return [*lines[:EVIDENCE_SHOWN], f"… and {left_out} more"] if left_out > 0 else lines


def worded(found: object) -> str:
    """Return a piece of evidence as text; an entry's ID also as the time it carries."""
    if isinstance(found, Mapping):
        return ", ".join(f"{name}={worded(value)}" for name, value in found.items())
    if isinstance(found, list | tuple):
        return ", ".join(map(worded, found))
    entry = _ENTRY.fullmatch(str(found))
    return f"{found} ({moment(from_ms(int(entry[1])))})" if entry else str(found)


def headline(notification: Notification, most: int) -> str:
    """Return the worst of *notification*, and how much more there is, in one line of *most* characters."""
    worst, *others = notification.notices
    ended = 0 if worst.resolved else sum(notice.resolved for notice in others)
    more = [f"+{len(others) - ended} more"] if len(others) > ended else []
    more += [f"{ended} ended"] if ended else []
    beside = f" ({', '.join(more)})" if more else ""
    return clip(flat(one_line(worst, beside)), most)


def delay(notification: Notification, now: datetime) -> str:
    """Say when *notification* was decided, and how late it is, if it waited; otherwise nothing."""
    late = show_duration((now - notification.due).total_seconds()) if now - notification.due > LATE else ""
    if notification.merged > 1:
        text = f"{notification.merged} messages that waited, the oldest decided at {moment(notification.at)}"
    elif now - notification.at > LATE:
        text = f"decided at {moment(notification.at)}"
    else:
        return ""
    return f"{text}, {late} late" if late else text


def text(notification: Notification, links: Links, now: datetime) -> str:
    """Return the whole of *notification*, a paragraph an alert; *links* lead to the status page."""
    paragraphs = [said] if (said := delay(notification, now)) else []
    for notice in notification.notices[:TOLD_WHOLE]:
        lines = [f"  {name}: {said}" for name, said in [*facts(notice), *links_of(notice, links)]]
        paragraphs.append("\n".join([flat(one_line(notice)), *lines]))
    rest = notification.notices[TOLD_WHOLE:]
    if rest:
        lines = [flat(one_line(notice)) for notice in rest[:TOLD_SHORT]]
        left_out = len(rest) - TOLD_SHORT
        paragraphs.append("\n".join([*lines, f"… and {left_out} more"] if left_out > 0 else lines))
    paragraphs.append(f"everything: {links.base}")
    return "\n\n".join(paragraphs) + "\n"


def flat(text: str) -> str:
    """Return *text* in one line without control signs: nothing from outside can pose as a line of ours."""
    return plain("".join(" " if sign.isspace() else sign for sign in text))


def clip(text: str, most: int) -> str:
    """Return *text* in at most *most* characters, the last one an ellipsis if something is missing."""
    return text if len(text) <= most else text[: most - 1] + "…"
