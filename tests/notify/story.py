"""
A story told tick by tick: what is true, what people say, and what each receiver is sent of it.

Everything in it is the product's own, from the rules to the lanes; only the world, the clock and the
receivers are played. An alert is a letter, so that a whole outage is one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from tests.drawn import T0, minutes
from watchdog.alerts import Alert, Flapping, State, evaluate
from watchdog.conditions import parse_condition
from watchdog.history import History
from watchdog.lane import Lane
from watchdog.model import Labels, Reading, SignalKey
from watchdog.muting import Ack, Maintenance, Silence, parse_matcher, settle, settle_acks
from watchdog.notifications import Notice, Notification, Reason
from watchdog.records import (
    read_alert,
    read_notification,
    read_receipt,
    write_alert,
    write_notification,
    write_receipt,
)
from watchdog.routing import Habit, Policy, Route
from watchdog.rulebook import CATALOGUE
from watchdog.rules import ZERO, Offer, Rule, Severity, Watch, bind
from watchdog.telling import Decision, Receipts, Wishes, due, owed

SIGNS = {
    Reason.FIRST: "+",
    Reason.RESOLVED: "-",
    Reason.REPEAT: "~",
    Reason.ESCALATED: "^",
    Reason.ACKNOWLEDGED: "!",
    Reason.FLAPPING: "%",
    Reason.STEADY: "=",
}
WHEN = ((parse_condition("flag.set == 1", CATALOGUE),),)
A_MINUTE = minutes(1)
EVERYBODY = (Route(("ops",)),)
NOBODY_SPECIAL = {"ops": Habit()}


def needs_of(drawn: str) -> dict[str, tuple[str, ...]]:
    """Return the graph drawn as ``a<b,c``: a needs b and c."""
    pairs = (edge.partition("<") for edge in drawn.split())
    return {service: tuple(needed.split(",")) if needed else () for service, _, needed in pairs}


def drawn(notices: Iterable[Notice]) -> str:
    """Return ``+A-B±C+!D(E)``: A begins, B ended, C began and ended, D began and is acknowledged, E goes on."""
    return "".join(map(_drawn, notices))


def _drawn(notice: Notice) -> str:
    if notice.reason is None:
        return f"({notice.alert.name})"
    if notice.unannounced:
        return ("±" if notice.resolved else "+!") + notice.alert.name
    return SIGNS[notice.reason] + notice.alert.name


class Story:
    """
    Plays the whole sidecar but its I/O.

    *cast* names the alerts and what they are about, ``A@apply`` or ``B@apply:warning``, with more
    labels as ``R@watchdog:warning:receiver=ops``.
    """

    def __init__(
        self,
        cast: str = "A@a",
        *,
        needs: str = "",
        routes: tuple[Route, ...] = EVERYBODY,
        habits: Mapping[str, Habit] = NOBODY_SPECIAL,
        flapping: Flapping | None = None,
        maintenance: tuple[Maintenance, ...] = (),
        for_: timedelta = ZERO,
        keep_firing_for: timedelta = ZERO,
        step: timedelta = A_MINUTE,
    ) -> None:
        self.policy = Policy(routes, needs_of(needs), habits, flapping, maintenance)
        self.step = step
        self.offset = ZERO  # by how much the clock is wrong
        self.elapsed = 0.0  # seconds since T0, whatever the clock says
        self.watches = {name: watch for watch in map(_cast, cast.split()) for name in [watch.rule.alert]}
        for name, watch in self.watches.items():
            rule = replace(watch.rule, for_=for_, keep_firing_for=keep_firing_for)
            self.watches[name] = replace(watch, rule=rule)
        self.history = History(minutes(60))
        self.alerts: Mapping[Labels, Alert] = {}
        self.receipts: Receipts = {}
        self.wishes = Wishes()
        self.firings: dict[str, list[datetime]] = {}  # by fingerprint, in the order in which they began
        self.ticks = 0
        self.decisions: list[Decision] = []
        self.kept: dict[int, Notification] = {}  # the letters in the state file
        self.disk: tuple[dict[int, Notification], Mapping[Labels, Alert], Receipts] = ({}, {}, {})
        self.number = 0
        self.lanes = {name: Lane(self.keep) for name in habits}
        self.down: set[str] = set()  # receivers that take nothing
        self.taken: dict[str, list[Notification]] = {name: [] for name in habits}
        self.sent_at: dict[str, list[int]] = {name: [] for name in habits}

    @property
    def now(self) -> datetime:
        """Return what the clock says."""
        return T0 + timedelta(seconds=self.elapsed) + self.offset

    def fingerprint(self, name: str) -> str:
        """Return the fingerprint of alert *name*."""
        return self.watches[name].labels.fingerprint

    def alert(self, name: str) -> Alert:
        """Return alert *name* as it is."""
        return self.alerts[self.watches[name].labels]

    # ---- one tick ------------------------------------------------------------------------------

    def tell(self, truths: str, said: str = "") -> Story:
        """Play tick after tick; *said* has what people say before each, ``.`` for nothing."""
        words = said.split() or ["."] * len(truths.split())
        for true, word in zip(truths.split(), words, strict=True):
            if word != ".":
                self.say(word)
            self.tick(true)
        return self

    def tick(self, true: str) -> Decision:
        """
        Play one tick and deliver what is ready; then time goes on.

        In *true* a capital says that this is true, a small letter that nobody can see whether.
        """
        self.ticks += 1
        self.deliver()
        decision = self.decide(true)
        self.deliver()
        self.elapsed += self.step.total_seconds()
        return decision

    def decide(self, true: str) -> Decision:
        """Look, judge, decide, queue and keep, as `Sidecar.tick` does."""
        now = self.now
        readings = [
            Reading(
                watch.lead,
                now,
                {"set": float(name in true)},
                trouble="no answer" if name.lower() in true else None,
            )
            for name, watch in self.watches.items()
        ]
        watches = list(self.watches.values())
        self.alerts = evaluate(watches, self.history.add(readings), self.alerts, now, owed(self.receipts))
        self.wishes = Wishes(
            settle(self.wishes.silences, self.alerts.values(), now),
            settle_acks(self.wishes.acks, self.alerts.values()),
        )
        waiting = {
            (name, mark) for name, lane in self.lanes.items() for mark in lane.beginnings(self.elapsed)
        }
        decision = due(self.alerts, self.receipts, self.policy, self.wishes, now, waiting=waiting)
        self.receipts = decision.receipts
        for receiver, mark in decision.withdrawn:
            self.lanes[receiver].withdraw(frozenset({mark}))
        for message in decision.notifications:
            self.number += 1
            ready = self.elapsed + message.wait(now).total_seconds()
            self.lanes[message.receiver].put(self.number, message, ready, self.elapsed)
        self.commit()
        self.decisions.append(decision)
        for alert in self.alerts.values():
            known = self.firings.setdefault(alert.labels.fingerprint, [])
            if alert.fired_at is not None and alert.fired_at not in known:
                known.append(alert.fired_at)
        return decision

    def say(self, word: str) -> None:
        """Have somebody say *word*: a silence or an acknowledgement for all alerts, or what becomes of a rule."""
        now, verb, _, name = self.now, *word.partition(":")
        silences = dict(self.wishes.silences)
        if verb == "silence":
            silences["s"] = self.silence(name or "alertname=~.+")
        elif verb == "until_resolved":
            silences["s"] = replace(self.silence("alertname=~.+"), until_resolved=True)
        elif verb == "lift":
            silences["s"] = replace(silences["s"], ends_at=now)
        elif verb == "ack":
            acks = {a.labels.fingerprint: _ack(a, now) for a in self.alerts.values() if a.firing}
            self.wishes = replace(self.wishes, acks=acks)
        elif verb == "remove":
            del self.watches[name]
        elif verb == "clock":
            self.offset += minutes(float(name))
        elif verb == "crash":
            self.crash()
        else:
            raise ValueError(word)
        self.wishes = replace(self.wishes, silences=silences)

    def silence(self, *matchers: str, length: timedelta = timedelta(days=30)) -> Silence:
        """Return a silence that begins now."""
        meant = tuple(map(parse_matcher, matchers))
        return Silence("s", meant, self.now, self.now + length, "ada", "known")

    # ---- delivery ------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Send everything that is ready to those that take anything."""
        for receiver in self.lanes:
            while receiver not in self.down and self.claim(receiver):
                self.arrive(receiver)
                self.settle(receiver)

    def claim(self, receiver: str) -> bool:
        """Claim the next letter and say whether there is one."""
        letter = self.lanes[receiver].claim(self.elapsed)
        self.commit()
        return letter is not None

    def arrive(self, receiver: str) -> None:
        """Have *receiver* take the claimed letter; the sidecar does not know it yet."""
        letter = self.lanes[receiver].claimed
        assert letter is not None
        self.taken[receiver].append(letter.message)
        self.sent_at[receiver].append(self.ticks)

    def settle(self, receiver: str) -> None:
        """Have the sidecar know that the claimed letter was taken."""
        self.lanes[receiver].settle()
        self.commit()

    # ---- the state file ------------------------------------------------------------------------

    def keep(self, number: int, message: Notification | None) -> None:
        """Stage a letter, or that it is gone."""
        if message is None:
            self.kept.pop(number, None)
        else:
            self.kept[number] = message

    def commit(self) -> None:
        """Write all that is staged."""
        self.disk = (dict(self.kept), self.alerts, self.receipts)

    def crash(self) -> None:
        """Start anew with what is in the file, as JSON has it."""
        letters, alerts, receipts = self.disk
        self.kept = {n: read_notification(_json(write_notification(m))) for n, m in letters.items()}
        found = [read_alert(_json(write_alert(alert))) for alert in alerts.values()]
        self.alerts = {
            a.labels: replace(a, last_true=self.now) if a.state is State.FIRING else a for a in found
        }
        self.receipts = {ticket: read_receipt(_json(write_receipt(r))) for ticket, r in receipts.items()}
        self.history = History(minutes(60))
        self.lanes = {name: Lane(self.keep) for name in self.lanes}
        for name, lane in self.lanes.items():
            mine = [(n, message) for n, message in self.kept.items() if message.receiver == name]
            lane.recall(mine, self.elapsed, self.now)

    # ---- pictures ------------------------------------------------------------------------------

    def sent(self, receiver: str = "ops", *, goes_on: bool = False) -> str:
        """Return what *receiver* took, tick by tick."""
        ticks: list[list[str]] = [[] for _ in range(self.ticks + 1)]
        for at, message in zip(self.sent_at[receiver], self.taken[receiver], strict=True):
            ticks[at].append(drawn(n for n in message.notices if goes_on or n.reason))
        return " ".join("/".join(messages) or "." for messages in ticks[1:])

    def why(self, name: str, receiver: str = "ops") -> str:
        """Return for what reason *receiver* was told of alert *name* or spared it, tick by tick."""
        ticket = (receiver, self.fingerprint(name))
        return " ".join(str(decision.reasons.get(ticket, ".")) for decision in self.decisions)


def _json(record: dict[str, object]) -> dict[str, object]:
    again: dict[str, object] = json.loads(json.dumps(record))
    return again


def _cast(word: str) -> Watch:
    name, _, rest = word.partition("@")
    service, *more = rest.split(":")
    severity = more[0] if more else "critical"
    labels = Labels(dict(item.split("=") for item in more[1:]))
    key = SignalKey(service, "flag", Labels(labels, key=name))
    rule = Rule(name, WHEN, Severity(severity))
    (watch,) = bind([rule], [Offer(key, CATALOGUE["flag"])], [service], {}).watches
    return watch


def _ack(alert: Alert, now: datetime) -> Ack:
    assert alert.fired_at is not None
    return Ack(alert.labels.fingerprint, alert.fired_at, now, "ada")
