"""What a service shows of itself: when it last succeeded, what comes in and goes out, what waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from watchdog.model import AtLeast, Held, Reading, SignalKey, Since, Value, as_of
from watchdog.report import SignalReport, Status
from watchdog.trends import Line
from watchdog.units import Unit, show_number
from watchdog.web.pages.spark import Spark, spark_of

RATE_OVER = 10
"""A rate is what the last so many steps of its curve brought, in a minute."""
FEW = 5
"""A curve of fewer points that are known says no more than its number."""
MOST_FIGURES = 12
"""So many figures of a service are shown; its own page has all."""
RECENT = timedelta(minutes=1)
JUST_NOW = "under 1m"
"""What is told of a moment less than that ago where all is well: to tell every second of it is noise."""
LOOKED_FOR = ("last success", "waiting", "unacked")
LineOf = Callable[[SignalKey, str], Line | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One figure of a service.

    *text* stands before *since*, which counts on; *of* is what the figure is about (the stream, the
    group …), *line* how it was in the last hours.
    """

    name: str
    text: str
    since: datetime | None = None
    status: Status = Status.OK
    of: str = ""
    line: Line | None = None
    unit: Unit = Unit.NUMBER
    counts: bool = False

    @property
    def stands_out(self) -> bool:
        """Say whether it is one of those that people look for, or not as it should be."""
        return self.counts or self.line is not None or self.status is not Status.OK or self.name in LOOKED_FOR

    @property
    def spark(self) -> Spark | None:
        """Return its line as it is drawn, once there is something to be seen on it."""
        known = self.line is not None and sum(point is not None for point in self.line.points) >= FEW
        return _drawn(self.line, self.unit, self.counts) if self.line is not None and known else None


@lru_cache(maxsize=1_024)
def _drawn(line: Line, unit: Unit, counts: bool) -> Spark | None:
    return spark_of(line, unit, counts=counts)


def figures_of(reports: Sequence[SignalReport], line_of: LineOf, now: datetime) -> tuple[Figure, ...]:
    """Return the figures of a service with *reports*, those first that say most."""
    kinds = {report.reading.signal.kind for report in reports}
    found: list[tuple[int, Figure]] = []
    for report in reports:
        tell = TELLING.get(report.reading.signal.kind)
        if tell is not None:
            place, figures = tell
            seen = Seen(report.reading, report.status, report, line_of, now, kinds)
            found += [(place, figure) for figure in figures(seen)]
    found.sort(key=lambda pair: (pair[1].status is Status.OK and pair[0] > 2, pair[0]))
    return tuple(figure for _, figure in found[:MOST_FIGURES])


