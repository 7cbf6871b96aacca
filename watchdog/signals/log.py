"""`log`: how much is logged, how much of it as errors, which errors are new, and what a pattern finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from watchdog.errors import CollectError, ConditionError
from watchdog.fields import Duration, one_or_many
from watchdog.later import later
from watchdog.model import (
    AtLeast,
    Counted,
    Kind,
    Labels,
    Measure,
    Reading,
    Series,
    SignalKey,
    Value,
    counter,
    seconds,
    value,
)
from watchdog.signals.base import LocalSignal, SignalConfig
from watchdog.units import Unit

if TYPE_CHECKING:
    from watchdog.logs import book, errorlines, exclusions, formats, globs, journal, logset, reader, templates
    from watchdog.logs import patterns as searching
    from watchdog.logs.batch import Reader
    from watchdog.logs.exclusions import Exclusion
    from watchdog.logs.ledger import Bucket
    from watchdog.logs.logset import Found
else:  # to read a log takes much that to read what the file says of it does not
    _HOMES = "book errorlines exclusions formats globs journal logset reader templates patterns"
    book, errorlines, exclusions, formats, globs, journal, logset, reader, templates, searching = (
        later(f"watchdog.logs.{home}") for home in _HOMES.split()
    )

SHOWN_NEW = 3
SHOWN_TOP = 5
SHOWN_WINDOW = timedelta(minutes=10)
"""The evidence is of as long as the built-in rules look back."""
_MOST_AT_FIRST = 3_000
_MOST_LATER = 500  # templates worked out in one look


def _readable_patterns(patterns: dict[str, str]) -> dict[str, str]:
    try:
        searching.compile_patterns(patterns)
    except ConditionError as exc:
        raise ValueError(str(exc)) from exc
    return patterns


def _readable_regex(text: str | None) -> str | None:
    if text is not None:
        _readable_patterns({"regex": text})
    return text


def _known_format(name: str) -> str:
    if name != "auto" and name not in formats.FORMATS:
        raise ValueError(f'"{name}" is not a log format (auto, or one of {", ".join(formats.FORMATS)})')
    return name


class IgnoreConfig(BaseModel):
    """Keys of one item of `ignore`."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    template: str | None = Field(
        None,
        min_length=1,
        description="as `watchdog logs` prints it, or one line",
        examples=["order <n> was refused"],
    )
    regex: Annotated[str | None, AfterValidator(_readable_regex)] = Field(
        None,
        description="what is found in the first lines of the errors",
        examples=["notional must be no smaller"],
    )
    reason: str = Field(
        min_length=1, description="why these errors are none", examples=["now and then an order is too small"]
    )
    until: date | None = Field(
        None, description="the last day; after it they count again", examples=["2026-12-31"]
    )

    @model_validator(mode="after")
    def _need_one(self) -> Self:
        if (self.template is None) == (self.regex is None):
            raise ValueError("what is to be ignored is not said (give template or regex, one of them)")
        return self

    def exclusion(self) -> Exclusion:
        """Return what the reader asks."""
        patterns = searching.compile_patterns({"ignore": self.regex}) if self.regex else None
        return exclusions.Exclusion(self.reason, self.template, patterns, self.until)


