"""`trace`: how long orders take from the first stage to the last, which stage is slow, which never arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from watchdog.entries import Entry, matches, parse_tests
from watchdog.fields import Duration
from watchdog.model import (
    Counted,
    Held,
    Labels,
    Measure,
    Reading,
    Series,
    SignalKey,
    Since,
    counter,
    seconds,
    value,
    word,
)
from watchdog.signals.base import Look, RedisSignal, SignalConfig
from watchdog.signals.tail import StreamTail
from watchdog.traceparent import TRACEPARENT, Traceparent, parse_traceparent
from watchdog.traces import MOST_OF_THEM, Flight, Seen, Traces

FILL = 5_000
"""How many entries of each stage are read at start."""
NOTHING = "nothing"
_STAGE = r"^[A-Za-z_][\w-]*$"
_PLAIN_ID = re.compile(r"[\w.:@/+=-]{1,128}")
_COUNTERS = ("started", "completed", "lost", "dropped")
Wanted = dict[str, Any]


class TraceConfig(SignalConfig):
    """Keys of `trace`."""

    stages: dict[Annotated[str, Field(pattern=_STAGE)], Annotated[str, Field(min_length=1)]] = Field(
        min_length=2,
        description="the stages in their order, each a name and its stream",
        examples=[{"plan": "quantum:stream:apply.plan", "execution": "quantum:stream:execution.result"}],
    )
    field: str = Field(
        TRACEPARENT,
        min_length=1,
        description="the field that says which trace an entry belongs to",
        examples=["traceparent", "order_id"],
    )
    complete: Wanted = Field(
        default_factory=dict,
        description="which entries of the last stage are an end, such as {status: filled}",
        examples=[{"status": "filled"}],
    )
    where: Wanted = Field(
        default_factory=dict,
        description="a trace is owed an end once it has such an entry; {}: every one",
        examples=[{"decision": ["EXECUTE", "RECONCILE_CLOSE"]}],
    )
    unless: Wanted = Field(
        default_factory=dict,
        description="but not if it has such a one, such as {executed: false}",
        examples=[{"executed": False}],
    )
    at_most: Duration | None = Field(
        None, description="how long it may take to come to the last stage", examples=["30s"]
    )
    window: Duration = Field(timedelta(minutes=10), description="of how long a time the figures are (10m)")
    forget: Duration = Field(
        timedelta(hours=1), description="after so long a trace without an end is given up as lost (1h)"
    )

    @field_validator("where", "unless", "complete")
    @classmethod
    def _can_be_tested(cls, wanted: Wanted) -> Wanted:
        parse_tests(wanted)
        return wanted

    def labels(self) -> Labels:
        """Return the first stream and the last."""
        streams = list(self.stages.values())
        return Labels(stream=streams[0], end=streams[-1])

    def offered(self) -> Mapping[str, Measure]:
        """Return what this configuration can tell."""
        absent = {"stage.*"} | (set() if self.at_most is not None else {"overdue"})
        found = {name: measure for name, measure in Trace.MEASURES.items() if name not in absent}
        later = list(self.stages)[1:]
        found["slowest"] = word(found["slowest"].help, *later)
        found["missing_stage"] = word(found["missing_stage"].help, NOTHING, *later)
        return found | {f"stage.{name}": Trace.MEASURES["stage.*"] for name in later}


class Trace(RedisSignal[TraceConfig]):
    """Follows each order through all stages, by the trace that its entries carry."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "end_to_end": seconds("Time from the first stage to the end: 95 % take no longer"),
        "typical": seconds("Time from the first stage to the end: half of them take no longer"),
        "stage.*": seconds(
            "Time from the entry of the stage before to that of this one: 95 % take no longer"
        ),
        "slowest": word("The stage that takes longest"),
        "unfinished": seconds("Time since the oldest trace began that has not come to the end it is owed"),
        "overdue": value("Time since it began, by the time that `at_most` allows"),
        "missing_stage": word("The stage that the oldest unfinished trace has not come to, or nothing"),
        "in_flight": value("Traces that have not come to the end they are owed"),
        "started": counter("Traces that began at the first stage"),
        "completed": counter("Traces that came from the first stage to the end"),
        "lost": counter("Traces given up: they never came to the end they were owed"),
        "dropped": counter("Traces given up because there were too many at once"),
        "untraced": counter("Entries of any stage that belong to no trace"),
    }
    Config = TraceConfig
    RECALLS = True

    def __init__(self, key: SignalKey, config: TraceConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self._where = parse_tests(config.where)
        self._unless = parse_tests(config.unless)
        self._complete = parse_tests(config.complete)
        far = max(keep, config.forget)
        self._tails = [StreamTail(stream, far, FILL) for stream in config.stages.values()]
        self.traces = Traces(tuple(config.stages), window=config.window, forget=config.forget)
        self._read: list[tuple[int, Entry]] = []  # what a look that broke off had read
        self._last_untraced: Mapping[str, str] = {}
        self._looked = False
        self._ends_known_since: float | None = None  # None: the last stage holds more than was read yet

    def look(self, now: datetime) -> Look:
        """Read what is new, the last stage first: so nothing is seen of a trace without what came before."""
        for stage in reversed(range(len(self._tails))):
            found = yield from self._tails[stage].read(now)
            self._read += ((stage, entry) for entry in found.entries)
            if stage == len(self._tails) - 1:
                since = self._tails[stage].since or now
                self._ends_known_since = None if found.behind else since.timestamp()
        first = not self._looked
        self._looked = True
        read, self._read = self._read, []
        untraced: list[datetime] = []
        self.traces.take(self._seen(read, untraced), now)
        if first:
            self.traces.hand_over()  # what was over before us is not sent on once more
        counts = self._counts(now, untraced)
        return Reading(self.key, now, self._values(), counts, self._evidence())

    def _seen(self, read: list[tuple[int, Entry]], untraced: list[datetime]) -> Iterator[Seen]:
        last = len(self._tails) - 1
        for stage, entry in read:
            trace = self._trace_of(entry)
            if trace is None:
                untraced.append(entry.id.at)
                self._last_untraced = {"stage": self.traces.stages[stage], "id": str(entry.id)}
                continue
            yield Seen(
                stage,
                entry.id,
                trace,
                owes=matches(entry, self._where),
                excused=bool(self._unless) and matches(entry, self._unless),
                is_end=stage == last and matches(entry, self._complete),
            )

    def _trace_of(self, entry: Entry) -> Traceparent | None:
        """Return the trace of *entry*; any other field than `traceparent` may hold any plain id."""
        text = entry.find(self.config.field)
        trace = parse_traceparent(text)
        if trace is not None or text is None or self.config.field == TRACEPARENT:
            return trace
        return Traceparent(text, "", sampled=False) if _PLAIN_ID.fullmatch(text) else None

    def _since(self, now: datetime) -> datetime:
        """Return the moment from which on nothing was missed in any stage."""
        return max(tail.since or now for tail in self._tails)

    def _counts(self, now: datetime, untraced: list[datetime]) -> Mapping[Series, Counted]:
        gained = self.traces.gained()
        steps = {name: gained.get(name, ()) for name in _COUNTERS} | {"untraced": untraced}
        since = self._since(now)
        return {
            (name, ""): Counted(since, tuple((min(at, now), 1.0) for at in sorted(found)))
            for name, found in steps.items()
        }

    def _values(self) -> Mapping[str, Held]:
        """Return the measures; what nothing was ever seen of is not among them."""
        if not self.traces.any_seen:
            return {}
        taken = dict(self.traces.stage_times())
        held: dict[str, Held] = {f"stage.{name}": found for name, found in taken.items()}
        if taken:
            held["slowest"] = max(taken, key=lambda name: taken[name])
        for name, part in (("end_to_end", MOST_OF_THEM), ("typical", 0.5)):
            found = self.traces.end_to_end.reached(part)
            if found is not None:
                held[name] = found
        return held if self._ends_known_since is None else {**held, **self._on_the_way(self._waiting())}

    def _on_the_way(self, oldest: Flight | None) -> Mapping[str, Held]:
        limit = self.config.at_most
        held: dict[str, Held] = {
            "unfinished": Since(oldest.first.at) if oldest else 0.0,
            "missing_stage": self.traces.waits_for(oldest) if oldest else NOTHING,
            "in_flight": float(self.traces.in_flight),
        }
        if limit is not None:
            held["overdue"] = Since(oldest.first.at, per=limit.total_seconds()) if oldest else 0.0
        return held

    def _waiting(self) -> Flight | None:
        since = self._ends_known_since
        return None if since is None else self.traces.unfinished(since)

    def _evidence(self) -> Mapping[str, object]:
        told: dict[str, object] = {}
        oldest, worst = self._waiting(), self.traces.end_to_end.worst()
        if oldest is not None:
            stages = self.traces.stages
            entries = {stages[stage]: str(passage.id) for stage, passage in sorted(oldest.passed.items())}
            told["oldest_unfinished"] = {"trace": oldest.trace_id, **entries}
        if worst is not None:
            told["slowest_completed"] = {"trace": worst.trace_id, "seconds": round(worst.seconds, 3)}
        if self._last_untraced:
            told["last_untraced"] = dict(self._last_untraced)
        return told
