"""`heartbeat`: a key, hash field or stream that a service renews while it lives."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from watchdog.entries import ORIGIN, Entry, parse_entries
from watchdog.errors import CollectError
from watchdog.fields import Duration
from watchdog.logs.redact import redact
from watchdog.model import Labels, Measure, Reading, SignalKey, Value, counter, seconds, value
from watchdog.signals.base import Command, Look, RedisSignal, Refused, Reply, SignalConfig
from watchdog.signals.progress import Progress
from watchdog.signals.replies import text
from watchdog.synthetic import is_over, mark_key, read_mark
from watchdog.timestamps import parse_timestamp
from watchdog.units import plain, rfc3339

STREAM_FIELDS = ("last_decision_ts", "ts", "timestamp")
"""Where a heartbeat kept as stream entries has its time, if not told; else the entry's ID counts."""
JSON_FIELDS = ("ts", "timestamp", "time", "last_seen", "updated_at")
NO_EXPIRY = -1
"""What PTTL says of a key that never expires."""
RENEWED = timedelta(seconds=1)
"""A TTL that is longer by this than it could be has been renewed."""
KEPT_FOR = 60.0
"""
What the next process should know is renewed no more often while it beats, in seconds.

For all of them in the same tick: so the state file is written once a minute on their account, not always.
"""
WORK = ("success_age", "overdue", "done", "failed")
"""Measures of a heartbeat that also tells what its service has done."""


