"""
Judging only what can have changed: the same alerts as `watchdog.alerts.evaluate`, at a cost that
grows with what happens and not with what is watched.

A rule that does not hold can only begin to hold when something new is seen of a signal it asks, or
when time alone makes it true: an age passes its threshold, a step leaves a window. The first is
known (`History.fresh`), the second can be told in advance (`flips`). What has an alert is judged always.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchdog.agenda import NEVER, Agenda
from watchdog.alerts import REMEMBER_RESOLVED, Alert, advance, end_unwatched, find, forgettable
from watchdog.conditions import KNOWN, Condition, Term, Truth, compare, look_up
from watchdog.history import History
from watchdog.model import Kind, Labels, Measure, SignalKey, Since, Value
from watchdog.rules import Binding, Guard, Option, Watch

NOW = 0.0
"""The flip of a condition that time may make true at any moment."""
MOST_HARMLESS = 1_000
"""So many sets of figures are kept that are known to harm nobody."""


class Judge:
    """Holds what was found out about when to look at which rule again."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._agenda = Agenda()
        self._watches: dict[Labels, Watch] = {}
        self._asked: dict[int, tuple[tuple[Guard, ...], Questions]] = {}
        self._furthest = NOW
        self._behind = False

    def rebind(self, binding: Binding) -> None:
        """Judge by *binding* from now on: at once where it changed, and nothing that is not in it."""
        before, self._binding = self._binding, binding
        self._watches = {}
        self._asked = {}
        for lead, guards in binding.guards.items():
            if before.guards.get(lead, guards) is not guards:
                self._agenda.put(lead, NOW)

    def judge(
        self,
        history: History,
        alerts: Mapping[Labels, Alert],
        now: datetime,
        owed: Container[str] = frozenset(),
        *,
        remember: timedelta = REMEMBER_RESOLVED,
    ) -> dict[Labels, Alert]:
        """Return what *alerts* become at *now*; see `watchdog.alerts.evaluate`."""
        moment = now.timestamp()
        leads = self._leads(history, moment)
        after: dict[Labels, Alert] = {}
        for labels, alert in alerts.items():
            became = self._go_on(alert, history, now)
            if became is not None and not forgettable(became, now, owed, remember):
                after[labels] = became
            else:
                self._watches.pop(labels, None)
                self._agenda.put(alert.signal, NOW)
        for lead in leads:
            self._judge(lead, history, alerts, after, now)
        return after

    def _leads(self, history: History, moment: float) -> Iterable[SignalKey]:
        """Return the signals whose rules may have begun to hold, each once, in a stable order."""
        guards = self._binding.guards
        due = self._agenda.due(moment)
        # The clock was set back: no appointment holds, and what was counted then may yet come into a window.
        behind, was_behind = moment < self._furthest, self._behind
        self._furthest, self._behind = max(moment, self._furthest), behind
        if behind or was_behind:
            return [key for key in guards if key in history.latest]
        found: dict[SignalKey, None] = {}
        for key in (*history.fresh, *due):
            if key in guards:
                found[key] = None
            for asker in self._binding.askers.get(key, ()):
                found[asker] = None
        return found

    def _go_on(self, alert: Alert, history: History, now: datetime) -> Alert | None:
        watch = self._watches.get(alert.labels)
        if watch is None:
            watch = self._binding.find(alert.labels, alert.signal)
            if watch is None:
                return end_unwatched(alert, now, self._binding.why_unwatched(alert.labels, alert.signal))
            self._watches[alert.labels] = watch
        return advance(alert, find(watch, history, now), watch, now)

    def _judge(
        self,
        lead: SignalKey,
        history: History,
        alerts: Mapping[Labels, Alert],
        after: dict[Labels, Alert],
        now: datetime,
    ) -> None:
        """Judge the rules on *lead* that have no alert, and note when the first of them may hold."""
        questions = self._questions(self._binding.guards[lead])
        found = _Found(lead, history, now)
        figures = found.standing(questions.queries)
        if figures in questions.harmless:
            self._agenda.put(lead, NEVER)
            return
        again, holds = NEVER, False
        for guard, clauses in questions.guards:
            flip = flips(clauses, found)
            if flip is not None:
                again = min(again, flip)
                continue
            holds = True
            watch = self._binding.watch(guard, lead)
            if watch.labels in alerts:
                continue
            alert = advance(None, find(watch, history, now), watch, now)
            if alert is not None:
                after[watch.labels] = alert
                self._watches[watch.labels] = watch
        self._agenda.put(lead, again)
        if figures is not None and not holds and again == NEVER and len(questions.harmless) < MOST_HARMLESS:
            questions.harmless.add(figures)

    def _questions(self, guards: tuple[Guard, ...]) -> Questions:
        """Return *guards* with their questions; thousands of signals have the very same."""
        kept = self._asked.get(id(guards))
        if kept is None or kept[0] is not guards:
            kept = self._asked[id(guards)] = guards, questions_of(guards)
        return kept[1]


