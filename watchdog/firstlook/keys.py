"""Heartbeats and flags: which keys are some, and what their values and lives tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from watchdog.entries import ORIGIN, Entry
from watchdog.firstlook.figures import SLACK, duration, nice_above, said
from watchdog.firstlook.names import (
    HEARTBEAT_WORDS,
    is_random,
    looks_like_heartbeat,
    parts,
    service_of_key,
    slug,
    words,
)
from watchdog.firstlook.seen import KeySeen, StreamSeen
from watchdog.signals.flag import STATE_FIELDS, means_set
from watchdog.signals.heartbeat import JSON_FIELDS
from watchdog.timestamps import parse_timestamp

DEAD = timedelta(days=1)
"""Who has not beaten for so long was rather given up than just died."""
LATE = timedelta(minutes=5)
LONGEST_FLAG = 40


@dataclass(frozen=True, slots=True)
class BeatSeen:
    """One heartbeat: whose, how the file names it, why, and for how long it lives at most."""

    service: str
    keys: Mapping[str, object]
    why: str
    lives: timedelta | None = None
    sure: bool = True


def is_heartbeat_stream(stream: StreamSeen) -> bool:
    """Say whether *stream* holds heartbeats instead of work: it is called so, and no group reads it."""
    return looks_like_heartbeat(stream.key) and not stream.groups and bool(stream.entries)


def heartbeats_of(key: KeySeen, now: datetime) -> Iterator[BeatSeen]:
    """Yield the heartbeats that *key* holds: one, or in a hash one of each service; none if it is none."""
    if not key.fields:
        at = _time_of(key.text)
        if at is not None or key.left is not None:
            yield _beat(_owner(key.key), {"key": key.key}, at, key.left, now)
        return
    own = next((name for name in JSON_FIELDS if parse_timestamp(key.fields.get(name, "")) is not None), None)
    if own is not None:
        at = parse_timestamp(key.fields[own])
        yield _beat(_owner(key.key), {"hash": key.key, "field": own}, at, key.left, now)
        return
    for name, text in key.fields.items():
        if (at := _time_of(text)) is not None:
            service = "" if is_random(name) else slug(name)
            yield _beat(service, {"hash": key.key, "field": name}, at, None, now)


def _owner(key: str) -> str:
    """Return whose a heartbeat is; nobody's by name if a part of the name changes with each process."""
    told = [part for part in parts(key) if not HEARTBEAT_WORDS.intersection(words(part))]
    return "" if told and is_random(told[-1]) else service_of_key(key)


def _time_of(text: str) -> datetime | None:
    if text.lstrip()[:1] != "{":
        return parse_timestamp(text)
    entry = Entry(ORIGIN, {"payload": text})
    stated = next((found for name in JSON_FIELDS if (found := entry.find(name)) is not None), "")
    return parse_timestamp(stated)


def _beat(
    service: str, place: Mapping[str, object], at: datetime | None, left: timedelta | None, now: datetime
) -> BeatSeen:
    """Return a heartbeat; its life is what was gone of it when seen and what was left."""
    age = max(timedelta(0), now - at) if at is not None else None
    beaten = f"last beat {said(age)} ago" if age is not None else "it holds no time"
    if left is None:
        gone = age is not None and age > DEAD
        if gone:
            beaten += ": dead or given up? Take the # away if it should live"
        elif age is not None and age > LATE:
            beaten += ": late, if it should beat every few minutes"
        return BeatSeen(service, place, f"{beaten}; it never expires", sure=not gone)
    whole = left + age if age is not None and age < left + left + LATE else left
    lives = nice_above(whole, SLACK)
    return BeatSeen(
        service,
        {**place, "ttl": duration(lives)} if "key" in place else place,
        f"{beaten}; {said(left)} left to live",
        lives,
    )


def flag_of(key: KeySeen) -> str | None:
    """Return why *key* is taken for a flag, None if it is none by what it holds."""
    if key.fields:
        state = next((found for name in STATE_FIELDS if (found := key.fields.get(name)) is not None), "1")
    elif key.text.lstrip()[:1] == "{":
        entry = Entry(ORIGIN, {"payload": key.text})
        state = next((found for name in STATE_FIELDS if (found := entry.find(name)) is not None), "1")
    else:
        state = key.text
    if len(state) > LONGEST_FLAG or (state.strip().isdigit() and int(state) > 1):
        return None
    return "set at the moment" if means_set(state, None) else "not set at the moment"