class HeartbeatConfig(SignalConfig):
    """Keys of `heartbeat`."""

    key: str | None = Field(
        None,
        min_length=1,
        description="the string key that holds the heartbeat",
        examples=["quantum:svc:rl_trainer:heartbeat"],
    )
    hash: str | None = Field(
        None, min_length=1, description="a hash that holds it, in `field`", examples=["quantum:heartbeats"]
    )
    field: str | None = Field(
        None,
        min_length=1,
        description="the field of `hash`, `stream` or of a JSON value",
        examples=["rl_trainer"],
    )
    stream: str | None = Field(
        None,
        min_length=1,
        description="a stream whose entries are the heartbeats",
        examples=["quantum:stream:heartbeats"],
    )
    format: Literal["auto", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "iso", "text"] = Field(
        "auto", description="how the time is written; auto tells by looking"
    )
    ttl: Duration | None = Field(
        None, description="the expiry the service gives the key, if it gives one", examples=["30s"]
    )
    expect_success: Duration | None = Field(
        None,
        description="the longest usual time between two successes, where the heartbeat tells of them",
        examples=["15m"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> HeartbeatConfig:
        if sum(place is not None for place in (self.key, self.hash, self.stream)) != 1:
            raise ValueError("a heartbeat lives in one place (give key, or hash and field, or stream)")
        if self.hash is not None and self.field is None:
            raise ValueError("a heartbeat in a hash needs its field (add field: …)")
        if self.stream is not None and self.expect_success is not None:
            raise ValueError("entries of a stream tell of no successes (use executions, or take it out)")
        return self

    def labels(self) -> Labels:
        """Return the key, and the field where there is one."""
        place = self.key or self.hash or self.stream or ""
        return Labels({"key": place}, {"field": self.field} if self.field and self.hash else {})

    def offered(self) -> Mapping[str, Measure]:
        """Return all measures; `ttl` only where the file declares one, work only where it is expected."""
        absent = set() if self.ttl else {"ttl"}
        absent |= set() if self.expect_success else {*WORK}
        absent |= {"synthetic"} if self.stream else set()
        return {name: found for name, found in Heartbeat.MEASURES.items() if name not in absent}


@dataclass(frozen=True, slots=True)
class Beat:
    """What was found at the heartbeat's place: its text, its time, its remaining life, the mark beside it."""

    text: str
    at: datetime | None
    ttl: timedelta | None = None  # None: it never expires, or may not be asked for
    ttl_refused: bool = False
    mark: Reply = None


class Heartbeat(RedisSignal[HeartbeatConfig]):
    """Tells a missing, stale, frozen, future, undying, mistyped and synthetic heartbeat apart."""

    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "present": value("1 while the heartbeat exists"),
        "age": seconds("Age of the last beat", grows=True),
        "ttl": seconds("Time until it expires, -1 if it never does"),
        "ahead": seconds("How far its time lies in the future"),
        "unchanged": seconds("For how long the same value has been rewritten", grows=True),
        "synthetic": value("1 while an emergency heartbeat stands in for the service's own"),
        "success_age": seconds("Time since the last success that it tells of", grows=True),
        "overdue": value("Time since it last succeeded or had nothing to do, by the longest usual time"),
        "done": counter("Pieces of work done, as it tells"),
        "failed": counter("Pieces of work that failed, as it tells"),
    }
    Config = HeartbeatConfig

    def __init__(self, key: SignalKey, config: HeartbeatConfig, keep: timedelta) -> None:
        super().__init__(key, config, keep)
        self.last_beat: datetime | None = None
        self._kept: Mapping[str, Any] = {}
        self._kept_in = 0  # which minute it was when it was kept
        self._before: tuple[datetime, Beat] | None = None
        self._same_since: datetime | None = None
        self._renewed = False
        self._progress = Progress(config.expect_success) if config.expect_success else None

    def memory(self) -> Mapping[str, Any]:
        """Remember a beat, so that a vanished key still has an age: the last, while it beats a late one."""
        return self._kept

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take back the last beat seen."""
        if "last_beat" in memory:
            self.last_beat, self._kept = datetime.fromisoformat(memory["last_beat"]), memory

    def look(self, now: datetime) -> Look:
        """Read the beat, its expiry and the mark beside it in one round trip."""
        found = yield from self._fetch()
        if found is None:
            self._before = self._same_since = None
            values: dict[str, Value] = {"present": 0.0}
            if self.config.stream is None:
                values["synthetic"] = 0.0
            if self.last_beat is not None:
                values["age"] = max(0.0, (now - self.last_beat).total_seconds())
            self._keep()
            last = rfc3339(self.last_beat) if self.last_beat else "never seen"
            return Reading(self.key, now, values, evidence={"last_beat": last})
        frozen = self._frozen(found, now)
        self._before = (now, found)
        age = self._age(found, now)
        mark, marked = self._mark(found, now)
        if age is not None and not mark.get("synthetic"):
            self.last_beat = now - timedelta(seconds=max(0.0, age))
            if (minute := int(now.timestamp() // KEPT_FOR)) != self._kept_in:
                self._kept_in = minute
                self._keep()
        values = {
            "present": 1.0,
            "age": None if age is None else max(0.0, age),
            "ahead": None if age is None else max(0.0, -age),
            "unchanged": frozen.total_seconds(),
        }
        if self.config.format == "text" and self.config.ttl is None:
            del values["age"], values["ahead"]  # by its own declaration it tells no time
        if self.config.ttl is not None and found.ttl_refused:
            values["ttl"] = None
        elif self.config.stream is None and not found.ttl_refused:
            values["ttl"] = -1.0 if found.ttl is None else found.ttl.total_seconds()
        values |= mark
        evidence: dict[str, object] = {"value": found.text[:80], **marked}
        if self._progress is None or mark.get("synthetic"):  # who stands in for it tells of no work
            return Reading(self.key, now, values, evidence=evidence)
        work = self._progress.told(_opened(found.text), now)
        told = {**values, **work.values}
        return Reading(self.key, now, told, work.counts, {**evidence, **work.evidence}, gaps=work.gaps)

    def _keep(self) -> None:
        """Have the last beat remembered as it is now."""
        if self.last_beat is not None:
            self._kept = {"last_beat": self.last_beat.isoformat()}

    def _mark(self, found: Beat, now: datetime) -> tuple[dict[str, Value], dict[str, object]]:
        """Return whether the beats are those of an emergency, and what to show of it."""
        shown: dict[str, object] = {}
        if self.config.ttl is not None and found.ttl is not None and found.ttl > self.config.ttl + RENEWED:
            shown["foreign"] = "it lives longer than its service lets it, so somebody else may write it"
        if self.config.stream is not None:
            return {}, {}
        if isinstance(found.mark, Refused):
            return {}, shown | {"synthetic": f"cannot be told: {found.mark.code}"}
        if found.mark is None:
            return {"synthetic": 0.0}, shown
        mark = read_mark(text(found.mark))
        told = ", ".join(f"{name} {said}" for name, said in mark.items())
        ended = is_over(mark, now)
        shown["ended_mark" if ended else "synthetic"] = plain(redact(told))
        return {"synthetic": float(not ended)}, shown

    def _fetch(self) -> Generator[Sequence[Command], Sequence[Reply], Beat | None]:
        config = self.config
        if config.stream is not None:
            (reply,) = yield [("XREVRANGE", config.stream, "+", "-", "COUNT", 1)]
            yield from self._refuse(reply, config.stream)
            entries = parse_entries(reply)
            if not entries:
                return None
            names = (config.field,) if config.field else STREAM_FIELDS
            stated = next((t for name in names if (t := entries[0].find(name)) is not None), None)
            at = entries[0].id.at if stated is None else parse_timestamp(stated, config.format)
            return Beat(stated or str(entries[0].id), at)
        place = config.key or config.hash or ""
        ask: Command = ("GET", place) if config.key else ("HMGET", place, config.field or "")
        reply, left, mark = yield [ask, ("PTTL", place), ("GET", mark_key(place))]
        yield from self._refuse(reply, place)
        held = reply if config.key else reply[0]
        if held is None:
            return None
        shown = text(held)
        if isinstance(left, Refused):
            return Beat(shown, self._time(shown), ttl_refused=True, mark=mark)
        ttl = (
            None if left == NO_EXPIRY else timedelta(milliseconds=max(0, left))
        )  # it may end between the two
        return Beat(shown, self._time(shown), ttl, mark=mark)

    def _refuse(self, reply: Reply, place: str) -> Generator[Sequence[Command], Sequence[Reply], None]:
        if not isinstance(reply, Refused):
            return
        if reply.code != "WRONGTYPE":
            raise CollectError(f'heartbeat "{place}" cannot be read: {reply}')
        (kind,) = yield [("TYPE", place)]
        wanted = "stream" if self.config.stream else "hash" if self.config.hash else "string"
        held = "another type" if isinstance(kind, Refused) else f"a {text(kind)}"
        raise CollectError(f'heartbeat "{place}" holds {held}, not a {wanted}')

    def _time(self, shown: str) -> datetime | None:
        if shown[:1] != "{":
            return parse_timestamp(shown, self.config.format)
        entry = _opened(shown)
        named = self.config.field if self.config.hash is None else None  # a hash's field is taken already
        names = (named,) if named else JSON_FIELDS
        stated = next((found for name in names if (found := entry.find(name)) is not None), None)
        return None if stated is None else parse_timestamp(stated, self.config.format)

    def _age(self, found: Beat, now: datetime) -> float | None:
        """Return the beat's age by its own time, or else by what is gone of its declared life."""
        if found.at is not None:
            return (now - found.at).total_seconds()
        if self.config.ttl is not None and found.ttl is not None:
            return max(0.0, (self.config.ttl - found.ttl).total_seconds())
        return None

    def _frozen(self, found: Beat, now: datetime) -> timedelta:
        """Return for how long one value has been written again and again."""
        if self._before is None or self._before[1].text != found.text:
            self._same_since, self._renewed = now, False
            if self._before is None and (stated := self._stated_before(found, now)) is not None:
                self._same_since, self._renewed = stated, True
        elif found.ttl is not None and self._before[1].ttl is not None:
            expected = self._before[1].ttl - (now - self._before[0])
            self._renewed = self._renewed or found.ttl > expected + RENEWED
        return now - (self._same_since or now) if self._renewed else timedelta(0)

    def _stated_before(self, found: Beat, now: datetime) -> datetime | None:
        """Return the beat's own time if it was last written, by its declared expiry, clearly after that."""
        if self.config.ttl is None or found.ttl is None or found.at is None or found.ttl > self.config.ttl:
            return None
        written = now - (self.config.ttl - found.ttl)
        return found.at if written - found.at > RENEWED else None


def _opened(shown: str) -> Entry:
    """Return the fields of a value that is a JSON object; of any other there are none."""
    return Entry(ORIGIN, {"payload": shown})
