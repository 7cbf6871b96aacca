"""
Files of rule tests: their keys, which are those of `promtool test rules` as far as they mean something here,
and on which signals of the rules the drawn series are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import Field, ValidationError

from watchdog.alerts import State
from watchdog.cast import Cast
from watchdog.conditions import find_measure, suggest
from watchdog.drawn import Mark, Point, SeriesName, parse_series, parse_values
from watchdog.errors import ConfigError, Problem
from watchdog.fields import Duration, Model, Names, Text, Wait
from watchdog.model import Kind, Measure, Series, SignalKey
from watchdog.problems import Findings
from watchdog.rulebook import CATALOGUE
from watchdog.units import Unit
from watchdog.yamlfile import Document, read_yaml

MOST_ROUNDS = 100_000


class SeriesModel(Model):
    """One item of `input_series`."""

    series: str = Field(min_length=1)
    values: Text


class ExpectedModel(Model):
    """One item of `exp_alerts`: what is not named is not compared."""

    exp_labels: dict[str, Text] = Field(default_factory=dict)
    exp_annotations: dict[str, str] = Field(default_factory=dict)
    state: State = State.FIRING
    cause: str | None = None


class QuestionModel(Model):
    """One item of `alert_rule_test`."""

    eval_time: Wait
    alertname: str = Field(min_length=1)
    exp_alerts: tuple[ExpectedModel, ...] = ()


class CaseModel(Model):
    """One item of `tests`."""

    name: str = ""
    interval: Duration | None = None
    since: Wait = timedelta(0)
    input_series: tuple[SeriesModel, ...] = ()
    alert_rule_test: tuple[QuestionModel, ...] = ()


class FileModel(Model):
    """The top of a file of tests."""

    rule_files: Names = ()
    evaluation_interval: Duration = Field("1m", validate_default=True)
    tests: tuple[CaseModel, ...] = ()


# ---- the file ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file of tests that can be run, but for what only the rules can tell."""

    path: str
    model: FileModel
    document: Document

    def rules(self, default: Path) -> Path:
        """Return the rules file that is tested: the one it names, or *default*."""
        named = self.model.rule_files
        return Path(self.path).parent / named[0] if named else default


