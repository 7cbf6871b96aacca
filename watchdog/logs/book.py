"""
Which kinds of errors a log has had, how many of each, and which of them are new.

Two things are kept. Of the latest `MOST_SHOWN` templates all that is shown of them; and, for far
longer, a mark of each that ever came, so that old noise which was gone for a while is not news.
Templates that came again are marked apart from those that came once: a flood of lines that are all
different pushes out its own kind only.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b

from watchdog.logs.formats import classify
from watchdog.logs.ledger import evidence
from watchdog.logs.levels import Level

MOST_SHOWN = 500
MOST_MARKED = 2_000
_MARK = 6  # bytes: one of 4,000 others has the mark of a new one once in 70 billion times
_MINUTE = 60
_MINUTES_KEPT = 60


@dataclass(slots=True)
class Entry:
    """What is shown of one template; *sample* is its newest line, *recent* counts by minutes since 1970."""

    template: str
    sample: bytes
    first_seen: datetime
    last_seen: datetime
    count: int = 0
    new_at: datetime | None = None
    recent: Counter[int] = field(default_factory=Counter)

    @property
    def example(self) -> str:
        """Return its newest line, fit to be shown."""
        return evidence(self.sample)

    @property
    def level(self) -> Level:
        """Return the level of its newest line."""
        return classify(self.sample)

    def within(self, window: timedelta, now: datetime) -> int:
        """Return how many came in the *window* before *now*, to the minute and for an hour at most."""
        since = _minute(now - window)
        return sum(count for minute, count in self.recent.items() if minute >= since)

    def add(self, count: int, at: datetime) -> None:
        """Count *count* more, written at *at*."""
        self.count += count
        self.first_seen = min(self.first_seen, at)
        self.last_seen = max(self.last_seen, at)
        self.recent[_minute(at)] += count
        if len(self.recent) > _MINUTES_KEPT:
            del self.recent[min(self.recent)]


class Book:
    """The error templates of one signal, of all its files together."""

    def __init__(self, most_shown: int = MOST_SHOWN, most_marked: int = MOST_MARKED) -> None:
        self._most_shown = most_shown
        self._most_marked = most_marked
        self._entries: dict[str, Entry] = {}  # the one seen longest ago first, as everywhere here
        self._once: dict[bytes, int] = {}  # by mark, the minute in which it came
        self._often: dict[bytes, None] = {}
        self._memory: Mapping[str, str] | None = None  # until another mark is kept

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def note(self, template: str, count: int, at: datetime, sample: bytes, *, news: bool = True) -> bool:
        """
        Count *template*, of which *sample* came at *at*, and say whether it is one that never came before.

        What is no *news* is learnt: it was there before anybody watched.
        """
        first = self._mark(_mark_of(template), _minute(at)) and news
        entry = self._entries.pop(template, None) or Entry(template, sample, at, at)
        if len(self._entries) >= self._most_shown:
            del self._entries[next(iter(self._entries))]
        self._entries[template] = entry
        entry.add(count, at)
        entry.sample = sample
        if first:
            entry.new_at = at
        return first

    def top(self, window: timedelta, now: datetime) -> list[tuple[int, Entry]]:
        """Return the templates of the *window* before *now* with how many of each, the most first."""
        counted = [(entry.within(window, now), entry) for entry in self._entries.values()]
        return sorted((pair for pair in counted if pair[0]), key=lambda pair: (-pair[0], pair[1].template))

    def new(self, window: timedelta, now: datetime) -> list[Entry]:
        """Return the templates that first came in the *window* before *now*, the newest first."""
        found = [entry for entry in self._entries.values() if entry.new_at and entry.new_at >= now - window]
        return sorted(found, key=lambda entry: (entry.new_at, entry.template), reverse=True)

    def memory(self) -> Mapping[str, str]:
        """Return which templates ever came, as JSON; the same object while there is no other."""
        if self._memory is None:
            self._memory = {"once": _join(self._once), "often": _join(self._often)}
        return self._memory

    def remember(self, memory: Mapping[str, str]) -> None:
        """Take back what an earlier process gave as its memory."""
        self._once = dict.fromkeys(_split(memory["once"]), 0)
        self._often = dict.fromkeys(_split(memory["often"]))
        self._memory = None

    def _mark(self, mark: bytes, minute: int) -> bool:
        """Note that a template came in *minute*, and say whether it never did before."""
        if mark in self._often:
            del self._often[mark]  # to the end of the line
            self._often[mark] = None
            return False
        came = self._once.get(mark)
        if came == minute:
            return False
        self._memory = None
        if came is None:
            if len(self._once) >= self._most_marked:
                del self._once[next(iter(self._once))]
            self._once[mark] = minute
            return True
        del self._once[mark]
        if len(self._often) >= self._most_marked:
            del self._often[next(iter(self._often))]
        self._often[mark] = None
        return False


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // _MINUTE


def _mark_of(template: str) -> bytes:
    return blake2b(template.encode("utf-8", "replace"), digest_size=_MARK).digest()


def _join(marks: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(marks)).decode()


def _split(text: str) -> Iterable[bytes]:
    marks = base64.b64decode(text, validate=True)
    return (marks[at : at + _MARK] for at in range(0, len(marks), _MARK))