@dataclass(frozen=True, slots=True)
class Seen:
    """One signal of a service that has signals of *kinds*, as it is at *now*."""

    reading: Reading
    status: Status
    report: SignalReport
    line_of: LineOf
    now: datetime
    kinds: set[str]

    @property
    def of(self) -> str:
        """Return what the signal is about, in the words of its labels."""
        return " ".join(self.reading.signal.labels.values())

    def held(self, measure: str) -> Held:
        """Return what the reading holds of *measure*."""
        return self.reading.values.get(measure)

    def value(self, measure: str) -> Value:
        """Return *measure* as it is now."""
        return as_of(self.held(measure), self.now)

    def line(self, measure: str) -> Line | None:
        """Return how *measure* was in the last hours."""
        return self.line_of(self.reading.signal, measure)

    def standing(self, bad: bool, known: bool = True) -> Status:
        """Return how a figure stands: as its signal does where it is *bad*, unknown where it is not known."""
        if not known:
            return Status.UNKNOWN
        return self.status if bad and self.status is not Status.UNKNOWN else Status.OK

    def age(self, name: str, measure: str, empty: str = "unknown") -> Figure:
        """Return the figure of an age that counts on."""
        moment, bound = moment_of(self.held(measure), self.now)
        if moment is None:
            return Figure(name, empty, status=Status.UNKNOWN, of=self.of)
        if self.recent(moment) and not bound:
            return Figure(name, JUST_NOW, of=self.of)
        return Figure(name, "at least" if bound else "", moment, self.standing(True), self.of)

    def recent(self, moment: datetime) -> bool:
        """Say whether *moment* need not be told: a little ago, and the signal is as it should be."""
        return self.status is Status.OK and self.now - moment < RECENT

    def backlog(self, name: str, measure: str, oldest: str) -> Figure:
        """Return the figure of entries that wait for something, and since when the *oldest* does."""
        count = self.value(measure)
        some = not isinstance(count, float | int) or count > 0
        moment, _ = moment_of(self.held(oldest), self.now) if some else (None, False)
        text, status = _count(count), self.standing(some, count is not None)
        if moment is not None and self.recent(moment):
            text, moment = f"{text}, {JUST_NOW}", None
        elif moment is not None:
            text += ", oldest"
        return Figure(name, text, moment, status, self.of, self.line(measure))

    def rate(self, name: str, measure: str) -> Figure:
        """Return the figure of what comes in a minute."""
        line = self.line(measure)
        rate = rate_of(line)
        if self.reading.trouble is not None:  # what it was before is the curve's to tell
            text, status = "unknown", Status.UNKNOWN
        elif rate is None:
            text, status = ("unknown", Status.UNKNOWN) if line is not None else ("not yet", Status.OK)
        else:
            text, status = f"{_short(rate)}/min", Status.OK
        return Figure(name, text, status=status, of=self.of, line=line, counts=True)


def moment_of(held: Held, now: datetime) -> tuple[datetime | None, bool]:
    """Return since when what is *held* counts, and whether that is only a bound."""
    if isinstance(held, Since):
        return datetime.fromtimestamp(held.moment, UTC), held.at_least
    number = held.number if isinstance(held, AtLeast) else held
    if not isinstance(number, float | int):
        return None, False
    return datetime.fromtimestamp(now.timestamp() - number, UTC), isinstance(held, AtLeast)


def rate_of(line: Line | None) -> float | None:
    """
    Return how many there were a minute in the last steps of *line*, as far as those are known.

    Of what has only just begun it is how many there were since: before that it was not slow, but not there.
    """
    known = [] if line is None else [point for point in line.points[-RATE_OVER:] if point is not None]
    if line is None or not known:
        return None
    if not known[0] and not any(line.points[:-RATE_OVER]):
        known = known[next((i for i, point in enumerate(known) if point), 0) :]
    return sum(known) / len(known) * 60 / line.step.total_seconds()


def _short(number: float) -> str:
    return show_number(round(number)) if number >= 10 or number == int(number) else f"{number:.2g}"


def _count(value: Value) -> str:
    if isinstance(value, AtLeast):
        return f"at least {show_number(round(value.number))}"
    return show_number(value) if isinstance(value, float | int) else "unknown"


# ---- of each kind of signal --------------------------------------------------------------------


def _executions(seen: Seen) -> Iterator[Figure]:
    yield seen.age("last success", "age", "unknown" if seen.reading.trouble else "never seen")
    yield seen.rate("offered", "offered")
    yield seen.rate("succeeded", "succeeded")


def _consumes(seen: Seen) -> Iterator[Figure]:
    if "executions" not in seen.kinds:
        yield seen.rate("read", "read")
    yield seen.backlog("waiting", "lag", "behind")
    yield seen.backlog("unacked", "pending", "oldest_pending")
    verdict = seen.value("verdict")
    if isinstance(verdict, str) and verdict != "ok":
        yield Figure("group", verdict.replace("_", " "), status=seen.standing(True), of=seen.of)


def _stream(seen: Seen) -> Iterator[Figure]:
    yield seen.rate("added", "added")
    yield seen.age("newest entry", "age")