@dataclass(frozen=True, slots=True)
class Query:
    """A figure that some condition asks for; *place* tells it from the others that are asked with it."""

    place: int
    term: Term
    signal: SignalKey | None
    measure: Measure
    name: str
    windowed: bool
    knowledge: bool
    """Whether it asks only if the signal is known."""
    falls: bool
    """Whether time alone makes no condition on it true: without a step, an increase only falls."""


Ask = tuple[Query, Condition]
Figures = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Questions:
    """
    What some guards ask for: each figure once, and what every clause makes of them.

    *harmless* are figures with which none of them holds, nor will before they change. Most of what
    is judged is as well as most others, so most often that is all there is to find out.
    """

    queries: Sequence[Query]
    guards: Sequence[tuple[Guard, Sequence[Sequence[Ask]]]]
    harmless: set[Figures | None] = field(default_factory=set)


def questions_of(guards: Iterable[Guard]) -> Questions:
    """Return what *guards* ask for; what several ask for is one query."""
    guards = tuple(guards)
    options = [option for guard in guards for clause in guard.clauses for option in clause]
    rising = {(o.condition.term, o.signal) for o in options if o.condition.op not in (">", ">=")}
    queries: dict[tuple[Term, SignalKey | None], Query] = {}
    for option in options:
        place = term, signal = option.condition.term, option.signal
        measure, known = option.measure, term.measure == KNOWN
        falls = measure.kind is Kind.COUNTER and place not in rising
        if place not in queries:
            queries[place] = Query(
                len(queries), term, signal, measure, term.measure, measure.windowed, known, falls
            )

    def ask(option: Option) -> Ask:
        return queries[option.condition.term, option.signal], option.condition

    asked = tuple((guard, tuple(tuple(map(ask, clause)) for clause in guard.clauses)) for guard in guards)
    return Questions(tuple(queries.values()), asked)


class _Found:
    """What was found out of the signal that is judged, each figure once."""

    __slots__ = ("_figures", "history", "lead", "now", "reading")

    def __init__(self, lead: SignalKey, history: History, now: datetime) -> None:
        self.lead = lead
        self.history = history
        self.now = now
        self.reading = history.latest.get(lead)
        self._figures: dict[int, tuple[Value, float | Since]] = {}

    def standing(self, queries: Iterable[Query]) -> Figures | None:
        """Return all figures, None if any of them may become harmful by time alone."""
        figures = []
        for query in queries:
            value, changes = self.figure(query)
            if changes != NEVER and not query.falls:
                return None
            figures.append(value)
        return tuple(figures)

    def figure(self, query: Query) -> tuple[Value, float | Since]:
        """Return the figure, and what of it changes with time alone: `NEVER` if nothing does."""
        found = self._figures.get(query.place)
        if found is None:
            found = self._figures[query.place] = self._look_up(query)
        return found

    def _look_up(self, query: Query) -> tuple[Value, float | Since]:
        """Look the figure up as `watchdog.conditions.look_up` does, in fewer steps where they are many."""
        signal = query.signal or self.lead
        reading = self.reading if query.signal is None else self.history.latest.get(signal)
        if query.knowledge:
            known = self.history.known(signal)
            return (None if known is None else float(known)), NEVER
        if reading is None or reading.trouble is not None or reading.down is not None:
            return None, NEVER
        if query.windowed:
            return look_up(query.term, signal, query.measure, self.history, self.now), NOW
        held = None if query.name in reading.gaps else reading.values.get(query.name)
        if isinstance(held, Since):
            return held.at(self.history.seen_until(signal, self.now)), held
        return held, NEVER


def flips(clauses: Sequence[Sequence[Ask]], found: _Found) -> float | None:
    """
    Return from when on all *clauses* may hold although nothing new is seen; None if they hold now.

    All must hold, so the last of those that do not decides.
    """
    last: float | None = None
    for clause in clauses:
        first = NEVER
        for query, condition in clause:
            value, changes = found.figure(query)
            if compare(condition, value) is Truth.TRUE:
                break
            if changes != NEVER:
                first = min(first, _flips(query, condition, changes, found))
        else:
            if first == NEVER:
                return NEVER
            last = first if last is None else max(last, first)
    return last


def _flips(query: Query, condition: Condition, changes: float | Since, found: _Found) -> float:
    """Return from when on a *condition* that does not hold may hold by time alone."""
    op, operand = condition.op, condition.operand
    if isinstance(changes, Since):
        if isinstance(operand, tuple) or op in ("<", "<="):
            return NEVER  # what grows does not fall below anything
        return changes.reaches(operand)
    window = query.term.window
    if window is None or query.measure.parts:
        return NOW
    if op in (">", ">="):
        return NEVER  # without a new step the increase over a window only falls
    signal, name = query.signal or found.lead, query.term.measure
    since, last = found.history.since(signal, name), found.history.last_step(signal, name)
    if op == "==" and operand == 0 and since is not None:
        return max(since, last or since) + window.total_seconds()
    return NOW
