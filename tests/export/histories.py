"""
Histories drawn as one line each: what the sidecar makes of them, and the metrics a Prometheus would have scraped.

Each lives through the same four phases: well, broken, unseen, well again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.drawn import T0
from watchdog.alerts import Alert
from watchdog.config import Config, parse
from watchdog.history import History
from watchdog.judging import Judge
from watchdog.model import Counted, Labels, Reading, Series, SignalKey, Value
from watchdog.report import counters_of, figures_of, snapshot
from watchdog.topology import Needs
from watchdog.web.measures import signal_pieces

CONFIGS = {
    "heartbeat": "{key: beat, ttl: 30s, expect_success: 1h}",
    "stream": "{key: entries, expect_every: 1m, expect_groups: true, fields: {price: {range: [1, 9]}}}",
    "consumes": "{stream: entries, group: g, single: true}",
    "executions": "{stream: results, success: {ok: yes}, reason: error, ignore: {skip: yes}, never: [bad],"
    " input: {stream: in, all_answered: true}, fields: {price: {range: [1, 9]}}, timestamp: at,"
    " at_most: 9/1m, decision: {field: d, of: [A, B]}}",
    "trace": "{stages: {in: entries, out: results}, at_most: 1m}",
    "log": "{path: /l.log, expect_every: 1m, patterns: {late: late}}",
    "unit": "{name: a.service, code: /code}",
    "timer": "{name: a.timer}",
    "undeclared": "{key: entries}",
    "health": '{url: "https://h"}',
    "command": "{run: [/check]}",
    "settings": "{file: /e.env, baseline: /e.baseline, unit: a.service, require: {A: b}}",
    "flag": "{key: stop}",
}
"""A configuration of each kind of signal with which it offers all its measures."""
SIGNAL = {"timer": "unit", "undeclared": "stream"}
"""What is another configuration of a signal, and of which."""
ALWAYS_THERE = {"redis": "redis", "watchdog": "watchdog", "receiver": "watchdog", "discovery": "watchdog"}


@dataclass(frozen=True)
class Seen:
    """What a signal shows in a phase: values, and how much each counter gains at every step."""

    values: Mapping[str, Value] = field(default_factory=dict)
    gains: Mapping[Series, float] = field(default_factory=dict)

    @staticmethod
    def drawn(text: str) -> Seen:
        """Read ``age=10 present=? verdict=ok offered+2 reason.full+1``; ``?`` is unknown."""
        values: dict[str, Value] = {}
        gains: dict[Series, float] = {}
        for word in text.split():
            if (told := re.fullmatch(r"([\w.]+)\+(\d+)", word)) is not None:
                name, _, variant = told[1].partition(".")
                gains[(name, variant) if name in ("reason", "decision") else (told[1], "")] = float(told[2])
                continue
            name, _, shown = word.partition("=")
            number = re.fullmatch(r"-?[\d.]+", shown)
            values[name] = None if shown == "?" else float(shown) if number else shown
        return Seen(values, gains)


@dataclass(frozen=True)
class Row:
    """One history: of which alert, of what kind of signal, and what is seen of it while well and broken."""

    alert: str
    kind: str
    well: Seen
    broken: Seen
    away: bool = False
    """Whether it cannot be seen because its whole source is away, and not it alone."""

    def keys(self, config: Config) -> list[SignalKey]:
        """Return the signal it is about."""
        kind = SIGNAL.get(self.kind, self.kind)
        if kind not in ALWAYS_THERE:
            return [
                spec.key for spec in config.signals if (spec.key.service, spec.key.kind) == (self.alert, kind)
            ]
        mine = [spec.key for spec in config.signals if spec.key.kind == kind]
        return [key for key in mine if not key.labels or self.alert in "".join(key.labels.values())]


@dataclass(frozen=True)
class Phases:
    """How many minutes each phase lasts."""

    well: int
    broken: int
    unseen: int
    again: int

    def moments(self, step: timedelta) -> list[tuple[datetime, str]]:
        """Return every look, and in which phase it is."""
        found: list[tuple[datetime, str]] = []
        for phase in ("well", "broken", "unseen", "again"):
            count = int(timedelta(minutes=getattr(self, phase)) / step)
            begin = found[-1][0] + step if found else T0
            found += [(begin + i * step, phase) for i in range(count)]
        return found


def rules_of(rows: Sequence[Row], more: str = "") -> str:
    """Return a rules file with a service for each row, called as its alert."""
    services: dict[str, list[str]] = {}
    for row in rows:
        if row.kind not in ALWAYS_THERE:
            kind = SIGNAL.get(row.kind, row.kind)
            services.setdefault(row.alert, []).append(f"{kind}: {CONFIGS[row.kind]}")
    named = {kind: [row.alert for row in rows if row.kind == kind] for kind in ALWAYS_THERE}
    lines = [f"  {service}: {{{', '.join(body)}}}" for service, body in services.items()]
    lines = ["services:", "  Spare: {heartbeat: {key: spare}}", *lines, "receivers:"]
    lines += [f'  {name}: {{webhook: {{url: "http://h/"}}}}' for name in [*named["receiver"], "spare"]]
    lines += ["discover:", *(f'  - {{streams: "{name}:*"}}' for name in named["discovery"])] * bool(
        named["discovery"]
    )
    lines += ["redis:", *(f'  {name}: {{url: "redis://h"}}' for name in named["redis"])] * bool(
        named["redis"]
    )
    return "\n".join([*lines, more])


@dataclass
class Lived:
    """What came of the histories: at each step the alerts that fire, and each series' samples."""

    firing: list[frozenset[Labels]]
    series: dict[str, list[str]]


