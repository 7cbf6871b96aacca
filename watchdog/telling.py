"""
Who has to hear what: pure decisions, each with the reason that log, metric and API name alike.

The decision compares what *is* with what each receiver was *told* (its receipts), so that it does
not matter how often it is taken, or whether a tick was missed in between. What is decided is frozen
at once; where a group is to be waited for, the message says before when it must not be sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from watchdog.alerts import Alert, Alerts, State, failing
from watchdog.model import OWN_SERVICE, Labels
from watchdog.muting import Ack, Maintenance, Silence, silenced
from watchdog.notifications import BEGINNINGS, Notice, Notification, Reason, build
from watchdog.routing import REPEAT_INTERVAL, Habit, Pace, Policy, Route, routes_of
from watchdog.rules import ZERO, Severity
from watchdog.topology import Needs, affected, cause_of, inverted

SELF_TEST = "SelfTest"
"""The alert that somebody asks for; however often, that is not flapping."""
TELLING = BEGINNINGS | {Reason.RESOLVED, Reason.REPEAT, Reason.ACKNOWLEDGED}
"""The reasons for which something is sent; for all others it is not."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What people said: silences by id, acknowledgements by fingerprint."""

    silences: Mapping[str, Silence] = field(default_factory=dict)
    acks: Mapping[str, Ack] = field(default_factory=dict)


