"""
What would have been said of what was seen: readings go through history, judge and telling once more.

The same steps as `watchdog.sidecar.Sidecar.tick`, with what was recorded in the place of sources and
receivers that take everything at once. It asks no clock, so that it gives the same whenever it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchdog.alerts import Alert, State, failing
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.lane import Lane
from watchdog.model import Labels, Reading
from watchdog.muting import settle, settle_acks
from watchdog.notifications import Notification, Reason
from watchdog.recording import Tick
from watchdog.routing import Policy
from watchdog.rules import ZERO, Binding
from watchdog.telling import TELLING, Receipts, Ticket, Wishes, due, owed
from watchdog.topology import cause_of
from watchdog.units import EPOCH

Counters = frozenset[tuple[str, str]]
"""Which counters (kind, name) are asked for over a window."""


@dataclass(slots=True)
class Firing:
    """
    One alert from the moment it was first true: *since*, when it fired if it did, when it ended if it has.

    *blind* is how long it could not be seen while it fired, *cause* the service that explained it when
    it began to fire.
    """

    labels: Labels
    since: datetime
    fired_at: datetime | None = None
    ended_at: datetime | None = None
    blind: timedelta = ZERO
    blind_since: datetime | None = None
    cause: str | None = None
    summary: str = ""
    figures: tuple[str, ...] = ()
    ended_by: str = ""

    def lasted(self, until: datetime) -> timedelta:
        """Return for how long it fired, up to *until* if it has not ended."""
        return ZERO if self.fired_at is None else (self.ended_at or until) - self.fired_at

    def unseen(self, until: datetime) -> timedelta:
        """Return for how long it was blind, up to *until* if it still is."""
        return self.blind + (ZERO if self.blind_since is None else until - self.blind_since)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, and when it was on its way."""

    at: datetime
    message: Notification


@dataclass(frozen=True, slots=True)
class Spared:
    """From *at* on a receiver was not told of an alert, and why."""

    at: datetime
    receiver: str
    labels: Labels
    reason: Reason


@dataclass(slots=True)
class Replay:
    """Lives through ticks under a *policy*, judging by *binding*; what came of it stands in the lists."""

    policy: Policy
    binding: Binding
    keep: timedelta
    asked: Counters | None = None
    firings: list[Firing] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    spared: list[Spared] = field(default_factory=list)
    alerts: Mapping[Labels, Alert] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)
    receipts: Receipts = field(default_factory=dict)
    history: History = field(init=False)
    _judge: Judge = field(init=False)
    _lanes: dict[str, Lane] = field(default_factory=dict)
    _reasons: Mapping[Ticket, Reason] = field(default_factory=dict)
    _open: dict[Labels, Firing] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        self._anew()

    def _anew(self) -> None:
        self.history = History(self.keep, asked=self.asked)
        self._judge = Judge(self.binding)

    def rebind(self, binding: Binding, asked: Counters) -> None:
        """Judge by *binding* from now on."""
        self.binding, self.asked = binding, asked
        self.history.asked = asked
        self._judge.rebind(binding)

    def tick(self, tick: Tick) -> None:
        """Take in what a tick brought, decide, and tell."""
        now = tick.at
        if tick.anew:
            self._anew()
        if tick.gone:
            self.history.drop(tick.gone)
        self.see(tick.readings, now)
        said = self.wishes if tick.wishes is None else tick.wishes
        self.wishes = Wishes(
            settle(said.silences, self.alerts.values(), now), settle_acks(said.acks, self.alerts.values())
        )
        if self.alerts or self.receipts or self._reasons:
            self._tell(now)
        else:
            self._send(now)

    def see(self, readings: Iterable[Reading], now: datetime) -> None:
        """Take in *readings* and decide what is wrong at *now*, telling nobody."""
        self.history.add(readings)
        before = self.alerts
        self.alerts = self._judge.judge(self.history, before, now, owed(self.receipts))
        if before or self.alerts:
            self._note(before, now)

    # ---- what fires --------------------------------------------------------------------------------

    def _note(self, before: Mapping[Labels, Alert], now: datetime) -> None:
        for labels, alert in self.alerts.items():
            was = before.get(labels)
            if was is not alert:
                self._follow(was, alert, now)
        for labels in before.keys() - self.alerts.keys():
            firing = self._open.pop(labels, None)
            if firing is not None:
                firing.ended_at = now

    def _follow(self, was: Alert | None, alert: Alert, now: datetime) -> None:
        """Take note of what became of an alert at *now*."""
        firing = self._open.get(alert.labels)
        if alert.state is State.RESOLVED:
            if firing is not None:
                self._see(firing, now)
                firing.ended_at, firing.ended_by = now, alert.ended or alert.ended_by
                del self._open[alert.labels]
            return
        if firing is None:
            firing = self._open[alert.labels] = Firing(alert.labels, alert.active_since)
            self.firings.append(firing)
        if alert.firing and firing.fired_at is None:
            firing.fired_at = alert.fired_at
            firing.cause = cause_of(alert.service, failing(self.alerts), self.policy.needs)
            firing.summary, firing.figures = alert.summary, alert.figures
        if alert.state is State.BLIND:
            firing.blind_since = firing.blind_since or now
        elif was is not None and was.state is State.BLIND:
            self._see(firing, now)

    @staticmethod
    def _see(firing: Firing, now: datetime) -> None:
        firing.blind, firing.blind_since = firing.unseen(now), None

    # ---- who is told -------------------------------------------------------------------------------

    def _tell(self, now: datetime) -> None:
        self._send(now)
        moment = now.timestamp()
        waiting = frozenset((n, mark) for n, lane in self._lanes.items() for mark in lane.beginnings(moment))
        decision = due(self.alerts, self.receipts, self.policy, self.wishes, now, waiting=waiting)
        self.receipts = decision.receipts
        for receiver, mark in decision.withdrawn:
            self._lanes[receiver].withdraw(frozenset((mark,)))
        for message in decision.notifications:
            self._number += 1
            ready = moment + message.wait(now).total_seconds()
            self._lane(message.receiver).put(self._number, message, ready, moment)
        self._note_spared(decision.reasons, now)
        self._send(now)

    def _lane(self, receiver: str) -> Lane:
        return self._lanes.setdefault(receiver, Lane(lambda _, __: None))

    def _note_spared(self, reasons: Mapping[Ticket, Reason], now: datetime) -> None:
        if reasons != self._reasons:
            by_mark = {labels.fingerprint: labels for labels in self.alerts}
            for ticket, reason in reasons.items():
                if reason not in TELLING and self._reasons.get(ticket) is not reason:
                    self.spared.append(Spared(now, ticket[0], by_mark[ticket[1]], reason))
        self._reasons = reasons

    def _send(self, until: datetime | None) -> None:
        """Have everybody take what is ready *until* a moment, each message when it is."""
        limit = float("inf") if until is None else until.timestamp()
        ready = [*self._ready(limit)]
        self.sent += sorted(ready, key=lambda one: (one.at, one.message.receiver, one.message.key))

    def _ready(self, limit: float) -> Iterator[Sent]:
        for lane in self._lanes.values():
            while (ready := lane.next_ready()) is not None and ready <= limit:
                letter = lane.claim(ready)
                assert letter is not None
                lane.settle()
                yield Sent(EPOCH + timedelta(seconds=round(letter.ready, 6)), letter.message)

    def end(self) -> None:
        """Send what still waits for its group."""
        self._send(None)
