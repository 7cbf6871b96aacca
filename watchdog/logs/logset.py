"""All the files of one log: those that a glob finds, those that come later, those that vanish."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from watchdog.errors import CollectError
from watchdog.logs.batch import LOOK_SECONDS, Batch, Reader
from watchdog.logs.ledger import Bucket

MOST_FILES = 200
"""A glob that matches more files than this is read in part, the newest first, and says so."""
MOST_GONE = 20
"""Of so many names that vanished it is remembered how far they were read: rotation brings them back."""
_SHORTEST_READ = 0.02  # seconds, for each file whatever the others cost


@dataclass(frozen=True, slots=True)
class Found:
    """What one file brought: the *buckets* to be counted, and how many of the last are *news*."""

    batch: Batch
    buckets: tuple[Bucket, ...]
    news: int

    def told(self) -> Iterator[tuple[Bucket, bool]]:
        """Yield each bucket, and whether nobody had seen its lines before."""
        old = len(self.buckets) - self.news
        return ((bucket, at >= old) for at, bucket in enumerate(self.buckets))


class LogSet:
    """
    Reads what is new in every log that *names* returns, each from where it was read to.

    A file that is there at the very first look is known of old; whatever comes later is all new.
    """

    def __init__(
        self,
        names: Callable[[], Sequence[str]],
        open_reader: Callable[[str, Mapping[str, Any] | None], Reader],
        window: timedelta,
    ) -> None:
        self._names = names
        self._open_reader = open_reader
        self._window = window
        self._readers: dict[str, Reader] = {}
        self._resume: dict[str, Mapping[str, Any]] = {}  # of an earlier process
        self._put_away: dict[str, Mapping[str, Any]] = {}  # there was no room for them
        self._gone: dict[str, Mapping[str, Any]] = {}  # the first to go first
        self._began = False

    def memory(self) -> Mapping[str, Any]:
        """Return where reading stopped in each file, as JSON."""
        return {**self._resume, **self._gone, **self._put_away} | {
            name: reader.memory() for name, reader in self._readers.items()
        }

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Go on where an earlier process stopped."""
        self._resume = dict(memory)
        self._began = True

    def look(self, now: datetime) -> tuple[list[Found], list[str]]:
        """Read every file; return what they brought, and a sentence for each that cannot be read."""
        names = self._names()
        troubles = []
        chosen = names if len(names) <= MOST_FILES else _newest(names)
        if len(chosen) < len(names):
            troubles.append(f"only the newest {MOST_FILES} of {len(names)} files are read")
        found = self._let_go(set(names), set(chosen), now)
        ends = time.monotonic() + LOOK_SECONDS
        for name in chosen:
            try:
                found.append(self._read(name, now, max(_SHORTEST_READ, ends - time.monotonic())))
            except CollectError as exc:
                troubles.append(str(exc))
        self._began = True
        return found, troubles

    def _read(self, name: str, now: datetime, seconds: float) -> Found:
        if (reader := self._readers.get(name)) is not None:
            batch = reader.read(now, seconds)
            return Found(batch, batch.buckets, len(batch.news))
        again = self._put_away.pop(name, None) or self._gone.pop(name, None)
        memory = again or self._resume.pop(name, None)
        reader = self._readers[name] = self._open_reader(name, memory)
        came_later = self._began and not memory  # or was empty until now
        batch = reader.begin(now, self._window) if came_later else reader.start(now, self._window)
        buckets = batch.buckets if again is None else batch.news  # the rest was counted already
        return Found(batch, buckets, len(batch.news))

    def _let_go(self, names: set[str], chosen: set[str], now: datetime) -> list[Found]:
        """Read those that nobody wants any more to their end, and close them."""
        last = []
        for name in self._readers.keys() - chosen:
            reader = self._readers.pop(name)
            if name in names:
                self._put_away[name] = reader.memory()
            else:
                try:
                    batch = reader.read(now, _SHORTEST_READ)
                    last.append(Found(batch, batch.buckets, len(batch.news)))
                except CollectError:
                    pass  # it is gone, and had been read
                self._gone[name] = reader.memory()
            reader.close()
        for name in self._put_away.keys() - names:
            self._gone[name] = self._put_away.pop(name)
        for name in self._resume.keys() - names:
            self._gone[name] = self._resume.pop(name)
        while len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]
        return last


def _newest(names: Sequence[str]) -> list[str]:
    written = {name: _written(name) for name in names}
    return sorted(sorted(names, key=lambda name: -written[name])[:MOST_FILES])


def _written(name: str) -> float:
    try:
        return os.stat(name).st_mtime
    except OSError:
        return 0.0