class LogConfig(SignalConfig):
    """Keys of `log`."""

    path: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(
        (),
        description="the file, or a list; a glob takes in files that come later",
        examples=["/var/log/quantum/execution.log", ["/var/log/quantum/*.log"]],
    )
    journal: str | None = Field(
        None,
        min_length=1,
        description="or the unit whose journal it is",
        examples=["quantum-rl-trainer.service"],
    )
    user: bool = Field(False, description="a unit of the user's own systemd, not of the machine's")
    format: Annotated[str, AfterValidator(_known_format)] = Field(
        "auto",
        description="how lines are written; auto tells by looking",
        examples=["auto", "json"],
    )
    patterns: Annotated[dict[str, str], AfterValidator(_readable_patterns)] = Field(
        default_factory=dict,
        description="named regular expressions, counted as matches.<name>",
        examples=[{"filled": "ORDER FILLED"}],
    )
    ignore: tuple[IgnoreConfig, ...] = Field(
        (),
        description="errors that do not count, each with its reason",
        examples=[[{"regex": "notional must be no smaller", "reason": "now and then an order is too small"}]],
    )
    expect_every: Duration | None = Field(
        None, description="the longest usual gap between two lines", examples=["15m"]
    )

    @model_validator(mode="after")
    def _need_a_source(self) -> Self:
        if bool(self.path) == bool(self.journal):
            raise ValueError("what to read is not said (give path or journal, one of them)")
        if self.user and not self.journal:
            raise ValueError("user says whose journal it is, and a file has none (remove it)")
        return self

    def labels(self) -> Labels:
        """Return the path as the file has it, or the unit."""
        return Labels(unit=self.journal) if self.journal else Labels(path=",".join(self.path))

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = {"matches.*"} | (set() if self.expect_every else {"overdue"})
        absent |= set() if self.ignore else {"ignored"}
        matches = {f"matches.{name}": Log.MEASURES["matches.*"] for name in self.patterns}
        return {name: found for name, found in Log.MEASURES.items() if name not in absent} | matches