# ---- what was told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    What a receiver was last told of an alert, *at* when, and *since* when it knows that it fires.

    Both are the moment from which the message may be sent; delivery is the outbox's business.
    *since* goes back to the first of several firings if no end was told in between (it flaps).
    """

    fired_at: datetime
    resolved: bool
    since: datetime
    at: datetime
    group: str
    flapping: bool = False
    acked: bool = False


Ticket = tuple[str, str]
"""A receiver and an alert's fingerprint."""
Receipts = Mapping[Ticket, Receipt]


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What is to be sent, the receipts that hold once it is queued, and the reason for each alert.

    *withdrawn* names what waits for its group in the outbox and is not to be sent after all.
    """

    notifications: tuple[Notification, ...]
    receipts: Receipts
    reasons: Mapping[Ticket, Reason]
    withdrawn: frozenset[Ticket] = frozenset()


def notices_of(alerts: Iterable[Alert], failing_services: frozenset[str], needs: Needs) -> list[Notice]:
    """Return each alert with its cause, what it affects, and the symptoms held back because of it."""
    needed_by = inverted(needs)
    causes: dict[str, str | None] = {}
    affects: dict[str, tuple[str, ...]] = {}
    symptoms: dict[str, list[str]] = {}
    alerts = list(alerts)
    for alert in alerts:
        service = alert.service
        if service not in causes:
            causes[service] = cause_of(service, failing_services, needs)
            affects[service] = tuple(affected(service, needed_by))
        cause = causes[service]
        if cause is not None and alert.firing:
            symptoms.setdefault(cause, []).append(f"{alert.name} of {service}")
    shown = {service: tuple(dict.fromkeys(sorted(names))) for service, names in symptoms.items()}
    return [
        Notice(
            alert,
            causes[alert.service],
            affects[alert.service],
            shown.get(alert.service, ()) if alert.firing and alert.severity is Severity.CRITICAL else (),
        )
        for alert in alerts
    ]


# ---- why ---------------------------------------------------------------------------------------


HABIT = Habit()
"""How a receiver is told that has no habits of its own."""


class Case(NamedTuple):
    """All that decides whether one receiver is told of one alert now."""

    alert: Alert
    receipt: Receipt | None
    now: datetime
    first: Reason | None = Reason.FIRST  # the reason for which it would hear of it; None: no longer at all
    muted: Reason | None = None
    acked: bool = False
    flaps: bool = False
    repeat_interval: timedelta = REPEAT_INTERVAL
    habit: Habit = HABIT
    longest_wait: timedelta = ZERO

    @property
    def announced(self) -> bool:
        """Say whether the receiver was told of a beginning and not yet of its end."""
        return self.receipt is not None and not self.receipt.resolved

    @property
    def same(self) -> bool:
        """Say whether it was this very firing of which the receiver was told last."""
        return self.receipt is not None and self.receipt.fired_at == self.alert.fired_at

    @property
    def told(self) -> bool:
        """Say whether the receiver knows that this very firing goes on."""
        return self.announced and self.same

    @property
    def damped(self) -> bool:
        """Say whether the receiver was told that it flaps, and not since that it is steady."""
        return self.announced and self.receipt is not None and self.receipt.flapping

    def silent_for(self, interval: timedelta) -> bool:
        """Say whether the receiver has heard nothing of it for *interval*."""
        at = self.receipt.at if self.receipt else self.now
        return _over(at, interval, self.now, self.longest_wait)


def _over(since: datetime, interval: timedelta, now: datetime, longest_wait: timedelta) -> bool:
    """
    Say whether *interval* is over that began at *since*.

    It may begin a little later, when a message has waited for its group. More than that means that
    the clock was set back, and then better too early than much too late.
    """
    return now - since >= interval or since - now > max(interval, longest_wait)


def why_tell(case: Case) -> Reason | None:
    """Say why a receiver is told of an alert, or why it is spared, or None if there is nothing to tell."""
    if case.alert.state is State.RESOLVED:
        return _why_tell_the_end(case)
    if not case.alert.firing:
        return None
    return _why_remind(case) if case.told else _why_tell_the_beginning(case)


def _why_tell_the_end(case: Case) -> Reason | None:
    if case.announced:
        return Reason.DAMPED if case.flaps and case.damped else Reason.RESOLVED
    if case.same and case.habit.resend is not None and case.silent_for(case.habit.resend):
        return Reason.REPEAT
    return None


def _why_tell_the_beginning(case: Case) -> Reason | None:
    if case.first is None:
        return None
    if case.flaps and case.damped:
        return Reason.DAMPED
    if case.muted is not None:
        return case.muted
    if case.flaps:
        return Reason.FLAPPING
    return Reason.STEADY if case.damped else case.first


def _why_remind(case: Case) -> Reason | None:
    """It was told of this firing: acknowledged, muted, steady again, or in need of a reminder."""
    assert case.receipt is not None
    if case.first is None:
        return None
    if case.habit.resend is not None:
        return Reason.REPEAT if case.silent_for(case.habit.resend) else None
    if case.acked:
        news = case.habit.hears_acks and not case.receipt.acked
        return Reason.ACKNOWLEDGED if news else Reason.SPARED_BY_ACK
    if case.muted is not None:
        return case.muted
    if case.damped:
        return Reason.DAMPED if case.flaps else Reason.STEADY
    return Reason.REPEAT if case.silent_for(case.repeat_interval) else None


def why_muted(notice: Notice, policy: Policy, wishes: Wishes, now: datetime) -> Reason | None:
    """Say why nobody is to hear of an alert that fires, or None."""
    hushed = silenced(wishes.silences.values(), [notice.alert.labels], now)
    return _why_muted(notice, hushed, [window for window in policy.maintenance if window.active(now)])


def _why_muted(notice: Notice, hushed: Set[Labels], windows: Iterable[Maintenance]) -> Reason | None:
    labels = notice.alert.labels
    if labels in hushed:
        return Reason.SILENCED
    if any(window.matches(labels) for window in windows):
        return Reason.MAINTENANCE
    return Reason.HELD_BY_CAUSE if notice.cause is not None else None


class Listener(NamedTuple):
    """A receiver that may have to hear of an alert: at what pace, and for what reason at first."""

    receiver: str
    pace: Pace
    first: Reason | None


def listeners(
    alert: Alert, receipts: Receipts, policy: Policy, *, acked: bool, now: datetime
) -> list[Listener]:
    """
    Return who has to hear of *alert* by its routes and escalations, and who heard of it before.

    What is wrong with a receiver is not told to that one but to the others, if need be to all.
    """
    mark = alert.labels.fingerprint
    spared = alert.labels.get("receiver") if alert.service == OWN_SERVICE else None
    found: dict[str, Listener] = {}
    routes = list(routes_of(alert.labels, policy.routes))
    for route in routes:
        for name in route.to:
            if name not in found:
                found[name] = Listener(name, route.pace, Reason.FIRST)
    for route in routes:
        for name in _escalated(route, alert, receipts, policy, acked=acked, now=now):
            if name not in found:  # it has been waited for long enough
                found[name] = Listener(name, replace(route.pace, group_wait=ZERO), Reason.ESCALATED)
    if spared is not None:
        found.pop(spared, None)
        if not found:
            found = {x: Listener(x, Pace(), Reason.FIRST) for x in policy.receivers if x != spared}
    for name in policy.receivers:
        if name not in found and (name, mark) in receipts:
            found[name] = Listener(name, Pace(), None)
    return list(found.values())


def _escalated(
    route: Route, alert: Alert, receipts: Receipts, policy: Policy, *, acked: bool, now: datetime
) -> Iterator[str]:
    """Yield whom an escalation of *route* was told to, or is to be now."""
    if not route.escalations:
        return
    mark = alert.labels.fingerprint
    told = [receipts[name, mark] for name in route.to if (name, mark) in receipts]
    known = [r.since for r in told if not r.resolved and (r.fired_at == alert.fired_at or r.flapping)]
    since = min(known, default=None)
    for escalation in route.escalations:
        late = since is not None and not acked and _over(since, escalation.after, now, policy.longest_wait)
        for name in escalation.to:
            receipt = receipts.get((name, mark))
            if late or (receipt is not None and not receipt.resolved):
                yield name


# ---- deciding ----------------------------------------------------------------------------------


class _Standing(NamedTuple):
    """An alert that can be told: what mutes it, and who has acknowledged it."""

    notice: Notice
    muted: Reason | None
    ack: Ack | None


@dataclass(slots=True)
class _News:
    """What one receiver has to hear of one service."""

    notices: list[Notice] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    goes_on: list[Notice] = field(default_factory=list)

    @property
    def worse(self) -> bool:
        """Say whether something critical begins while nothing critical was told: that does not wait."""
        known = any(notice.alert.severity is Severity.CRITICAL for notice in self.goes_on)
        urgent = BEGINNINGS - {Reason.STEADY}
        return not known and any(
            notice.alert.severity is Severity.CRITICAL and notice.reason in urgent for notice in self.notices
        )


def due(
    alerts: Alerts,
    receipts: Receipts,
    policy: Policy,
    wishes: Wishes,
    now: datetime,
    *,
    waiting: Container[Ticket] = frozenset(),
) -> Decision:
    """
    Decide what every receiver has to hear at *now*.

    A symptom is spared while a service it needs has a critical alert; its end is always told if
    its beginning was. News of one service go into one message, which also repeats what else fires
    there. *waiting* names the beginnings that can still be taken back (`Lane.beginnings`).
    """
    after = dict(receipts)
    reasons: dict[Ticket, Reason] = {}
    withdrawn: set[Ticket] = set()
    news: defaultdict[Ticket, _News] = defaultdict(_News)
    standing: defaultdict[str, list[_Standing]] = defaultdict(list)
    longest_wait = policy.longest_wait
    for one in _standing(alerts, policy, wishes, now):
        alert = one.notice.alert
        mark, service = alert.labels.fingerprint, alert.service
        standing[service].append(one)
        flaps = policy.flapping is not None and alert.name != SELF_TEST and policy.flapping.holds(alert, now)
        acked = one.ack is not None
        for name, pace, first in listeners(alert, receipts, policy, acked=acked, now=now):
            ticket = (name, mark)
            receipt = receipts.get(ticket)
            if one.muted is not None and receipt is not None and _unheard(receipt) and ticket in waiting:
                withdrawn.add(ticket)
                del after[ticket]
                receipt = None
            habit = policy.receivers.get(name, HABIT)
            reason = why_tell(
                Case(
                    alert,
                    receipt,
                    now,
                    first,
                    one.muted,
                    acked,
                    flaps and habit.resend is None,
                    pace.repeat_interval,
                    habit,
                    longest_wait,
                )
            )
            if reason is not None:
                reasons[ticket] = reason
            if reason in TELLING:
                group = news[name, service]
                group.notices.append(replace(one.notice, reason=reason, ack=one.ack))
                group.paces.append(pace if habit.resend is None else Pace())
    notifications = []
    spoke = _last_spoken(receipts, news)
    for (name, service), group in news.items():
        if policy.receivers.get(name, HABIT).resend is None:
            group.goes_on += _goes_on(name, standing[service], after, reasons)
        at, waits = _send_at(spoke.get((name, service)), group, now)
        for notice in group.notices:
            ticket = (name, notice.alert.labels.fingerprint)
            after[ticket] = _receipt(notice, after.get(ticket), service, at)
        notices = [*group.notices, *group.goes_on]
        notifications.append(build(name, Labels(service=service), notices, now, due=at, waits=waits))
    known = {alert.labels.fingerprint for alert in alerts.values()}
    gone = [ticket for ticket, receipt in after.items() if receipt.resolved and ticket[1] not in known]
    for ticket in gone:
        del after[ticket]
    changed = notifications or withdrawn or gone
    return Decision(tuple(notifications), after if changed else receipts, reasons, frozenset(withdrawn))


def _standing(alerts: Alerts, policy: Policy, wishes: Wishes, now: datetime) -> Iterator[_Standing]:
    """
    Yield the alerts that fire or ended; before it fires nobody hears of one.

    While an alert is pending anew, its last end can still be owed.
    """
    windows = [window for window in policy.maintenance if window.active(now)]
    hushed = silenced(wishes.silences.values(), alerts.keys(), now)
    for notice in notices_of(alerts.values(), failing(alerts), policy.needs):
        alert = notice.alert
        if alert.state is State.PENDING:
            if alert.before is not None:
                yield _Standing(replace(notice, alert=alert.before), None, None)
            continue
        ack = wishes.acks.get(alert.labels.fingerprint)
        yield _Standing(
            notice,
            _why_muted(notice, hushed, windows) if alert.firing else None,
            ack if ack is not None and ack.holds(alert) else None,
        )


def _goes_on(
    receiver: str,
    standing: Iterable[_Standing],
    receipts: Receipts,
    reasons: Mapping[Ticket, Reason],
) -> Iterator[Notice]:
    """Yield what *receiver* knows to fire and still may hear of, without anything new to tell of it."""
    for one in standing:
        alert = one.notice.alert
        ticket = (receiver, alert.labels.fingerprint)
        receipt = receipts.get(ticket)
        if not alert.firing or one.muted is not None or reasons.get(ticket) in TELLING:
            continue
        if receipt is not None and not receipt.resolved and receipt.fired_at == alert.fired_at:
            yield replace(one.notice, ack=one.ack)


def _receipt(notice: Notice, before: Receipt | None, group: str, at: datetime) -> Receipt:
    """Return what *notice* leaves *before* as, if the receiver knew that the alert fires."""
    reason, fired_at = notice.reason, notice.alert.fired_at or at
    known = before if before is not None and not before.resolved else None
    kept = known if reason in (Reason.REPEAT, Reason.ACKNOWLEDGED) else None
    return Receipt(
        fired_at,
        notice.resolved,
        since=known.since if known is not None else at,
        at=at,
        group=group,
        flapping=reason is Reason.FLAPPING or (kept is not None and kept.flapping),
        acked=reason is Reason.ACKNOWLEDGED or (kept is not None and kept.acked),
    )


def _unheard(receipt: Receipt) -> bool:
    """Say whether *receipt* is of a beginning, and of nothing that was told before it."""
    return not receipt.resolved and receipt.since == receipt.at


def _last_spoken(receipts: Receipts, groups: Container[Ticket]) -> dict[Ticket, tuple[datetime, bool]]:
    """Return when each of *groups* was last spoken of, and whether something goes on there."""
    found: dict[Ticket, tuple[datetime, bool]] = {}
    for (receiver, _), receipt in receipts.items():
        key = (receiver, receipt.group)
        if key in groups:
            at, goes_on = found.get(key, (receipt.at, False))
            found[key] = (max(at, receipt.at), goes_on or not receipt.resolved)
    return found


def _send_at(
    spoken: tuple[datetime, bool] | None, news: _News, now: datetime
) -> tuple[datetime, Reason | None]:
    """Return from when on a group's message may be sent, and for what it waits until then."""
    last, goes_on = spoken or (None, False)
    group_wait = min(pace.group_wait for pace in news.paces)
    group_interval = min(pace.group_interval for pace in news.paces)
    if last is not None and not news.worse:
        if now < last <= now + max(group_wait, group_interval):
            return last, Reason.GROUP_INTERVAL  # something waits already: go with it
        if now - group_interval < last <= now:
            return last + group_interval, Reason.GROUP_INTERVAL
    wait = ZERO if goes_on else group_wait
    return now + wait, Reason.GROUP_WAIT if wait else None


def owed(receipts: Receipts) -> frozenset[str]:
    """Return the fingerprints of the alerts whose end somebody has still to hear."""
    return frozenset(mark for (_, mark), receipt in receipts.items() if not receipt.resolved)