def read_sheet(path: Path) -> Sheet:
    """Return the tests in the file at *path*; raise ConfigError with every problem of its shape."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        what = f"cannot be read: {exc.strerror}"
        raise ConfigError(str(path), [Problem(1, 1, "", what, "give the right one")]) from exc
    except UnicodeDecodeError as exc:
        what = "is not a UTF-8 text"
        raise ConfigError(str(path), [Problem(1, 1, "", what, "save it as UTF-8")]) from exc
    document = read_yaml(text, {})
    findings = Findings(document)
    if not isinstance(document.value, dict):
        findings.add((), "the file has no tests", "start with `tests:` (see docs/how-to/replay.md)")
    if findings.problems:
        raise ConfigError(str(path), findings.problems)
    try:
        model = FileModel.model_validate(document.value)
    except ValidationError as exc:
        findings.add_validation(exc, FileModel)
        raise ConfigError(str(path), findings.problems) from exc
    if len(model.rule_files) > 1:
        findings.add(("rule_files", 1), "there can be one file of rules", "test each in a file of its own")
    if not model.tests:
        findings.add((), "the file has no tests", "start with `tests:` (see docs/how-to/replay.md)")
    for i, case in enumerate(model.tests):
        if not case.alert_rule_test:
            findings.add(("tests", i), "asks for nothing", "add alert_rule_test: …")
    if findings.problems:
        raise ConfigError(str(path), findings.problems)
    return Sheet(str(path), model, document)


@dataclass(frozen=True, slots=True)
class Line:
    """One drawn series: a value, or a *counter* (and its variant) as its running total."""

    key: SignalKey
    name: str
    counter: Series | None
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Case:
    """One test, and where in the file its questions stand."""

    title: str
    model: CaseModel
    lines: Sequence[Line]
    places: Sequence[tuple[int, int]]


def bind_tests(sheet: Sheet, cast: Cast) -> list[Case]:
    """Return the tests of *sheet* on the signals of *cast*; raise ConfigError with every problem."""
    findings = Findings(sheet.document)
    alerts = {rule.alert for rule in cast.config.binder.rules}
    tests: list[Case] = []
    for i, model in enumerate(sheet.model.tests):
        lines = [*_lines(model, ("tests", i, "input_series"), cast, findings)]
        for j, question in enumerate(model.alert_rule_test):
            path = ("tests", i, "alert_rule_test", j)
            if question.alertname not in alerts:
                what = f'there is no rule "{question.alertname}"'
                findings.add((*path, "alertname"), what, suggest(question.alertname, alerts))
            every = sheet.model.evaluation_interval
            if question.eval_time / min(every, model.interval or every) > MOST_ROUNDS:
                findings.add((*path, "eval_time"), "is too far away", "draw and evaluate less often")
        places = [
            sheet.document.where(("tests", i, "alert_rule_test", j))
            for j in range(len(model.alert_rule_test))
        ]
        tests.append(Case(model.name or f"test {i + 1}", model, lines, places))
    if findings.problems:
        raise ConfigError(sheet.path, findings.problems)
    return tests


def _lines(model: CaseModel, path: tuple[str | int, ...], cast: Cast, findings: Findings) -> Iterator[Line]:
    drawn: set[tuple[SignalKey, str, Series | None]] = set()
    services = dict.fromkeys(key.service for key in cast.config.offered)
    for i, item in enumerate(model.input_series):
        try:
            name = parse_series(item.series, CATALOGUE, services)
            line = _line(name, parse_values(item.values), cast)
        except ValueError as exc:
            what, _, cure = str(exc).partition(" (")
            findings.add((*path, i), what, cure.removesuffix(")"))
            continue
        place = line.key, line.name, line.counter
        if place in drawn:
            findings.add((*path, i), f"{line.key} has {line.name} twice", "draw it once")
        drawn.add(place)
        yield line


def _line(name: SeriesName, points: list[Point], cast: Cast) -> Line:
    """Return the line that draws *points* as *name*; raise ValueError with the cure if that cannot be."""
    if name.kind not in CATALOGUE:
        raise ValueError(f'there is no signal "{name.kind}" ({suggest(name.kind, CATALOGUE)})')
    labels = {label: text for label, text in name.labels.items() if label != name.measure}
    found = cast.find(name.service, name.kind, labels)
    if not found:
        have = sorted({key.service for key in cast.config.offered if key.kind == name.kind})
        whose = f"service {name.service} has" if name.service else "there is"
        cure = f"those of {', '.join(have)} can be drawn" if have else "no service has one"
        told = "".join(f' {label}="{text}"' for label, text in labels.items())
        raise ValueError(f"{whose} no {name.kind}{told} in the rules ({cure})")
    if len(found) > 1:
        which = ", ".join(str(key) for key in found[:5])
        raise ValueError(f"{name.kind} is not one signal here, but {len(found)} (name one of {which})")
    if not points:
        raise ValueError(f"nothing is drawn of {name.kind}.{name.measure} (write values: '0+60x10')")
    key = found[0]
    measures = cast.offered(key)
    variant = name.labels.get(name.measure, "")
    counted = _counted(measures)
    measure = find_measure(name.measure, measures)
    if measure is not None and measure.kind in (Kind.RATIO, Kind.SHARE, Kind.TOP):
        parts = " and ".join(f"{name.kind}.{part}" for part in measure.parts)
        raise ValueError(f"{name.kind}.{name.measure} is made of counters (draw {parts})")
    if name.measure in counted:
        if counted[name.measure] != bool(variant):
            example = f'{name.kind}.{name.measure}{{{name.measure}="…"}}'
            raise ValueError(f"{name.kind}.{name.measure} has variants (write {example})")
        return Line(key, name.measure, (name.measure, variant), _totals(points, name))
    if measure is None:
        known = [n for n, m in measures.items() if m.kind in (Kind.VALUE, Kind.WORD)]
        raise ValueError(
            f'{key} has no measure "{name.measure}" ({suggest(name.measure, [*known, *counted])})'
        )
    return Line(key, name.measure, None, _fitting(points, measure, name))


def _counted(measures: Mapping[str, Measure]) -> dict[str, bool]:
    """Return the counters that *measures* are made of, and whether each has variants."""
    found: dict[str, bool] = {}
    for name, measure in measures.items():
        if measure.kind is Kind.COUNTER:
            found[name] = False
        for i, part in enumerate(measure.parts):
            found[part] = measure.kind in (Kind.SHARE, Kind.TOP) and i == 0
    return found


def _totals(points: list[Point], name: SeriesName) -> list[Point]:
    if any(isinstance(point, str) or point is Mark.STALE for point in points):
        raise ValueError(f"{name.kind}.{name.measure} is a counter (draw numbers, or _ for no answer)")
    return points


def _fitting(points: list[Point], measure: Measure, name: SeriesName) -> list[Point]:
    """Return *points* if the measure can be them."""
    whole = f"{name.kind}.{name.measure}"
    for point in points:
        if isinstance(point, Mark):
            continue
        if isinstance(point, str) != (measure.unit is Unit.WORD):
            fit = "a word (draw 'ok'x3)" if measure.unit is Unit.WORD else "a number (draw 5 or 0+60x10)"
            raise ValueError(f"{whole} is {fit[: fit.index(' (')]}, not {point!r}{fit[fit.index(' (') :]}")
        if isinstance(point, str) and measure.words and point not in measure.words:
            raise ValueError(f'{whole} is never "{point}" ({suggest(point, measure.words)})')
    return points