class Log(LocalSignal[LogConfig]):
    """Follows log files or a unit's journal, and counts what is new and which errors never came before."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "lines": counter("Lines logged; a traceback belongs to its line"),
        "errors": counter("Lines logged as error or worse"),
        "error_ratio": Measure(
            Kind.RATIO, Unit.RATIO, "Share of lines logged as error or worse", parts=("errors", "lines")
        ),
        "new_errors": counter("Error templates never seen before"),
        "ignored": counter("Lines logged as error that the file says not to count"),
        "age": seconds("Time since the last line", grows=True),
        "overdue": value("Time since the last line by the longest usual gap"),
        "behind": value("Bytes written and not read yet", Unit.BYTES),
        "late": seconds("Age of the oldest line not read yet, 0 if all are read"),
        "matches.*": counter("Lines in which a pattern was found"),
    }
    Config = LogConfig
    RECALLS = True

    def __init__(self, key: SignalKey, config: LogConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._exclusions = exclusions.Exclusions([item.exclusion() for item in config.ignore])
        self._patterns = searching.compile_patterns(config.patterns)
        self._logs = logset.LogSet(
            (lambda: [unit]) if (unit := config.journal) else globs.Globs(config.path), self._open, keep
        )
        self._templates = templates.Templates()
        self._book = book.Book()
        self._first_look: datetime | None = None
        self._last_line: datetime | None = None
        self._last_error: str | None = None

    def memory(self) -> Mapping[str, Any]:
        """Remember where reading stopped in each file, and which errors ever came."""
        return {"files": self._logs.memory(), "templates": self._book.memory()}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take up where an earlier process stopped."""
        self._book.remember(memory["templates"])
        self._logs.remember(memory["files"])

    def _open(self, name: str, memory: Mapping[str, Any] | None) -> Reader:
        format = None if self.config.format == "auto" else self.config.format
        ignored = self._exclusions if self.config.ignore else None
        if self.config.journal:
            user = self.config.user
            return journal.JournalReader(
                name, user=user, patterns=self._patterns, format=format, ignored=ignored, memory=memory
            )
        return reader.LogReader(name, format, self._patterns, ignored=ignored, memory=memory)

    def look_here(self, now: datetime) -> Reading:
        """Read what is new in every file; raise CollectError if there is none to read."""
        self._exclusions.renew(now)
        self._templates.renew(_MOST_LATER if self._first_look else _MOST_AT_FIRST)
        self._first_look = self._first_look or now
        found, troubles = self._logs.look(now)
        if not found:
            raise CollectError("; ".join(troubles[:3]))
        self._note(found)
        counts = self._counts(found)
        evidence = self._evidence(found, now)
        if troubles:
            more = f"; and {len(troubles) - 3} more" if len(troubles) > 3 else ""
            evidence["unread"] = "; ".join(troubles[:3]) + more
        gaps = ("lines", "errors") if troubles else ()
        return Reading(self.key, now, self._values(found, now), counts, evidence, gaps=gaps)

    def _note(self, found: Sequence[Found]) -> None:
        """Keep the newest line's time and the last error."""
        times = [one.batch.last_line_at for one in found if one.batch.last_line_at is not None]
        self._last_line = max([*times, *([self._last_line] if self._last_line else [])], default=None)
        errors = [
            (bucket.at, one.batch.last_error)
            for one in found
            for bucket in one.buckets
            if bucket.errors and one.batch.last_error
        ]
        self._last_error = max(errors)[1] if errors else self._last_error

    def _values(self, found: Sequence[Found], now: datetime) -> dict[str, Value]:
        """Return the ages; a log that never held a line is as old as we have been watching."""
        since = self._last_line or self._first_look or now
        age = max(0.0, (now - since).total_seconds())
        values: dict[str, Value] = {
            "age": age if self._last_line else AtLeast(age),
            "behind": float(sum(one.batch.behind_bytes for one in found)),
            "late": max(one.batch.late for one in found),
        }
        if self.config.expect_every:
            overdue = age / self.config.expect_every.total_seconds()
            values["overdue"] = overdue if self._last_line else AtLeast(overdue)
        return values

    def _counts(self, found: Sequence[Found]) -> dict[Series, Counted]:
        """Return what was counted by the time it was written at, of all files together."""
        since = max(one.batch.covered_since for one in found)
        names = ["lines", "errors", "new_errors", *(["ignored"] if self.config.ignore else [])]
        names += [f"matches.{name}" for name in self.config.patterns]
        steps: dict[Series, list[tuple[datetime, float]]] = {(name, ""): [] for name in names}
        told = ((bucket, news, one.batch.format_name) for one in found for bucket, news in one.told())
        for bucket, news, format in sorted(told, key=lambda told: told[0].at):
            counts = {
                "lines": bucket.records,
                "errors": bucket.errors,
                "ignored": bucket.tally.ignored,
                "new_errors": self._enter(bucket, format, news=news),
                **{f"matches.{name}": count for name, count in bucket.matches.items()},
            }
            for name, count in counts.items():
                if count:
                    steps[name, ""].append((bucket.at, float(count)))
        return {series: Counted(since, tuple(rows)) for series, rows in steps.items()}

    def _enter(self, bucket: Bucket, format: str, *, news: bool) -> int:
        """Put the errors of *bucket* into the book, and return how many templates never came before."""
        new = 0
        for key, (count, sample) in bucket.tally.error_lines.items():
            if key == errorlines.OTHER:
                continue
            template = self._templates.of_record(key, sample, format)
            if template is not None:
                new += self._book.note(template, count, bucket.at, sample, news=news)
        return new

    def _evidence(self, found: Iterable[Found], now: datetime) -> dict[str, object]:
        """Say what the errors are, the new ones first."""
        new = self._book.new(SHOWN_WINDOW, now)
        top = self._book.top(SHOWN_WINDOW, now)
        facts: dict[str, object] = {
            "new_errors": [
                f"{one.template} ({one.count:,} times, first at {one.new_at:%H:%M:%S}Z): {one.example}"
                for one in new[:SHOWN_NEW]
            ],
            "top_errors": [f"{count:,} × {one.template}" for count, one in top[:SHOWN_TOP]],
            "more_templates": max(0, len(top) - SHOWN_TOP),
            "last_error": self._last_error,
            "ignored": self._exclusions.told(),
            "format": ", ".join(sorted({one.batch.format_name for one in found})),
        }
        return {name: fact for name, fact in facts.items() if fact}
