"""Counts of what one systemd unit logs to the journal, from its past on and then as it grows."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from watchdog.errors import CollectError
from watchdog.logs.batch import LOOK_SECONDS, Batch
from watchdog.logs.formats import BARE, FORMATS
from watchdog.logs.journalctl import Entry, Journalctl, at_second, own_entries, read_entry
from watchdog.logs.ledger import Bucket, Clock, Ledger, evidence
from watchdog.logs.levels import Level
from watchdog.logs.patterns import Patterns
from watchdog.logs.records import follow
from watchdog.logs.slots import slot_of
from watchdog.logs.tally import Tallier

MOST_HISTORY = 100_000
"""Entries that are read at most when looking back."""

_HISTORY_SECONDS = 20.0
_PATIENCE_SECONDS = 10.0  # what a journal of many files on a slow disk may take to its next entry
_SLICE_SECONDS = 0.1
_INFO = 6  # what journald gives a line of stdout, whatever it says


@dataclass(frozen=True, slots=True)
class _Arrival(Clock):
    """What journald knows better than any line: that all of them came at *now*."""

    def time_of(self, line: bytes) -> datetime | None:  # noqa: ARG002
        """Return when every line came."""
        return self.now


class JournalReader:
    """
    Counts the lines of one unit; for a worker thread, one call at a time.

    Looks back with one run of journalctl, then follows with another that is kept running: opening a
    large journal anew at every look costs more than all its entries. One that died is started again
    behind the last entry it printed.
    """

    def __init__(
        self,
        unit: str,
        *,
        user: bool = False,
        patterns: Patterns | None = None,
        format: str | None = None,
        ignored: Callable[[bytes], bool] | None = None,
        memory: Mapping[str, object] | None = None,
    ) -> None:
        self._subject = f"journal of {unit}"
        self._match = own_entries(unit, user=user)
        self._patterns = patterns or {}
        past = memory or {}
        name = str(past.get("format"))
        self._format = format
        self._tallier = Tallier(format or (name if name in FORMATS else BARE), ignored=ignored)
        self._cursor = str(past["cursor"]) if past.get("cursor") else None
        self._last_line_at = _moment(past.get("last_line_at")) if self._cursor else None
        self._last_error: str | None = None
        self._covered_since: datetime | None = None
        self._window = timedelta(0)
        self._child: Journalctl | None = None

    def memory(self) -> Mapping[str, object]:
        """Return behind which entry the reader of a later process goes on; empty if there was none."""
        if self._cursor is None or self._last_line_at is None:
            return {}
        last = self._last_line_at.isoformat()
        return {"cursor": self._cursor, "last_line_at": last, "format": self._tallier.format}

    def close(self) -> None:
        """End the journalctl that follows."""
        if self._child:
            self._child.close()
            self._child = None

    def start(self, now: datetime, window: timedelta) -> Batch:
        """
        Count what was logged within *window* before *now*, and all behind the cursor remembered.

        Raise CollectError if the journal cannot be read. The first read that can read it starts then.
        """
        self._window = window
        since = now - window
        last_seen = self._last_line_at
        until = [f"--until={at_second(last_seen)}"] if last_seen else []
        entries, cut = self._run(
            ["-n", str(MOST_HISTORY), f"--since={at_second(since)}", *until], _HISTORY_SECONDS
        )
        all_there = not cut and len(entries) < MOST_HISTORY
        covered = max(since, self._oldest()) if all_there or not entries else entries[0].at
        if last_seen:
            entries = _up_to(self._cursor, entries)
        past = self._ledger()
        self._count(past, entries, now)
        news, late = self._ledger(), 0.0
        if last_seen:
            entries, cut = self._run_behind(last_seen)
            self._count(news, entries, now)
            late = _age(entries, now) if cut else 0.0
        self._covered_since = min(covered, now)
        batch = self._batch((*past.buckets(), *news.buckets()), now)
        return replace(batch, late=late, known=len(past.buckets()))

    def begin(self, now: datetime, window: timedelta) -> Batch:
        """Count as `start` does, all of it news: the unit is new to us."""
        return replace(self.start(now, window), known=0)

    def _run_behind(self, last_seen: datetime) -> tuple[list[Entry], bool]:
        """Return what was logged while no process of ours ran, and whether there may be more."""
        try:
            return self._run([f"--after-cursor={self._cursor}"], LOOK_SECONDS)
        except CollectError:  # a cursor it does not understand
            return self._run([f"--since={at_second(last_seen + timedelta(microseconds=1))}"], LOOK_SECONDS)

    def read(self, now: datetime, seconds: float = LOOK_SECONDS) -> Batch:
        """
        Count the entries that are new, reading for about *seconds* at most.

        Raise CollectError if there are none and the journal cannot be read.
        """
        if self._covered_since is None:
            return self.start(now, self._window)
        stop = time.monotonic() + seconds
        ledger, size, late = self._ledger(), 0, 0.0
        more = True
        while more:
            lines, more = self._follow(_SLICE_SECONDS)
            entries = _entries(lines)
            self._count(ledger, entries, now)
            size += sum(map(len, lines)) + len(lines)
            if more and time.monotonic() >= stop:
                late = _age(entries, now)
                break
        return replace(self._batch(ledger.buckets(), now), late=late, bytes_read=size)

    def _follow(self, seconds: float) -> tuple[list[bytes], bool]:
        """Take what the running journalctl has printed; start one where there is none, or it was killed."""
        for attempt in (1, 2):
            child = self._child = self._child or Journalctl(["--follow", "--no-tail", *self._behind()])
            lines, more = child.take(seconds)
            if not child.ended:
                if not lines:
                    self._check(child)
                return lines, more
            if not lines and attempt == 2:
                self._check(child)
            self.close()
            if lines:
                break
        return lines, more

    def _check(self, child: Journalctl) -> None:
        try:
            child.check(self._subject)
        except CollectError:
            self.close()
            raise

    def _behind(self) -> list[str]:
        """Return the options for all that was not read yet."""
        if self._cursor:
            return [f"--after-cursor={self._cursor}", *self._match]
        assert self._covered_since is not None
        return [f"--since={at_second(self._covered_since)}", *self._match]

    def _run(self, options: Sequence[str], seconds: float) -> tuple[list[Entry], bool]:
        """Return the entries of one run, and whether there may be more because the *seconds* were over."""
        child = Journalctl([*options, *self._match])
        stop = time.monotonic() + seconds
        lines: list[bytes] = []
        try:
            cut = False
            while not (child.ended or cut):
                more, cut = child.take(stop - time.monotonic(), _PATIENCE_SECONDS)
                if not (more or cut or child.ended):
                    waited = f"{_PATIENCE_SECONDS:.0f}s"
                    raise CollectError(f"{self._subject}: journalctl gave no answer within {waited}")
                lines += more
            child.check(self._subject)
        finally:
            child.close()
        return _entries(lines), cut

    def _oldest(self) -> datetime:
        """
        Return when the oldest entry of the whole journal was written: before that nothing is known.

        Raise CollectError if there is none: where nobody logs, silence says nothing.
        """
        child = Journalctl([])
        try:
            lines, more = child.take(0.0, _PATIENCE_SECONDS)
            while more and not lines:  # the first entry is a long one
                lines, more = child.take(0.0, _PATIENCE_SECONDS)
        finally:
            child.close()
        entries = _entries(lines[:1])
        if not entries:
            raise CollectError(f"{self._subject}: the journal is empty (does systemd-journald run here?)")
        return entries[0].at

    def _ledger(self) -> Ledger:
        return Ledger(self._tallier, self._patterns, detecting=self._format is None)

    def _count(self, ledger: Ledger, entries: Iterable[Entry], now: datetime) -> None:
        """Count *entries*, each when journald got it."""
        for _, slot in groupby(entries, key=lambda entry: slot_of(entry.at)):
            same = list(slot)
            lines = _lines(same, self._tallier)
            arrived = min(same[-1].at, now)
            ledger.add(b"".join(line + b"\n" for line in lines), _Arrival(arrived))
            self._cursor = same[-1].cursor
            self._last_line_at = max(arrived, self._last_line_at or arrived)
        if ledger.last_error:
            self._last_error = evidence(ledger.last_error)

    def _batch(self, buckets: tuple[Bucket, ...], now: datetime) -> Batch:
        return Batch(
            buckets=buckets,
            last_line_at=self._last_line_at,
            last_error=self._last_error,
            covered_since=self._covered_since or now,
            behind_bytes=0,
            format_name=self._tallier.format,
        )


def _age(entries: Sequence[Entry], now: datetime) -> float:
    """Return how old the next entry is, which is as old as the last one read."""
    return max(0.0, (now - entries[-1].at).total_seconds()) if entries else 0.0


def _entries(lines: Iterable[bytes]) -> list[Entry]:
    return [entry for line in lines if (entry := read_entry(line)) is not None]


def _up_to(cursor: str | None, entries: Sequence[Entry]) -> list[Entry]:
    """Return *entries* without those behind *cursor*, if it is among them."""
    places = [place for place, entry in enumerate(entries) if entry.cursor == cursor]
    return list(entries[: places[-1] + 1] if places else entries)


def _lines(entries: Iterable[Entry], tallier: Tallier) -> list[bytes]:
    """
    Write *entries* as lines of a log: one record each, with its priority where it says no level itself.

    What journald gives every line of stdout, info, is no news. A message of several lines is one
    record, so a line that would begin another is indented. A line of a traceback stays one.
    """
    lines: list[bytes] = []
    context = tallier.context
    for entry in entries:
        first, *others = entry.message.rstrip(b"\n").split(b"\n")
        level, after = follow(first, tallier.format, context)
        if level is Level.NONE and entry.priority not in (None, _INFO):
            first = b"<%d>%s" % (entry.priority, first)
        lines.append(first)
        context = after
        for line in others:
            level, after = follow(line, tallier.format, context)
            lines.append(line if level is None else b"\t" + line)
            context = after if level is None else context
    return lines


def _moment(written: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(written))
    except ValueError:
        return None
