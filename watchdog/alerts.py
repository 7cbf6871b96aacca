"""
The life of an alert: pending, firing, blind, resolved; pure functions of what was seen and when.

An inactive alert is simply absent. A *blind* alert fired when it could last be seen and cannot be
seen now: it stays an alert, and no lack of an answer ever resolves it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from watchdog.conditions import (
    TERM,
    Truth,
    all_of,
    any_of,
    compare,
    explain,
    in_words,
    look_up,
    parse_term,
    show_value,
)
from watchdog.errors import ConditionError
from watchdog.history import History
from watchdog.model import NOTHING, AtLeast, Labels, SignalKey, Value
from watchdog.rules import Clause, Option, Rule, Severity, Watch, default_summary, placeholders
from watchdog.units import EARLY

REMEMBER_RESOLVED = timedelta(minutes=15)
"""How long a resolved alert stays visible (Prometheus keeps it as long: ``resolvedRetention``)."""
KEEP_FIRINGS = 10
"""How many beginnings of an alert are remembered, to tell whether it flaps."""
RULE_REMOVED = "rule removed"
RESOLUTION = timedelta(microseconds=1)
"""The least by which two moments differ."""
STEPS_BACK = 12
"""At how many moments of its `for` a condition is checked when it is seen for the first time."""


class State(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    FIRING = "firing"
    BLIND = "blind"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What evaluating a watch brought: the answer, the figure and the words for it.

    Of conditions that do not hold only the *words* of the first that does not are told.
    """

    truth: Truth
    value: float | None = None
    summary: str = ""
    figures: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """
    One thing that is wrong, from the moment it was first true until it is forgotten.

    *fired_at* names the firing: of two firings of one alert the later one has the later moment,
    even if the clock was set back in between. *firings* are the times it began to fire lately, the
    present one included. *before* is the resolved alert that a pending one would replace: if it
    never fires, that one is back. *ended* says why it ended if not because the conditions no longer
    hold, *ended_by* which of them does not, in words. *words* are the *figures* as people say them.
    """

    labels: Labels
    signal: SignalKey
    state: State
    active_since: datetime
    last_true: datetime
    summary: str = ""
    runbook: str = ""
    value: float | None = None
    figures: tuple[str, ...] = ()
    evidence: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    blind_since: datetime | None = None
    firings: tuple[datetime, ...] = ()
    ended: str = ""
    before: Alert | None = None
    words: tuple[str, ...] = ()
    ended_by: str = ""

    @property
    def name(self) -> str:
        """Return the rule's name."""
        return self.labels["alertname"]

    @property
    def service(self) -> str:
        """Return the service it is about."""
        return self.labels["service"]

    @property
    def severity(self) -> Severity:
        """Return how much it matters."""
        return Severity(self.labels["severity"])

    @property
    def firing(self) -> bool:
        """Say whether it fires, seen or blind."""
        return self.state in (State.FIRING, State.BLIND)


Alerts = Mapping[Labels, Alert]


def evaluate(
    watches: Sequence[Watch],
    history: History,
    alerts: Alerts,
    now: datetime,
    owed: Container[str] = frozenset(),
    *,
    remember: timedelta = REMEMBER_RESOLVED,
) -> dict[Labels, Alert]:
    """
    Return what *alerts* become once every watch has been evaluated at *now*.

    What is no longer watched ends. A resolved alert is forgotten once it is older than *remember*,
    but not while its fingerprint is among those whose end is still *owed* to somebody.
    """
    after: dict[Labels, Alert] = {}
    for watch in watches:
        before = alerts.get(watch.labels)
        alert = advance(before, find(watch, history, now), watch, now)
        if alert is not None:
            after[watch.labels] = alert
    watched = {watch.labels for watch in watches}
    for labels, alert in alerts.items():
        if labels not in watched and (ended := end_unwatched(alert, now)) is not None:
            after[labels] = ended
    return {labels: alert for labels, alert in after.items() if not forgettable(alert, now, owed, remember)}


def forgettable(alert: Alert, now: datetime, owed: Container[str], remember: timedelta) -> bool:
    """Say whether *alert* ended longer than *remember* ago and nobody is still *owed* its end."""
    if alert.resolved_at is None or now - alert.resolved_at <= remember:
        return False
    return alert.labels.fingerprint not in owed


