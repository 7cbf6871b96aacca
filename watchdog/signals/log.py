"""`log`: how much is logged, how much of it as errors, and what else a pattern finds in it."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from watchdog.errors import CollectError, ConditionError
from watchdog.fields import Duration, one_or_many
from watchdog.logs.formats import FORMATS
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.reader import Batch, LogReader
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

MOST_FILES = 200
"""A glob that matches more files than this is read in part, and says so."""


def _readable_patterns(patterns: dict[str, str]) -> dict[str, str]:
    try:
        compile_patterns(patterns)
    except ConditionError as exc:
        raise ValueError(str(exc)) from exc
    return patterns


def _known_format(name: str) -> str:
    if name != "auto" and name not in FORMATS:
        raise ValueError(f'"{name}" is not a log format (auto, or one of {", ".join(FORMATS)})')
    return name


class LogConfig(SignalConfig):
    """Keys of `log`."""

    path: Annotated[tuple[str, ...], BeforeValidator(one_or_many), Field(min_length=1)] = Field(
        description="the file, or a list; a glob takes in files that come later"
    )
    format: Annotated[str, AfterValidator(_known_format)] = Field(
        "auto", description="how lines are written; auto tells by looking"
    )
    patterns: Annotated[dict[str, str], AfterValidator(_readable_patterns)] = Field(
        default_factory=dict, description="named regular expressions, counted as matches.<name>"
    )
    expect_every: Duration | None = Field(None, description="the longest usual gap between two lines")

    def labels(self) -> Labels:
        """Return the path as the file has it."""
        return Labels(path=",".join(self.path))

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = {"matches.*"} | (set() if self.expect_every else {"overdue"})
        matches = {f"matches.{name}": Log.MEASURES["matches.*"] for name in self.patterns}
        return {name: found for name, found in Log.MEASURES.items() if name not in absent} | matches


class Log(LocalSignal[LogConfig]):
    """Follows log files through rotation, and counts what is new."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "lines": counter("Lines logged; a traceback belongs to its line"),
        "errors": counter("Lines logged as error or worse"),
        "error_ratio": Measure(
            Kind.RATIO, Unit.RATIO, "Share of lines logged as error or worse", parts=("errors", "lines")
        ),
        "age": seconds("Time since the last line", grows=True),
        "overdue": value("Time since the last line by the longest usual gap"),
        "behind": value("Bytes written and not read yet", Unit.BYTES),
        "matches.*": counter("Lines in which a pattern was found"),
    }
    Config = LogConfig

    def __init__(self, key: SignalKey, config: LogConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._patterns = compile_patterns(config.patterns)
        self._readers: dict[str, LogReader] = {}
        self._first_look: datetime | None = None
        self._last_line: datetime | None = None
        self._last_error: str | None = None

    def look_here(self, now: datetime) -> Reading:
        """Read what is new in every file; raise CollectError if there is none to read."""
        self._first_look = self._first_look or now
        batches: list[Batch] = []
        troubles: list[str] = []
        paths = self._expand()
        for path in paths[:MOST_FILES]:
            try:
                batches.append(self._read(path, now))
            except CollectError as exc:
                troubles.append(str(exc))
        self._let_go(paths)
        if not batches:
            raise CollectError("; ".join(troubles[:3]))
        if len(paths) > MOST_FILES:
            troubles.append(f"only {MOST_FILES} of {len(paths)} files are read")
        evidence = self._note(batches)
        if troubles:
            evidence["unread"] = "; ".join(troubles[:3])
        gaps = ("lines", "errors") if troubles else ()
        return Reading(self.key, now, self._values(batches, now), self._counts(batches), evidence, gaps=gaps)

    def _read(self, path: str, now: datetime) -> Batch:
        """Return what is new in *path*; the first look takes in what the window needs."""
        if path in self._readers:
            return self._readers[path].read(now)
        chosen = None if self.config.format == "auto" else self.config.format
        reader = self._readers[path] = LogReader(path, chosen, self._patterns)
        return reader.start(now, self.keep)

    def _let_go(self, paths: Sequence[str]) -> None:
        """Close the files that no glob matches any more."""
        for path in self._readers.keys() - set(paths):
            self._readers.pop(path).close()

    def _note(self, batches: Sequence[Batch]) -> dict[str, object]:
        """Keep the newest line's time and the last error, and return the evidence."""
        times = [batch.last_line_at for batch in batches if batch.last_line_at is not None]
        self._last_line = max([*times, *([self._last_line] if self._last_line else [])], default=None)
        errors = [batch.last_error for batch in batches if batch.last_error]
        self._last_error = errors[-1] if errors else self._last_error
        evidence: dict[str, object] = {"format": ", ".join(sorted({batch.format_name for batch in batches}))}
        if self._last_error:
            evidence["last_error"] = self._last_error
        return evidence

    def _values(self, batches: Sequence[Batch], now: datetime) -> dict[str, Value]:
        """Return the ages; a log that never held a line is as old as we have been watching."""
        since = self._last_line or self._first_look or now
        age = max(0.0, (now - since).total_seconds())
        values: dict[str, Value] = {
            "age": age if self._last_line else AtLeast(age),
            "behind": float(sum(batch.behind_bytes for batch in batches)),
        }
        if self.config.expect_every:
            overdue = age / self.config.expect_every.total_seconds()
            values["overdue"] = overdue if self._last_line else AtLeast(overdue)
        return values

    def _counts(self, batches: Sequence[Batch]) -> dict[Series, Counted]:
        """Return lines, errors and matches by the time they were written, of all files together."""
        since = max(batch.covered_since for batch in batches)
        steps: dict[Series, list[tuple[datetime, float]]] = {
            series: []
            for series in [("lines", ""), ("errors", ""), *((f"matches.{n}", "") for n in self._patterns)]
        }
        for bucket in sorted((b for batch in batches for b in batch.buckets), key=lambda b: b.at):
            for series, count in (
                (("lines", ""), bucket.records),
                (("errors", ""), bucket.errors),
                *(((f"matches.{name}", ""), n) for name, n in bucket.matches.items()),
            ):
                if count:
                    steps[series].append((bucket.at, float(count)))
        return {series: Counted(since, tuple(found)) for series, found in steps.items()}

    def _expand(self) -> list[str]:
        """Return the files of all paths and globs; a path without wildcards stands even if it is missing."""
        found: dict[str, None] = {}
        for path in self.config.path:
            if glob.has_magic(path):
                found |= dict.fromkeys(sorted(glob.glob(path)))
            else:
                found[path] = None
        if not found:
            raise CollectError(f"no file matches {', '.join(self.config.path)}")
        return list(found)
