"""
Who has to hear what: pure decisions, each with the reason that log and metric name alike.

The decision compares what *is* with what each receiver was *told* (its receipts), so that it does
not matter how often it is taken, or whether a tick was missed in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from watchdog.alerts import Alert, Alerts, State, failing
from watchdog.model import Labels
from watchdog.topology import Needs, affected, cause_of, inverted
from watchdog.units import rfc3339


class Reason(StrEnum):
    """Why a receiver is told of an alert, or is not told yet."""

    FIRST = "first"
    RESOLVED = "resolved"
    HELD_BY_CAUSE = "held_by_cause"


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts whose labels are among *match* go to the receivers *to*; the first that matches wins."""

    to: tuple[str, ...]
    match: Mapping[str, frozenset[str]] = field(default_factory=dict)
    go_on: bool = False

    def takes(self, labels: Labels) -> bool:
        """Say whether an alert with *labels* takes this route."""
        return all(labels.get(name) in allowed for name, allowed in self.match.items())


def receivers_of(labels: Labels, routes: Iterable[Route]) -> tuple[str, ...]:
    """Return the receivers of an alert with *labels*, each once, in the order of the routes."""
    found: dict[str, None] = {}
    for route in routes:
        if route.takes(labels):
            found |= dict.fromkeys(route.to)
            if not route.go_on:
                break
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Notice:
    """One alert as it stands in a notification: with its cause and with whom it affects."""

    alert: Alert
    cause: str | None
    affects: tuple[str, ...]

    @property
    def resolved(self) -> bool:
        """Say whether the notice tells an end."""
        return self.alert.state is State.RESOLVED


@dataclass(frozen=True, slots=True)
class Notification:
    """
    One message to one receiver, frozen as decided.

    *key* is the same for every attempt to send it, so that a receiver can drop a double.
    """

    key: str
    receiver: str
    group: Labels
    notices: tuple[Notice, ...]
    at: datetime

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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver was last told of an alert: which firing, and whether of its end."""

    fired_at: datetime
    resolved: bool


Receipts = Mapping[tuple[str, str], Receipt]
"""By receiver and the alert's fingerprint."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be sent, the receipts that hold once it is, and the reason for each alert."""

    notifications: tuple[Notification, ...]
    receipts: Receipts
    reasons: Mapping[tuple[str, str], Reason]


def notices_of(alerts: Iterable[Alert], failing_services: frozenset[str], needs: Needs) -> list[Notice]:
    """Return each alert with its cause, and with the services that cannot work because of it."""
    needed_by = inverted(needs)
    return [
        Notice(
            alert,
            cause_of(alert.service, failing_services, needs),
            tuple(affected(alert.service, needed_by)),
        )
        for alert in alerts
    ]


def why_tell(alert: Alert, receipt: Receipt | None, held: bool) -> Reason | None:
    """Say why a receiver is told of *alert* (or is spared for now), or None if there is nothing to tell."""
    told = receipt is not None and not receipt.resolved
    if alert.state is State.RESOLVED:
        return Reason.RESOLVED if told else None
    if not alert.firing or (told and receipt is not None and receipt.fired_at == alert.fired_at):
        return None
    return Reason.HELD_BY_CAUSE if held else Reason.FIRST


def due(alerts: Alerts, receipts: Receipts, routes: Sequence[Route], needs: Needs, now: datetime) -> Decision:
    """
    Decide what every receiver has to hear at *now*.

    A symptom is spared while a service it needs has a critical alert; its end is always told if
    its beginning was. Alerts of one cause and service go into one message, which also repeats
    what else fires there.
    """
    causes = failing(alerts)
    after = dict(receipts)
    reasons: dict[tuple[str, str], Reason] = {}
    groups: dict[tuple[str, str], list[Notice]] = {}
    news: set[tuple[str, str]] = set()
    for notice in notices_of(alerts.values(), causes, needs):
        alert = notice.alert
        for receiver in receivers_of(alert.labels, routes):
            ticket = (receiver, alert.labels.fingerprint)
            reason = why_tell(alert, receipts.get(ticket), notice.cause is not None)
            group = (receiver, alert.service)
            if reason is not None:
                reasons[ticket] = reason
            if reason in (Reason.FIRST, Reason.RESOLVED):
                news.add(group)
                after[ticket] = Receipt(alert.fired_at or now, alert.state is State.RESOLVED)
            elif not (alert.firing and reason is None):
                continue
            groups.setdefault(group, []).append(notice)
    known = {alert.labels.fingerprint for alert in alerts.values()}
    after = {ticket: r for ticket, r in after.items() if not r.resolved or ticket[1] in known}
    return Decision(
        tuple(_notification(*group, groups[group], now) for group in groups if group in news), after, reasons
    )


def _notification(receiver: str, service: str, notices: Sequence[Notice], now: datetime) -> Notification:
    content = "\n".join(
        f"{n.alert.labels.fingerprint} {n.resolved} {n.alert.fired_at} {n.alert.resolved_at}" for n in notices
    )
    key = hashlib.sha256(f"{receiver}\n{service}\n{content}".encode()).hexdigest()[:32]
    order = sorted(notices, key=lambda n: (n.resolved, n.alert.severity != "critical", n.alert.name))
    return Notification(key, receiver, Labels(service=service), tuple(order), now)


def one_line(notice: Notice) -> str:
    """Return the sentence that says it all, for a phone's lock screen."""
    state = "RESOLVED" if notice.resolved else str(notice.alert.severity).upper()
    blind = " (cannot be seen at present)" if notice.alert.state is State.BLIND else ""
    return f"{state} {notice.alert.name}: {notice.alert.summary}{blind}"


def when(moment: datetime | None) -> str:
    """Return *moment* for APIs; Go's zero time stands for none, as in Alertmanager."""
    return "0001-01-01T00:00:00Z" if moment is None else rfc3339(moment)