def advance(alert: Alert | None, finding: Finding, watch: Watch, now: datetime) -> Alert | None:
    """
    Return what *alert* becomes once its rule gave *finding* at *now*.

    A resolved alert stays for a while, so that it can be shown and its end be told.
    """
    rule = watch.rule
    if finding.truth is Truth.UNKNOWN:
        return _unseen(alert, now)
    if finding.truth is Truth.FALSE:
        return _untrue(alert, finding, rule, now)
    if alert is None or alert.state is State.RESOLVED:
        since = min(now, finding.held_since or now)
        alert = Alert(watch.labels, watch.lead, State.PENDING, since, now, before=alert)
    elif alert.state is State.PENDING and alert.active_since > now:
        alert = replace(alert, active_since=now)  # the clock was set back: `for` begins anew
    alert = replace(
        alert,
        last_true=now,
        value=finding.value,
        summary=finding.summary,
        runbook=rule.runbook,
        figures=finding.figures,
        words=finding.words,
        evidence=finding.evidence,
        blind_since=None,
    )
    if alert.state is State.BLIND:
        return replace(alert, state=State.FIRING)
    if alert.state is State.PENDING and now - alert.active_since >= rule.for_ - EARLY:
        return _begin(alert, now)
    return alert


def _begin(alert: Alert, now: datetime) -> Alert:
    fired_at, earlier = now, tuple[datetime, ...]()
    if alert.before is not None:
        last = alert.before.fired_at
        fired_at = now if last is None else max(now, last + RESOLUTION)
        earlier = tuple(moment for moment in alert.before.firings if moment <= now)
    firings = (*earlier[1 - KEEP_FIRINGS :], now)
    return replace(alert, state=State.FIRING, fired_at=fired_at, firings=firings, before=None)


def _unseen(alert: Alert | None, now: datetime) -> Alert | None:
    if alert is not None and alert.state is State.FIRING:
        return replace(alert, state=State.BLIND, blind_since=now)
    return alert


def _untrue(alert: Alert | None, finding: Finding, rule: Rule, now: datetime) -> Alert | None:
    if alert is None or alert.state is State.RESOLVED:
        return alert
    if alert.state is State.PENDING:
        return alert.before  # it never fired, so nobody has to hear of it
    if abs(now - alert.last_true) < rule.keep_firing_for:
        return replace(alert, state=State.FIRING, blind_since=None)
    return replace(_end(alert, now), ended_by="".join(finding.words))


def end_unwatched(alert: Alert, now: datetime, why: str = RULE_REMOVED) -> Alert | None:
    """Return what *alert* becomes once no rule looks at it any more, and *why*."""
    if alert.state is State.PENDING:
        return alert.before
    return alert if alert.state is State.RESOLVED else _end(alert, now, why)


def _end(alert: Alert, now: datetime, why: str = "") -> Alert:
    return replace(alert, state=State.RESOLVED, resolved_at=now, blind_since=None, ended=why)


@dataclass(frozen=True, slots=True)
class Flapping:
    """
    An alert flaps once it began *times* times *within* a while, until nothing changed for *steady*.

    What has once been steady flaps no longer, whatever its end: that takes a new beginning.
    """

    times: int
    within: timedelta
    steady: timedelta

    def holds(self, alert: Alert, now: datetime) -> bool:
        """Say whether *alert* flaps at *now*."""
        if len(alert.firings) < self.times:
            return False
        last = alert.firings[-1]
        if last - alert.firings[-self.times] > self.within:
            return False
        ended = alert.resolved_at
        if ended is not None and ended - last >= self.steady:
            return False
        return abs(now - (ended or last)) < self.steady


# ---- finding -----------------------------------------------------------------------------------


def find(watch: Watch, history: History, now: datetime) -> Finding:
    """Evaluate *watch* at *now* and return the answer with its figures and evidence."""
    answers: list[_Answer] = []
    for clause in watch.clauses:
        answers.append(_answer(clause, watch.lead, history, now))
        if answers[-1].truth is Truth.FALSE:  # nothing else can change it
            return Finding(Truth.FALSE, words=(answers[-1].words,))
    truth = all_of(answer.truth for answer in answers)
    if truth is not Truth.TRUE:
        return Finding(truth)
    latest = history.latest[watch.lead]
    evidence = dict(latest.evidence)
    if latest.trouble is not None:
        evidence["trouble"] = latest.trouble
    elif unknown := [name for name, found in latest.values.items() if found is None]:
        evidence.setdefault("unknown", unknown)
    return Finding(
        truth,
        value=next((a.number for a in answers if a.number is not None), None),
        summary=render(watch, history, now),
        figures=tuple(explain(answer.option.condition, answer.found) for answer in answers),
        words=tuple(answer.words for answer in answers),
        evidence=evidence,
        held_since=_held_since(watch, history, now),
    )


