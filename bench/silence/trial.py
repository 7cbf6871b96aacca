"""One life of a pipeline, judged by the real rules: false alerts, and deaths at random moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from bench.silence.kinds import BEGIN, DAY, HOUR, MINUTE, Kind, healthy
from watchdog.alerts import Alert
from watchdog.config import Config, parse
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.model import Counted, Held, Labels, Reading, Since
from watchdog.rhythm import Rhythm

RULES = """
services:
  trader:
    executions: {stream: results, success: {status: filled}, input: offers}
    stream: {key: results}
rules:
  - {alert: FixedHour, when: [executions.age > 1h, "executions.offered[1h] > 0"], severity: critical}
"""
COLUMNS = FIXED, LEARNT, STREAM = "the hour", "learnt", "stream"
TELLS = {
    "FixedHour": FIXED,
    "ExecutionsOverdue": LEARNT,
    "NoExecutions": LEARNT,
    "StreamOverdue": STREAM,
}
"""Which alerts are compared: the hour alone, what the built-in rules say of results, and of the stream."""
SHORTEST = 5 * MINUTE
"""No rule says anything of a shorter silence."""
LONGEST = 21 * DAY
"""So long the dead are waited for."""
PAUSES = (2 * HOUR, MINUTE), (DAY, 10 * MINUTE), (LONGEST, 30 * MINUTE)
"""How often is asked, by how long the silence is by then."""
FROM = BEGIN - DAY


@dataclass
class Tally:
    """What came of a life: when each kind of alert was false, and how long each death took to be told."""

    days: float = 0.0
    false: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    """The days on which it was."""
    after: dict[str, list[float | None]] = field(default_factory=lambda: {name: [] for name in COLUMNS})


class Trial:
    """The judge over one pipeline to which work is offered all the time, even while it has nothing to do."""

    def __init__(self) -> None:
        self._config: Config = parse(RULES, environment={})

    def silence(self, rhythm: Rhythm, begin: float, end: float) -> Iterator[tuple[float, str]]:
        """Yield when which kind of alert began to fire in a silence from *begin* to *end*."""
        judge, history = Judge(self._config.binding), History(timedelta(hours=2))
        alerts: Mapping[Labels, Alert] = {}
        told: set[str] = set()
        at = begin + SHORTEST
        while at < end and len(told) < len(COLUMNS):
            now = datetime.fromtimestamp(at, UTC)
            alerts = judge.judge(history.add(self._readings(rhythm, begin, at, now)), alerts, now)
            for alert in alerts.values():
                name = TELLS.get(alert.name)
                if alert.firing and name is not None and name not in told:
                    told.add(name)
                    yield at, name
            at += next(pause for until, pause in PAUSES if at - begin < until)

    def _readings(self, rhythm: Rhythm, begin: float, at: float, now: datetime) -> Iterator[Reading]:
        usual = rhythm.usual(at)
        learnt: dict[str, Held] = (
            {} if usual is None else {"usual": usual, "overdue": Since(begin, per=usual)}
        )
        offered = Counted(datetime.fromtimestamp(FROM, UTC), ((now, 1.0),))
        for signal in self._config.signals:
            values: dict[str, Held] = {"age": Since(begin), **learnt}
            if signal.key.kind == "stream":
                yield Reading(signal.key, now, values)
            elif signal.key.kind == "executions":
                values |= {"rhythm": float(usual is not None), "offered_since": 1.0}
                yield Reading(signal.key, now, values, {("offered", ""): offered})


def live(kind: Kind, seed: int, weeks: float, deaths: int) -> Tally:
    """Let a pipeline live for *weeks*, and see in the second half of them how *deaths* would be told."""
    random = Random(f"{kind.name} {seed}")
    end = BEGIN + weeks * 7 * DAY
    dies = sorted((random.uniform((BEGIN + end) / 2, end) for _ in range(deaths)), reverse=True)
    tally, trial, rhythm = Tally(weeks * 7), Trial(), None
    last = BEGIN
    for at in healthy(kind, random, end):
        if rhythm is None:
            rhythm = Rhythm(at)
        while dies and dies[-1] < at:
            _bury(trial, rhythm, last, at, tally)
            dies.pop()
        if at - last > SHORTEST:
            for moment, name in trial.silence(rhythm, last, at):
                tally.false[name].append((moment - BEGIN) / DAY)
        rhythm.learn(at)
        last = at
    return tally


def _bury(trial: Trial, rhythm: Rhythm, last: float, missed: float, tally: Tally) -> None:
    """Note how long after the first success it *missed* each alert came; one from before tells nothing."""
    found = {name: at - missed for at, name in trial.silence(rhythm, last, last + LONGEST)}
    for name, told in tally.after.items():
        after = found.get(name)
        if after is None or after >= 0:
            told.append(after)