def live(rows: Sequence[Row], config: Config, phases: Phases, step: timedelta) -> Lived:
    """Have the sidecar's own judge live through *rows*, and scrape its page at every step."""
    history = History(config.keep, asked=counters_of(figures_of(config.binding), ()))
    judge, alerts = Judge(config.binding), dict[Labels, Alert]()
    figures, lived = figures_of(config.binding), Lived([], {})
    moments = phases.moments(step)
    for i, (now, phase) in enumerate(moments):
        history.add(
            [reading(row, key, phase, now) for row in rows for key in row.keys(config)]
            + [Reading(SignalKey("Spare", "heartbeat", Labels(key="spare")), now, {"age": 1.0})]
        )
        alerts = judge.judge(history, alerts, now)
        lived.firing.append(frozenset(labels for labels, alert in alerts.items() if alert.firing))
        shot = snapshot(history, alerts, now, figures=figures, services={}, needs=NOBODY)
        for name, value in samples("".join(signal_pieces(shot))):
            lived.series.setdefault(name, ["_"] * len(moments))[i] = value
    return lived


NOBODY: Needs = {}


def reading(row: Row, key: SignalKey, phase: str, now: datetime) -> Reading:
    """Return what is seen of the row's signal in a *phase*."""
    if phase == "unseen":
        return Reading(key, now, trouble="no answer", down="everything" if row.away else None)
    seen = row.broken if phase == "broken" else row.well
    counts = {
        series: Counted(T0, ((now, by),) if by and now > T0 else ()) for series, by in seen.gains.items()
    }
    return Reading(key, now, dict(seen.values), counts)


def samples(page: str) -> Iterator[tuple[str, str]]:
    """Yield the series of a *page* as Prometheus would have scraped them, with their values."""
    for line in page.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name.replace("{", '{instance="a",job="watchdog",', 1), value


def stale(values: Sequence[str]) -> list[str]:
    """Return *values* with the mark that Prometheus makes when a series is no longer there."""
    gone = [v == "_" and i > 0 and values[i - 1] != "_" for i, v in enumerate(values)]
    return ["stale" if g else v for g, v in zip(gone, values, strict=True)]


def parsed(rows: Sequence[Row], more: str = "") -> Config:
    """Return the configuration for *rows*."""
    return parse(rules_of(rows, more), environment={})