def _log(seen: Seen) -> Iterator[Figure]:
    name = next((name for _, name in sorted(_windows(seen.report, "error_ratio"))), "")
    ratio = seen.report.figures.get(name)
    number = ratio.number if isinstance(ratio, AtLeast) else ratio
    known = isinstance(number, float | int)
    lines = seen.line("lines")
    none = not known and lines is not None and rate_of(lines) == 0
    text = show_number(number, Unit.RATIO) if isinstance(number, float | int) else "unknown"
    window = name.partition("[")[2].rstrip("]")
    yield Figure(
        "errors in log",
        "no lines" if none else f"{text} in {window}" if known else text,
        status=Status.OK if none else seen.standing(bool(number), known),
        of=seen.of,
        line=seen.line("errors"),
        counts=True,
    )


def _windows(report: SignalReport, measure: str) -> Iterator[tuple[int, str]]:
    """Yield the names under which *measure* is told over windows, the shortest name first."""
    return ((len(name), name) for name in report.figures if name.startswith(f"{measure}["))


def _heartbeat(seen: Seen) -> Iterator[Figure]:
    if seen.value("present") == 0:
        yield Figure("heartbeat", "missing", status=seen.standing(True), of=seen.of)
    else:
        yield seen.age("heartbeat", "age")
    if seen.value("synthetic") == 1:
        yield Figure("heartbeat", "synthetic: an emergency one", status=seen.standing(True), of=seen.of)
    if "success_age" in seen.reading.values and "executions" not in seen.kinds:
        yield seen.age("last success", "success_age")


def _unit(seen: Seen) -> Iterator[Figure]:
    state = seen.value("state")
    yield Figure(
        "unit",
        state.rpartition("/")[2].replace("_", " ") if isinstance(state, str) else "unknown",
        status=seen.standing(True, isinstance(state, str)),
        of=seen.of,
        line=seen.line("restarts") if seen.status is not Status.OK else None,
        counts=seen.status is not Status.OK,
    )


def _health(seen: Seen) -> Iterator[Figure]:
    up, problem = seen.value("up"), seen.value("problem")
    text = {1.0: "answers", 0.0: "fails"}.get(up, "unknown") if isinstance(up, float) else "unknown"
    why = f": {problem.replace('_', ' ')}" if isinstance(problem, str) and problem and up == 0 else ""
    yield Figure("health", text + why, status=seen.standing(up == 0, up is not None), of=seen.of)


def _settings(seen: Seen) -> Iterator[Figure]:
    violations = seen.value("violations")
    text = "as required" if violations == 0 else f"{_count(violations)} not as required"
    yield Figure(
        "settings",
        text if violations is not None else "unknown",
        status=seen.standing(bool(violations), violations is not None),
        of=seen.of,
    )


def _flag(seen: Seen) -> Iterator[Figure]:
    if seen.value("set") == 1:
        yield seen.age("flag set for", "age")
    else:
        known = seen.value("set") is not None
        text = "not set" if known else "unknown"
        yield Figure("flag", text, status=seen.standing(False, known), of=seen.of)


def _command(seen: Seen) -> Iterator[Figure]:
    status = seen.value("status")
    known = isinstance(status, str)
    yield Figure("check", str(status) if known else "unknown", status=seen.standing(True, known), of=seen.of)


def _redis(seen: Seen) -> Iterator[Figure]:
    up, memory = seen.value("up"), seen.value("memory_ratio")
    text = "answers" if up == 1 else "does not answer"
    yield Figure("server", text, status=seen.standing(up != 1), of=seen.of)
    if isinstance(memory, float | int):
        share = show_number(round(memory, 2), Unit.RATIO)
        line = seen.line("memory_ratio")
        yield Figure("memory", share, status=seen.standing(memory > 0.9), line=line, unit=Unit.RATIO)


TELLING: Mapping[str, tuple[int, Callable[[Seen], Iterator[Figure]]]] = {
    "executions": (0, _executions),
    "consumes": (1, _consumes),
    "stream": (2, _stream),
    "log": (3, _log),
    "heartbeat": (4, _heartbeat),
    "unit": (5, _unit),
    "health": (6, _health),
    "settings": (7, _settings),
    "flag": (8, _flag),
    "command": (9, _command),
    "redis": (10, _redis),
}
"""In which order signals tell of themselves, and what."""
