"""`executions`: when work last succeeded, how much was offered meanwhile, and why the rest did not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from watchdog.entries import Entry, EntryId, FieldTest, matches, parse_tests, tidy_reason
from watchdog.errors import CollectError
from watchdog.model import AtLeast, Counted, Measure, Reading, Series, SignalKey, Value
from watchdog.rhythm import Rhythm
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
LEARN_FROM = timedelta(weeks=5)
"""How far back a rhythm is learnt from, where the stream remembers it and no earlier process did."""


class Executions(RedisSignal[ExecutionsConfig]):
    """Counts outcomes, the one thing that tells work from motion."""

    MEASURES: ClassVar[Mapping[str, Measure]] = MEASURES
    Config = ExecutionsConfig
    RECALLS = True

    def __init__(self, key: SignalKey, config: ExecutionsConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._success = parse_tests(config.success)
        self._test = json.dumps(config.success, sort_keys=True, default=str)  # as it is remembered
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
        self._declared = config.expect_every.total_seconds() if config.expect_every else None
        self._rhythm: Rhythm | None = None
        if self._declared is None:
            self._results.far = max(far, LEARN_FROM)
        self._known_since = 0.0  # no success was missed from then on
        self._rereading = True
        self._learnt = ""  # the rhythm, to be kept
        self._offers = 0  # since the last success

    def memory(self) -> Mapping[str, Any]:
        """Remember the cursor, the last success, by which test it was one, and since when there was none."""
        known = {
            "success": self._test if self._results.cursor is not None else None,
            "cursor": self._results.cursor,
            "last_success": self._last_success,
            "succeeded_at": self._succeeded_at and self._succeeded_at.isoformat(),
            "no_success_since": self._no_success_since and self._no_success_since.isoformat(),
            "rhythm": self._learnt or None,
        }
        return {name: str(found) for name, found in known.items() if found is not None}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """
        Take up where an earlier process stopped; what lies in the window is read again for its history.

        Of another test of success nothing is believed: the stream is searched as if for the first time.
        """
        if memory.get("success", self._test) != self._test:
            return
        if "cursor" in memory:
            self._results.resume = EntryId.parse(memory["cursor"])
        if "last_success" in memory:
            self._last_success = EntryId.parse(memory["last_success"])
            at = memory.get("succeeded_at")
            self._succeeded_at = datetime.fromisoformat(at) if at else self._last_success.at
        if "no_success_since" in memory:
            self._no_success_since = datetime.fromisoformat(memory["no_success_since"])
        if "rhythm" in memory and self._declared is None:
            self._rhythm, self._learnt = Rhythm.of(memory["rhythm"]), memory["rhythm"]
            self._results.far = self._results.keep

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
        follows = first and self._results.resume is not None and not self._results.gap
        self._known_since, self._rereading = 0.0 if follows else since.timestamp(), first
        counts = self._judge(self._unjudged, since, now)
        counts |= self._mix.count(self._unjudged, since, now)
        self._unjudged = []
        if self._rhythm is not None and counts["succeeded", ""].steps:
            self._learnt = self._rhythm.state()
        values = {**self._ages(results, now), **self._mix.values()}
        evidence = self._evidence()
        if self._pace is not None:
            self._pace.take(at for at, _ in counts["succeeded", ""].steps)
            values["of_limit"], evidence["pace"] = self._pace.load(now, since)
        if offered is not None:
            counts["offered", ""] = offered
            values["offered_since"] = self._count_offers(offered)
        if trouble is not None:
            evidence["input"] = trouble
            values["offered_since"] = None
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
            self._offers = 0
        if self._declared is None:
            self._learn(at.timestamp())

    def _learn(self, at: float) -> None:
        """Take in a success; one that an earlier process saw is read again for the window."""
        if self._rhythm is None:
            self._rhythm = Rhythm(at)
        elif at > self._rhythm.last or not self._rereading:
            if self._known_since <= self._rhythm.last:
                self._rhythm.learn(at)
            else:
                self._rhythm.pass_over(at)

    def _count_offers(self, offered: Counted) -> Value:
        """Return how many offers came since the last success, at least those that were seen."""
        last = self._succeeded_at
        self._offers += sum(last is None or at > last for at, _ in offered.steps)
        found = float(self._offers)
        return found if last is not None and offered.since <= last else AtLeast(found)

    def _note_failure(
        self, entry: Entry, at: datetime, steps: dict[Series, list[tuple[datetime, float]]]
    ) -> None:
        reason = tidy_reason(entry.find(self.config.reason) or "") if self.config.reason else ""
        if reason:
            steps.setdefault(("reason", reason), []).append((at, 1.0))
        self._last_failure = {"id": str(entry.id)} | ({"reason": reason} if reason else {})

    def _ages(self, results: Slice, now: datetime) -> dict[str, Value]:
        """Return the time since the last success, alone and by what is usual, as far as that is known."""
        age = self._age(results, now)
        learnt = self._rhythm.usual(now.timestamp()) if self._rhythm is not None else None
        every = self._declared or learnt
        found: dict[str, Value] = {"age": age, "rhythm": float(every is not None)}
        if every is not None:
            found["expected" if self._declared else "usual"] = every
            found["overdue"] = AtLeast(age.number / every) if isinstance(age, AtLeast) else age / every
        return found

    def _age(self, results: Slice, now: datetime) -> float | AtLeast:
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