class _Answer(NamedTuple):
    truth: Truth
    found: Value
    option: Option

    @property
    def words(self) -> str:
        return in_words(self.option.condition, self.found, self.option.measure.help)

    @property
    def number(self) -> float | None:
        if isinstance(self.found, AtLeast):
            return self.found.number
        return None if isinstance(self.found, str) else self.found


def _answer(clause: Clause, lead: SignalKey, history: History, at: datetime) -> _Answer:
    """Ask all options of the clause; the one that decides it speaks for it."""
    answers = []
    for option in clause:
        signal = option.signal or lead
        found = look_up(option.condition.term, signal, option.measure, history, at)
        applies = found is not None or _applicable(option, signal, history)
        truth = compare(option.condition, found) if applies else Truth.FALSE
        answers.append(_Answer(truth, found, option))
        if truth is Truth.TRUE:
            return answers[-1]
    truth = any_of(answer.truth for answer in answers)
    return next(answer for answer in answers if answer.truth is truth)


def _applicable(option: Option, signal: SignalKey, history: History) -> bool:
    """Say whether a measure without a value is unknown; if not, a good look found it not to apply."""
    name = option.condition.term.measure
    latest = history.latest.get(signal)
    if option.measure.windowed or name == "known" or latest is None or latest.trouble or latest.down:
        return True
    return name in latest.values


def _held_since(watch: Watch, history: History, now: datetime) -> datetime | None:
    """
    Return since when the conditions demonstrably hold, or None if only from now on.

    Asked only when the leading signal is seen for the first time: from then on the alert's own
    state remembers. Ages tell it by themselves; counters are asked for the time of `for`, as far
    as the source kept their history.
    """
    if not history.new(watch.lead):
        return None
    wait = watch.rule.for_
    by_age: list[datetime] = []
    by_count: list[datetime] = []
    for clause in watch.clauses:
        answer = _answer(clause, watch.lead, history, now)
        condition, measure = answer.option.condition, answer.option.measure
        if measure.grows and answer.number is not None and condition.op in (">", ">="):
            assert isinstance(condition.operand, float)
            by_age.append(now - timedelta(seconds=answer.number - condition.operand))
        elif measure.windowed:
            by_count.append(_counted_since(clause, watch.lead, history, now, wait))
        else:
            return None
    long_enough = all(held <= now - wait for held in by_count)
    return max(by_age) if by_age and long_enough else max(by_age + by_count)


def _counted_since(
    clause: Clause, lead: SignalKey, history: History, now: datetime, wait: timedelta
) -> datetime:
    """Return since when *clause* held at each of a few moments, at most *wait* ago."""
    held = now
    for step in range(1, STEPS_BACK + 1):
        moment = now - wait * step / STEPS_BACK
        if _answer(clause, lead, history, moment).truth is not Truth.TRUE:
            break
        held = moment
    return held


# ---- words -------------------------------------------------------------------------------------


def render(watch: Watch, history: History, now: datetime) -> str:
    """Return the rule's summary with labels and figures filled in; what cannot be told is "unknown"."""
    text = watch.rule.summary or default_summary(watch.rule)
    for name in placeholders(text):
        text = text.replace("{" + name + "}", _fill(name, watch, history, now))
    return text


def _fill(name: str, watch: Watch, history: History, now: datetime) -> str:
    if name in watch.labels:
        return watch.labels[name]
    asked = TERM.fullmatch(name)
    if asked is None:
        return ""
    signal = asked["signal"]
    for offer in watch.offers.get(signal, ()):
        if signal == watch.lead.kind and offer.key != watch.lead:
            continue
        try:
            term, found = parse_term(signal, asked["measure"], asked["window"], {signal: offer.measures})
        except ConditionError:
            continue
        shown = look_up(term, offer.key, found, history, now)
        return show_value(shown, found.unit)
    return "unknown"


def failing(alerts: Alerts) -> frozenset[str]:
    """Return the services that have a critical alert, pending ones included."""
    return frozenset(
        alert.service
        for alert in alerts.values()
        if alert.severity is Severity.CRITICAL and alert.state is not State.RESOLVED
    )
