"""`executions`: when work last succeeded, how much was offered meanwhile, and why the rest did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from watchdog.entries import Entry, EntryId, FieldTest, matches, parse_tests, tidy_reason
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Counted, Measure, Reading, Series, SignalKey, Value
from watchdog.signals.base import Look, RedisSignal
from watchdog.signals.contents import FieldCounts
from watchdog.signals.mix import Mix
from watchdog.signals.pace import Pace
from watchdog.signals.results import MEASURES, ExecutionsConfig
from watchdog.signals.tail import Slice, StreamTail
from watchdog.units import EPOCH

FILL_RESULTS = 50_000
"""How far back, in entries, the first look searches for a success."""
FILL_INPUT = 10_000


class Executions(RedisSignal[ExecutionsConfig]):
    """Counts outcomes, the one thing that tells work from motion."""

    MEASURES: ClassVar[Mapping[str, Measure]] = MEASURES
    Config = ExecutionsConfig

    def __init__(self, key: SignalKey, config: ExecutionsConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._success = parse_tests(config.success)
        self._ignore = parse_tests(config.ignore)
        far = max([keep, *(ceiling.window for ceiling in config.at_most)])
        self._results = StreamTail(config.stream, far, FILL_RESULTS, wanted=self._succeeded)
        self._input: tuple[StreamTail, Sequence[FieldTest]] | None = None
        if config.input is not None:
            self._input = StreamTail(config.input.stream, keep, FILL_INPUT), parse_tests(config.input.where)
        self._last_success: EntryId | None = None
        self._succeeded_at: datetime | None = None  # its time, or ours where the ID lies in the future
        self._offered = frozenset(config.offered())
        self._mix = Mix(config)
        self._fields = FieldCounts(config.fields, self._succeeded) if config.fields else None
        self._pace = Pace(config.at_most) if config.at_most else None
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
        since = self._results.since or now
        counts = self._judge(self._unjudged, since, now)
        counts |= self._mix.count(self._unjudged, since, now)
        self._unjudged = []
        values = {"age": self._age(results, now), **self._mix.values()}
        evidence = self._evidence()
        if self._pace is not None:
            self._pace.take(at for at, _ in counts["succeeded", ""].steps)
            values["of_limit"], evidence["pace"] = self._pace.load(now, since)
        if offered is not None:
            counts["offered", ""] = offered
        if trouble is not None:
            evidence["input"] = trouble
        gaps = ("offered",) if trouble is not None else ()
        return Reading(self.key, now, values, counts, evidence, gaps=gaps)

    def _succeeded(self, entry: Entry) -> bool:
        return matches(entry, self._success)

    def _judge(self, entries: Iterable[Entry], since: datetime, now: datetime) -> dict[Series, Counted]:
        """Sort results into successes and reasons."""
        steps: dict[Series, list[tuple[datetime, float]]] = {("total", ""): [], ("succeeded", ""): []}
        answered: list[tuple[datetime, float]] = []
        meant: list[Entry] = []
        for entry in entries:
            at = min(entry.id.at, now)
            answered.append((at, 1.0))
            if self._succeeded(entry):
                self._note_success(entry.id, at)
                steps["succeeded", ""].append((at, 1.0))
            elif self._ignore and matches(entry, self._ignore):
                continue
            else:
                self._note_failure(entry, at, steps)
            meant.append(entry)
            steps["total", ""].append((at, 1.0))
        also = {"answered": answered, "attempted": steps["total", ""]}
        steps |= {(name, ""): found for name, found in also.items() if name in self._offered}
        counts = {series: Counted(since, tuple(found)) for series, found in steps.items()}
        return counts if self._fields is None else counts | self._fields.count(meant, since, now)

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
        if self._fields is not None and self._fields.last_bad is not None:
            evidence["last_bad_value"] = self._fields.last_bad
        return {**evidence, **self._mix.evidence()}
