"""`log`: how much is logged, how much of it as errors, and what else a pattern finds in it."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from watchdog.errors import CollectError, ConditionError
from watchdog.logs.formats import FORMATS
from watchdog.logs.patterns import compile_patterns
from watchdog.logs.position import Position
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
from watchdog.signals.base import Duration, LocalSignal, SignalConfig
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


def _paths(raw: object) -> object:
    return (raw,) if isinstance(raw, str) else raw


class LogConfig(SignalConfig):
    """Keys of `log`."""

    path: Annotated[tuple[str, ...], BeforeValidator(_paths), Field(min_length=1)] = Field(
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
        self._readers: dict[str, LogReader] = {}
        self._positions: dict[str, Position] = {}
        self._last_line: datetime | None = None
        self._last_error: str | None = None
        self._since: datetime | None = None
        self._watching_since: datetime | None = None

    def memory(self) -> Mapping[str, Any]:
        """Remember how far each file has been read."""
        positions = {path: reader.position for path, reader in self._readers.items()}
        return {"positions": {path: asdict(p) for path, p in positions.items() if p is not None}}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take up each file where an earlier process stopped."""
        self._positions = {path: Position(**found) for path, found in memory.get("positions", {}).items()}

    def look_here(self, now: datetime) -> Reading:
        """Read what is new in every file; raise CollectError if there is none to read."""
        self._watching_since = self._watching_since or now
        paths = self._expand()
        batches: dict[str, Batch] = {}
        troubles: list[str] = []
        for path in paths[:MOST_FILES]:
            try:
                batches[path] = self._read(path, now)
            except CollectError as exc:
                troubles.append(str(exc))
        if not batches:
            raise CollectError("; ".join(troubles[:3]))
        self._since = self._covered(batches, now)
        self._note(batches)
        evidence: dict[str, object] = {"format": ", ".join(sorted({b.format_name for b in batches.values()}))}
        if self._last_error:
            evidence["last_error"] = self._last_error
        if troubles:
            evidence["unread"] = "; ".join(troubles[:3])
        gaps = ("lines", "errors") if troubles else ()
        return Reading(
            self.key, now, self._values(batches, now), self._counts(batches), evidence, gaps=gaps
        )

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
