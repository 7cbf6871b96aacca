"""`executions`: when work last succeeded, how much was offered meanwhile, and why the rest did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from watchdog.entries import Entry, EntryId, FieldTest, matches, parse_tests, tidy_reason
from watchdog.errors import CollectError
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
)
from watchdog.signals.base import Look, RedisSignal, SignalConfig
from watchdog.signals.tail import Slice, StreamTail
from watchdog.units import EPOCH, Unit

FILL_RESULTS = 50_000
"""How far back, in entries, the first look searches for a success."""
FILL_INPUT = 10_000

Wanted = dict[str, Any]


class InputConfig(BaseModel):
    """The stream that offers work, and which of its entries are an offer."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stream: str = Field(min_length=1, description="the stream that offers work")
    where: Wanted = Field(default_factory=dict, description="only entries with these fields are offers")


def _input(raw: object) -> object:
    return {"stream": raw} if isinstance(raw, str) else raw


class ExecutionsConfig(SignalConfig):
    """Keys of `executions`."""

    stream: str = Field(min_length=1, description="the stream that holds the results")
    success: Wanted = Field(min_length=1, description="what every field of a success must be")
    reason: str | None = Field(None, description="the field that says why it did not succeed")
    input: Annotated[InputConfig, BeforeValidator(_input)] | None = Field(
        None, description="the stream that offers the work: only it tells quiet from dead"
    )
    ignore: Wanted = Field(
        default_factory=dict, description="results that were never meant to succeed, such as {decision: SKIP}"
    )

    def labels(self) -> Labels:
        """Return the result stream."""
        return Labels(stream=self.stream)

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = set() if self.input else {"offered"}
        absent |= set() if self.reason else {"top_reason", "top_reason_share"}
        return {name: found for name, found in Executions.MEASURES.items() if name not in absent}


class Executions(RedisSignal[ExecutionsConfig]):
    """Counts outcomes, the one thing that tells work from motion."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "total": counter("Results"),
        "succeeded": counter("Results that are a success"),
        "offered": counter("Entries that offered work"),
        "age": seconds("Time since the last success", grows=True),
        "success_ratio": Measure(
            Kind.RATIO, Unit.RATIO, "Share of results that are a success", parts=("succeeded", "total")
        ),
        "top_reason_share": Measure(
            Kind.SHARE,
            Unit.RATIO,
            "Share of the most frequent reason in all results",
            parts=("reason", "total"),
        ),
        "top_reason": Measure(
            Kind.TOP, Unit.WORD, "The most frequent reason for not succeeding", parts=("reason",)
        ),
    }
    Config = ExecutionsConfig

    def __init__(self, key: SignalKey, config: ExecutionsConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._success = parse_tests(config.success)
        self._ignore = parse_tests(config.ignore)
        self._results = StreamTail(config.stream, keep, FILL_RESULTS, wanted=self._succeeded)
        self._input: tuple[StreamTail, Sequence[FieldTest]] | None = None
        if config.input is not None:
            self._input = StreamTail(config.input.stream, keep, FILL_INPUT), parse_tests(config.input.where)
        self._last_success: EntryId | None = None
        self._succeeded_at: datetime | None = None  # its time, or ours where the ID lies in the future
        self._unjudged: list[Entry] = []  # read in a look that Redis cut short
        self._no_success_since: datetime | None = None
        self._last_failure: Mapping[str, str] = {}

    def memory(self) -> Mapping[str, Any]:
        """Remember the cursor, the last success, and since when there was none."""
        known = {
            "cursor": self._results.cursor,
            "last_success": self._last_success,
            "succeeded_at": self._succeeded_at and self._succeeded_at.isoformat(),
            "no_success_since": self._no_success_since and self._no_success_since.isoformat(),
        }
        return {name: str(found) for name, found in known.items() if found is not None}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take up where an earlier process stopped; what lies in the window is read again for its history."""
        if "cursor" in memory:
            self._results.resume = EntryId.parse(memory["cursor"])
        if "last_success" in memory:
            self._last_success = EntryId.parse(memory["last_success"])
            at = memory.get("succeeded_at")
            self._succeeded_at = datetime.fromisoformat(at) if at else self._last_success.at
        if "no_success_since" in memory:
            self._no_success_since = datetime.fromisoformat(memory["no_success_since"])

    def look(self, now: datetime) -> Look:
        """Read new results and new offers."""
        first = self._results.since is None
        results = yield from self._results.read(now)
        self._unjudged += results.entries
        offered: Counted | None = None
        trouble: str | None = None
        if self._input is not None:
            tail, where = self._input
            try:
                offers = yield from tail.read(now)
            except CollectError as exc:
                trouble = str(exc)
            else:
                steps = tuple((min(e.id.at, now), 1.0) for e in offers.entries if matches(e, where))
                offered = Counted(tail.since or now, steps)
        if first and self._results.gap:
            self._no_success_since = None  # one may have come and gone while nobody watched
        counts = self._judge(self._unjudged, self._results.since or now, now)
        self._unjudged = []
        evidence = self._evidence()
        if offered is not None:
            counts["offered", ""] = offered
        if trouble is not None:
            evidence["input"] = trouble
        gaps = ("offered",) if trouble is not None else ()
        return Reading(self.key, now, {"age": self._age(results, now)}, counts, evidence, gaps=gaps)

    def _succeeded(self, entry: Entry) -> bool:
        return matches(entry, self._success)

    def _judge(self, entries: Iterable[Entry], since: datetime, now: datetime) -> dict[Series, Counted]:
        """Sort results into successes and reasons."""
        steps: dict[Series, list[tuple[datetime, float]]] = {("total", ""): [], ("succeeded", ""): []}
        for entry in entries:
            at = min(entry.id.at, now)
            if self._succeeded(entry):
                self._note_success(entry.id, at)
                steps["succeeded", ""].append((at, 1.0))
            elif self._ignore and matches(entry, self._ignore):
                continue
            else:
                self._note_failure(entry, at, steps)
            steps["total", ""].append((at, 1.0))
        return {series: Counted(since, tuple(found)) for series, found in steps.items()}

    def _note_success(self, found: EntryId, at: datetime) -> None:
        last, seen = self._last_success, self._succeeded_at
        if last is None or seen is None or (at > seen if found.at <= at else found > last):
            self._last_success, self._succeeded_at = found, at

    def _note_failure(
        self, entry: Entry, at: datetime, steps: dict[Series, list[tuple[datetime, float]]]
    ) -> None:
        reason = tidy_reason(entry.find(self.config.reason) or "") if self.config.reason else ""
        if reason:
            steps.setdefault(("reason", reason), []).append((at, 1.0))
        self._last_failure = {"id": str(entry.id)} | ({"reason": reason} if reason else {})

    def _age(self, results: Slice, now: datetime) -> Value:
        """
        Return the time since the last success.

        Where none is known it is at least the time back to the oldest result that was seen, or
        to the first look at a stream that never held one.
        """
        if self._succeeded_at is not None:
            return max(0.0, (now - self._succeeded_at).total_seconds())
        first = results.facts.first
        oldest = first.at if first and self._results.since == EPOCH else self._results.since
        bound = now if oldest is None or oldest == EPOCH else oldest
        self._no_success_since = min(bound, self._no_success_since or bound)
        return AtLeast(max(0.0, (now - self._no_success_since).total_seconds()))

    def _evidence(self) -> dict[str, object]:
        evidence: dict[str, object] = {"last_success": str(self._last_success or "none seen")}
        if self._last_failure:
            evidence["last_failure"] = dict(self._last_failure)
        return evidence
