"""One message to one receiver: what it says, frozen as decided, and how several become one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from watchdog.alerts import Alert, State
from watchdog.model import Labels
from watchdog.muting import Ack
from watchdog.rules import ZERO, Severity
from watchdog.units import first_of, rfc3339, show_duration


class Reason(StrEnum):
    """Why a receiver is told of an alert, or why it is spared, or why a message waits."""

    FIRST = "first"
    RESOLVED = "resolved"
    REPEAT = "repeat"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    FLAPPING = "flapping"
    STEADY = "steady"
    REPORT = "report"
    TEST = "test"

    HELD_BY_CAUSE = "held_by_cause"
    SILENCED = "silenced"
    MAINTENANCE = "maintenance"
    SPARED_BY_ACK = "spared_by_ack"
    DAMPED = "damped"

    GROUP_WAIT = "group_wait"
    GROUP_INTERVAL = "group_interval"
    SENDING = "sending"


BEGINNINGS = frozenset({Reason.FIRST, Reason.ESCALATED, Reason.FLAPPING, Reason.STEADY})
"""The reasons for which a receiver is told that an alert fires now."""
Episode = tuple[str, datetime | None]
"""One firing of an alert: its fingerprint, and when it began to fire."""
RANKS = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Notice:
    """
    One alert as it stands in a notification.

    *cause* is the service that explains it, *affects* are the services that cannot work because
    of it, *symptoms* the alerts held back on its account. *reason* says why it is told now; an
    alert without one goes on and is repeated for the sake of the whole. *unannounced* marks an end
    or an acknowledgement whose beginning the receiver hears in the same breath.
    """

    alert: Alert
    cause: str | None
    affects: tuple[str, ...]
    symptoms: tuple[str, ...] = ()
    reason: Reason | None = None
    ack: Ack | None = None
    unannounced: bool = False

    @property
    def resolved(self) -> bool:
        """Say whether the notice tells an end."""
        return self.alert.state is State.RESOLVED

    @property
    def episode(self) -> Episode:
        """Return which firing of which alert it is about."""
        return self.alert.labels.fingerprint, self.alert.fired_at


@dataclass(frozen=True, slots=True)
class Notification:
    """
    One message to one receiver, frozen as decided at *at* and not to be sent before *due*.

    *key* is the same for every attempt to send it, so that a receiver can drop a double. *merged*
    is the number of messages it stands for. *waits* says for what it waits if it does: for its
    group, or for the receiver's yes.
    """

    key: str
    receiver: str
    group: Labels
    notices: tuple[Notice, ...]
    at: datetime
    due: datetime
    merged: int = 1
    waits: Reason | None = None

    @property
    def firing(self) -> tuple[Notice, ...]:
        """Return the notices of alerts that fire."""
        return tuple(notice for notice in self.notices if not notice.resolved)

    @property
    def resolved(self) -> tuple[Notice, ...]:
        """Return the notices of alerts that ended."""
        return tuple(notice for notice in self.notices if notice.resolved)

    @property
    def status(self) -> str:
        """Return ``firing`` as long as one of the alerts fires (as Alertmanager)."""
        return "firing" if self.firing else "resolved"

    @property
    def beginnings(self) -> frozenset[str]:
        """Return the alerts (by fingerprint) of which the receiver first hears in it that they fire."""
        return frozenset(
            n.alert.labels.fingerprint
            for n in self.notices
            if not n.resolved and (n.reason in BEGINNINGS or n.unannounced)
        )

    def wait(self, now: datetime) -> timedelta:
        """Return for how long it has to wait at *now*; never longer than decided, whatever the clock does."""
        return max(ZERO, min(self.due - now, self.due - self.at))


# ---- building and merging ----------------------------------------------------------------------


def build(
    receiver: str,
    group: Labels,
    notices: Iterable[Notice],
    at: datetime,
    *,
    due: datetime | None = None,
    merged: int = 1,
    waits: Reason | None = None,
) -> Notification:
    """Return the message about *notices*; its key follows from what it says and to whom."""
    order = tuple(sorted(notices, key=_newest_state_first))
    again = any(n.reason in (Reason.REPEAT, Reason.REPORT, Reason.TEST) for n in order)
    content = "\n".join(map(_told, order))
    nonce = at.isoformat() if again else ""
    key = hashlib.sha256(f"{receiver}\n{group!r}\n{nonce}\n{content}".encode()).hexdigest()[:32]
    return Notification(key, receiver, group, order, at, due or at, merged, waits)


def _told(notice: Notice) -> str:
    """Return what makes *notice* news; figures and words alone do not."""
    alert, ack = notice.alert, notice.ack
    seen = ack.at if ack is not None and notice.reason is Reason.ACKNOWLEDGED else ""
    mark = alert.labels.fingerprint
    return f"{mark} {notice.resolved} {alert.fired_at} {alert.resolved_at} {notice.reason} {seen}"


def _newest_state_first(notice: Notice) -> tuple[bool, int, float, str]:
    """Order what fires before what ended, the worst before the rest, the latest before the earlier."""
    alert = notice.alert
    moment = alert.resolved_at or alert.fired_at
    return notice.resolved, RANKS[alert.severity], -(moment.timestamp() if moment else 0.0), alert.name


def merge(messages: Sequence[Notification]) -> Notification:
    """
    Return one message that says all that *messages* (in order, to one receiver) say.

    Every firing of every alert is told once, in its latest state: an end carries the time of its
    beginning. A firing whose end was not told by itself, since the alert flapped, gives way to the
    one after it. Times stay as they were, and decide nothing: the clock may have been set back.
    """
    latest: dict[Episode, Notice] = {}
    begun: set[Episode] = set()
    goes_on: dict[str, Episode] = {}
    for message in messages:
        for notice in sorted(message.notices, key=_as_it_came):
            episode = notice.episode
            earlier = goes_on.get(episode[0], episode)
            if earlier != episode:
                del latest[earlier], goes_on[episode[0]]
                if earlier in begun:
                    begun.add(episode)
            if notice.unannounced or notice.reason in BEGINNINGS:
                begun.add(episode)
            news = _news(latest.get(episode), notice)
            follows = notice.resolved or news is Reason.ACKNOWLEDGED
            latest[episode] = replace(notice, reason=news, unannounced=follows and episode in begun)
            if not notice.resolved:
                goes_on[episode[0]] = episode
            else:
                goes_on.pop(episode[0], None)
    first = messages[0]
    soonest = min(messages, key=lambda message: message.due)
    groups = {message.group for message in messages}
    return build(
        first.receiver,
        first.group if len(groups) == 1 else Labels(),
        latest.values(),
        first.at,
        due=soonest.due,
        merged=sum(message.merged for message in messages),
        waits=soonest.waits,
    )


def _as_it_came(notice: Notice) -> tuple[bool, bool]:
    """Order what is said of one alert: the end of what was told before, what came and went, what fires."""
    return not notice.resolved, notice.unannounced


def _news(before: Notice | None, notice: Notice) -> Reason | None:
    """Say why *notice* is told now that *before* about the same firing is told in the same breath."""
    if before is None or before.resolved != notice.resolved:
        return notice.reason
    if before.reason is not None and notice.reason in (None, Reason.REPEAT):
        return before.reason  # nobody can be reminded of what is new
    return notice.reason


def without(message: Notification, fingerprints: frozenset[str]) -> Notification | None:
    """Return *message* without the beginnings of some alerts, or None if nothing new is left of it."""
    kept = [n for n in message.notices if n.resolved or n.alert.labels.fingerprint not in fingerprints]
    if len(kept) == len(message.notices):
        return message
    if not any(notice.reason for notice in kept):
        return None
    return build(
        message.receiver,
        message.group,
        kept,
        message.at,
        due=message.due,
        merged=message.merged,
        waits=message.waits,
    )


# ---- words -------------------------------------------------------------------------------------

SAID = {
    Reason.REPEAT: "STILL ",
    Reason.ESCALATED: "ESCALATED ",
    Reason.ACKNOWLEDGED: "ACKNOWLEDGED ",
    Reason.FLAPPING: "FLAPPING ",
    Reason.STEADY: "STEADY ",
}
WORTH_TELLING = timedelta(minutes=1)
"""What has lasted for less has just begun."""
NEEDERS = 3
"""So many of those who need a service are named in its line."""
_LASTS = re.compile(r"\b(for|since)( at least)? \d")


def one_line(notice: Notice, beside: str = "") -> str:
    """
    Return the sentence that says it all, for a phone's lock screen.

    How bad it is, for how long, whose it is and what it is come first, the rule's name last.
    *beside* is what stands beside the first word.
    """
    alert = notice.alert
    if notice.reason in (Reason.REPORT, Reason.TEST):
        return f"{str(notice.reason).upper()}{beside}: {alert.summary} [{alert.name}]"
    return f"{_standing(notice, beside)}: {_sentence(alert)}{_and_more(notice)} [{alert.name}]"


def _standing(notice: Notice, beside: str) -> str:
    """Return how bad it is and for how long, unless the summary says so itself."""
    alert = notice.alert
    if notice.resolved:
        return f"RESOLVED{beside} after {show_duration(lasted(alert).total_seconds())}, was"
    said = SAID.get(notice.reason, "") if notice.reason else ""
    known = lasted(alert) >= WORTH_TELLING and not _LASTS.search(alert.summary)
    time = f" for {show_duration(lasted(alert).total_seconds())}" if known else ""
    return f"{said}{str(alert.severity).upper()}{beside}{time}"


def lasted(alert: Alert) -> timedelta:
    """Return how long it was so, as far as anybody saw: until it ended, or was seen last."""
    return max(ZERO, (alert.resolved_at or alert.last_true) - alert.active_since)


def _sentence(alert: Alert) -> str:
    """Return the summary; one that does not name its service is given the name."""
    named = re.search(rf"(?<![\w-]){re.escape(alert.service)}(?![\w-])", alert.summary, re.IGNORECASE)
    return alert.summary if named else f"{alert.service}: {alert.summary}"


def _and_more(notice: Notice) -> str:
    """Return what else decides whether somebody gets up: who needs it, whether anybody is at it."""
    alert, more = notice.alert, ""
    if notice.cause is not None:
        more += f"; because of {notice.cause}"
    elif notice.affects and not notice.resolved and alert.severity is Severity.CRITICAL:
        more += f"; needed by {first_of(notice.affects, NEEDERS)}"
    if alert.state is State.BLIND:
        more += " (cannot be seen at present)"
    if notice.reason is Reason.FLAPPING:
        more += f" (began {len(alert.firings)} times lately; no more of it until it is steady)"
    if notice.ack is not None:
        more += f" (acknowledged by {notice.ack.by})"
    return f"{more} ({alert.ended})" if alert.ended else more


def when(moment: datetime | None) -> str:
    """Return *moment* for APIs; Go's zero time stands for none, as in Alertmanager."""
    return "0001-01-01T00:00:00Z" if moment is None else rfc3339(moment)
