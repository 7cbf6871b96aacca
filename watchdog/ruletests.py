"""
Rule tests: drawn timelines go through history and judge, and what the rules make of them is compared.

A counter is drawn as its running total, as Prometheus would have scraped it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchdog.alerts import State, failing
from watchdog.cast import Cast
from watchdog.conditions import find_measure
from watchdog.drawn import Mark
from watchdog.model import Counted, Held, Reading, Series, SignalKey
from watchdog.notifications import Notice
from watchdog.replaying import Replay
from watchdog.rulebook import CATALOGUE
from watchdog.rulesheet import Case, ExpectedModel, Line, QuestionModel
from watchdog.telling import notices_of
from watchdog.units import EPOCH, plain, write_duration

START = EPOCH
"""When every timeline begins, as in promtool."""
DRAWN = "no answer (drawn as _)"


# ---- running -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question: what was expected, what was found, and whether that is the same."""

    title: str
    place: tuple[int, int]
    question: QuestionModel
    got: Sequence[Notice]
    passed: bool
    undrawn: Sequence[str] = ()


@dataclass(slots=True)
class Timeline:
    """The lines of one signal, and what was last counted in them."""

    key: SignalKey
    lines: list[Line] = field(default_factory=list)
    totals: dict[Series, float] = field(default_factory=dict)

    def reading(self, i: int, at: datetime, covered: datetime) -> Reading | None:
        """Return what is drawn at the step *i*, None if nothing is any more."""
        if all(i >= len(line.points) for line in self.lines):
            return None
        points = [(line, line.points[min(i, len(line.points) - 1)]) for line in self.lines if line.points]
        if all(point is Mark.NO_ANSWER for _, point in points):
            return Reading(self.key, at, trouble=DRAWN)
        values: dict[str, Held] = {}
        counts: dict[Series, Counted] = {}
        gaps: dict[str, None] = {}
        for line, point in points:
            if line.counter is None:
                if point is not Mark.STALE:
                    values[line.name] = None if isinstance(point, Mark) else point
            elif isinstance(point, float):
                counts[line.counter] = Counted(covered, self._gained(line.counter, point, at))
            else:
                counts[line.counter] = Counted(covered)
                gaps[line.name] = None
        return Reading(self.key, at, values, counts, gaps=tuple(gaps))

    def _gained(self, series: Series, total: float, at: datetime) -> tuple[tuple[datetime, float], ...]:
        """Return the step to *total*; a total that fell began anew from 0."""
        before = self.totals.get(series)
        self.totals[series] = total
        if before is None:
            return ()
        gained = total - before if total >= before else total
        return ((at, gained),) if gained else ()


def run_test(test: Case, cast: Cast, every: timedelta) -> Iterator[Answer]:
    """Yield what came of each question of *test*, in the order of the file, judging *every* so often."""
    replay = Replay(cast.config.policy, cast.binding, cast.config.keep, cast.asked)
    timelines: dict[SignalKey, Timeline] = {}
    for line in test.lines:
        timelines.setdefault(line.key, Timeline(line.key)).lines.append(line)
    interval, covered = test.model.interval or every, START - test.model.since
    # A timeline is no beginning of a process: what an age says of the time before it counts for no `for`.
    replay.history.add(Reading(key, START) for key in timelines)
    asked = sorted({question.eval_time for question in test.model.alert_rule_test})
    notices: dict[timedelta, list[Notice]] = {}
    drawn, moment = 0, timedelta(0)
    for eval_time in asked:
        while moment <= eval_time:
            readings: list[Reading] = []
            while drawn * interval <= moment:
                at = START + drawn * interval
                found = (timeline.reading(drawn, at, covered) for timeline in timelines.values())
                readings += (reading for reading in found if reading is not None)
                drawn += 1
            replay.see(readings, START + moment)
            moment += every
        alerts = replay.alerts
        notices[eval_time] = notices_of(alerts.values(), failing(alerts), cast.config.policy.needs)
    for place, question in zip(test.places, test.model.alert_rule_test, strict=True):
        got = [n for n in notices[question.eval_time] if n.alert.name == question.alertname]
        passed = _as_expected(question.exp_alerts, got)
        undrawn = () if passed else _undrawn(question.alertname, test.lines, cast)
        yield Answer(test.title, place, question, got, passed, undrawn)


def _as_expected(expected: Iterable[ExpectedModel], got: Iterable[Notice]) -> bool:
    """Say whether each expected alert is there, and no other one fires."""
    rest = list(got)
    for one in expected:
        found = next((notice for notice in rest if _fits(one, notice)), None)
        if found is None:
            return False
        rest.remove(found)
    return not any(notice.alert.firing for notice in rest)


def _fits(expected: ExpectedModel, notice: Notice) -> bool:
    alert = notice.alert
    told = {"summary": alert.summary, "runbook": alert.runbook, "runbook_url": alert.runbook}
    return (
        alert.state is expected.state
        and all(alert.labels.get(name) == text for name, text in expected.exp_labels.items())
        and all(told.get(name) == text for name, text in expected.exp_annotations.items())
        and expected.cause in (None, notice.cause)
    )


def _undrawn(alertname: str, lines: Iterable[Line], cast: Cast) -> list[str]:
    """Return what the rule asks for and nobody has drawn."""
    drawn = {(line.key.kind, line.name) for line in lines}
    wanted: dict[str, None] = {}
    for rule in cast.config.binder.rules:
        for condition in rule.conditions if rule.alert == alertname else ():
            kind, name = condition.term.signal, condition.term.measure
            measure = find_measure(name, CATALOGUE[kind])
            for part in measure.parts if measure and measure.parts else (name,):
                if (kind, part) not in drawn and name != "known":
                    wanted[f"{kind}.{part}"] = None
    return list(wanted)


def shown(answer: Answer, path: str) -> str:
    """Return a failure as people read it: where, what was expected, what was found."""
    line, column = answer.place
    question = answer.question
    when = write_duration(question.eval_time)
    lines = [f"    {path}:{line}:{column}: {answer.title}: alertname {question.alertname}, time {when}:"]
    lines.append("        exp: " + (", ".join(map(_wanted, question.exp_alerts)) or "no alert"))
    lines.append("        got: " + (", ".join(map(_found, answer.got)) or "no alert"))
    if answer.undrawn:
        lines.append(f"        not drawn, though the rule asks for it: {', '.join(answer.undrawn)}")
    return "\n".join(lines)


def _wanted(expected: ExpectedModel) -> str:
    more = {**expected.exp_annotations, **({"cause": expected.cause} if expected.cause else {})}
    return _told(expected.state, expected.exp_labels, more)


def _found(notice: Notice) -> str:
    alert = notice.alert
    labels = {name: text for name, text in alert.labels.pairs() if name != "alertname"}
    more = {"summary": alert.summary, **({"cause": notice.cause} if notice.cause else {})}
    return _told(alert.state, labels, more)


def _told(state: State, labels: Mapping[str, str], more: Mapping[str, str]) -> str:
    told = ", ".join(f'{name}="{plain(text)}"' for name, text in labels.items())
    rest = "".join(f" {name}: {text!r}" for name, text in more.items())
    return f"{state} {{{told}}}{rest}"
